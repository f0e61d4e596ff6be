"""The crash loop: a producer that goes on, a receiver that sees everything, a driver that kills -9 and restarts."""

import http.client
import json
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..serving import ROOT, Server
from ..waiting import wait_until
from .oracle import Evidence

SECRET = "whsec_Y3Jhc2gtbG9vcC1vZi10aGUtc2ltdWxhdG9yLTMyYnk"
CONCURRENCY = 100
AT_LEAST = 20  # events, also in a run without kills
EARLY = 8  # one start in so many is killed before it runs
SINGLES, BATCH = 6, 80  # one batch of 80 among six calls


@contextmanager
def witness(folder: Path) -> Iterator[tuple[str, Path]]:
    """The receiver as a process; (its URL, its log)."""
    log = folder / "witness.jsonl"
    log.touch()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.witness", str(log), SECRET],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/webhook", log
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


class Producer:
    """Posts events and batches, each until it gets its 202, whatever happens to the server meanwhile."""

    def __init__(self, server: Server, endpoint: str, *, per_second: float, batch: int = BATCH):
        self.accepted: list[str] = []
        self.batches: dict[str, int] = {}
        self.refused: list[str] = []
        self.endpoint, self._key, self._pause, self._batch = endpoint, server.key, 1 / per_second, batch
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._produce, name="producer", daemon=True)
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when the last one has its 202."""
        self._stopping.set()
        self._thread.join(30)
        self._connection.close()
        assert not self._thread.is_alive(), "the last event was never accepted"

    def _produce(self) -> None:
        count = 0
        while not self._stopping.wait(self._pause):
            count += 1
            if count % SINGLES or not self._batch:
                told = self._accepted("/events", {"type": "lead.qualified"}, f"{self.endpoint} {count}")
                self.accepted.append(told["event"]["id"])
            else:
                body = {"type": "property.matched", "count": self._batch}
                told = self._accepted("/events/batch", body, f"{self.endpoint} {count}")
                self.batches[told["batch_id"]] = told["count"]

    def _accepted(self, path: str, body: dict[str, object], once: str) -> dict:
        content = json.dumps({**body, "endpoints": [self.endpoint]}).encode()
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Idempotency-Key": once,
        }
        while True:
            try:
                status, told = self._post(path, content, headers)
            except (OSError, http.client.HTTPException):
                self._connection.close()
                time.sleep(0.02)  # killed; it comes back
                continue
            if status == 202:
                return json.loads(told)
            self.refused.append(f"{status} {told[:200]!r}")
            time.sleep(0.1)

    def _post(self, path: str, content: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        self._connection.request("POST", f"/api/v1{path}", content, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()


@dataclass
class Run:
    """What a crash loop leaves to judge. `starts` are (spawned, running) in unix time, of those that got so far."""

    evidence: Evidence
    kills: int
    starts: list[tuple[float, float]]
    refused: list[str]
    errors: str

    def first_resends(self) -> list[tuple[float, float]]:
        """Seconds from the spawn, and from when it ran, to the first attempt that follows one cut off."""
        resent = sorted(
            seen.at
            for seen in self.evidence.seen
            if self.evidence.attempts[seen.event].get(seen.attempt - 1, ("",))[0] == "interrupted"
        )
        found = []
        for (spawned, running), (ended, _) in zip(
            self.starts, [*self.starts[1:], (float("inf"), 0)], strict=True
        ):
            first = next((at for at in resent if spawned < at < ended), None)
            if first is not None:
                found.append((first - spawned, first - running))
        return found


class Driver:
    """Starts the server, lets it live for a while, kills it."""

    def __init__(self, folder: Path, seed: int, env: dict[str, str]):
        self.server = Server(folder, SIM_RETRY_SCALE="0.02", SIM_CONCURRENCY=str(CONCURRENCY), **env)
        self.starts: list[tuple[float, float]] = []
        self._chance = random.Random(seed)
        self._spawned, self._printed = 0.0, 0

    def start(self) -> None:
        self._printed, self._spawned = len(self.server.output), time.time()
        self.server.start(ready=False)

    def runs(self) -> None:
        """Wait until it has said where it runs."""
        server = self.server

        def said() -> bool:
            assert server.process.poll() is None, server.errors
            return "Console " in server.output[self._printed :]

        wait_until(said, 20, "its address")
        self.starts.append((self._spawned, time.time()))

    def kill_and_restart(self, kill: int) -> None:
        if kill % EARLY == EARLY - 1:
            time.sleep(self._chance.uniform(0.1, 0.7))
        else:
            self.runs()
            time.sleep(self._chance.uniform(0.1, 1.0))
        self.server.kill()
        self.start()

    def drain(self, within: float) -> None:
        """Wait until nothing is unfinished; it is the oracle that complains when that does not come."""
        deadline = time.monotonic() + within
        while self._unfinished() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _unfinished(self) -> int:
        with closing(sqlite3.connect(self.database)) as rows:
            query = """SELECT (SELECT count(*) FROM simulator_delivery WHERE due_at IS NOT NULL)
                            + (SELECT count(*) FROM simulator_batch WHERE made < count)"""
            return int(rows.execute(query).fetchone()[0])

    @property
    def database(self) -> Path:
        return self.server.data_dir / "simulator.sqlite3"


def crash_loop(
    folder: Path, *, kills: int, seed: int, per_second: float = 100, drain_s: float = 20, **env: str
) -> Run:
    """Kill and restart a server under load `kills` times, let it drain, and collect what everyone saw."""
    driver = Driver(folder, seed, env)
    server = driver.server
    with witness(folder) as (url, log):
        try:
            server.start()
            endpoint = register(server, url)
            producer = Producer(server, endpoint, per_second=per_second)
            producer.start()
            try:
                for kill in range(kills):
                    driver.kill_and_restart(kill)
                driver.runs()
                wait_until(lambda: len(producer.accepted) >= AT_LEAST, 30, f"{AT_LEAST} accepted events")
            finally:
                producer.stop()
            driver.drain(drain_s)
            code, _ = server.stop()
            assert code == 0, server.errors
        finally:
            if server.process.poll() is None:
                server.kill()
        found = Evidence.of(producer.accepted, producer.batches, log, driver.database, endpoint)
    return Run(found, kills, driver.starts, producer.refused, server.errors)


def register(server: Server, url: str, **settings: object) -> str:
    endpoint = {"url": url, "events": ["*"], "secret": SECRET, "timeout": 10, "max_in_flight": 60, **settings}
    return server.api("POST", "/webhooks", json=endpoint).json["id"]
