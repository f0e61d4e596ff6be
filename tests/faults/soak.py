"""Hours in minutes: steady load, receivers that misbehave, kills, open streams. `python -m tests.faults.soak --minutes 10`

20 events a second: most to a receiver that keeps count, the rest to one that never answers, one that resets, one
that answers 503 and one that sends gzip bombs. Exits 1 when a promise was broken. Sends to this machine only.
"""

import argparse
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..serving import ROOT
from .crash import CONCURRENCY, Driver, Producer, register, witness
from .oracle import Evidence, duplicates, number, violations
from .probe import Probe
from .streams import Follower, deaf

# Path at the fault receiver: its share of the events in a second, and the code that every delivery to it ends with.
MISBEHAVIOURS = {
    "/never": (2, "no_response"),
    "/rst-now": (2, "reset"),
    "/status?code=503": (2, "status"),
    "/gzip-bomb": (1, None),
}
WELL, DEAF, SAMPLE_S = 13, 4, 0.5
MIB = 1024 * 1024
WAL_LIMIT, GROWTH_LIMIT = 64 * MIB, 32 * MIB
PAGE_S, STALL_S = 0.3, 0.1
_STALL = re.compile(r"event loop stood still for ([\d.]+) s")  # as the server's own watchdog says it


@dataclass
class Sizes:
    """What a process and its files took, in bytes; `rss` of its last life."""

    rss: list[int] = field(default_factory=list)
    wal: int = 0
    database: int = 0

    def measure(self, driver: Driver) -> None:
        status = Path(f"/proc/{driver.server.process.pid}/status").read_text()
        self.rss.append(int(status.split("VmRSS:")[1].split()[0]) * 1024)
        wal = driver.database.with_name(f"{driver.database.name}-wal")
        self.wal = max(self.wal, wal.stat().st_size if wal.exists() else 0)
        self.database = driver.database.stat().st_size

    @property
    def growth(self) -> float:
        """From the second to the last quarter of the life."""
        quarter = max(1, len(self.rss) // 4)
        return statistics.median(self.rss[-quarter:]) - statistics.median(self.rss[quarter:][:quarter])


@contextmanager
def misbehaving() -> Iterator[str]:
    """The fault receiver as a process; its URL."""
    command = [sys.executable, "-m", "tests.faults.receiver"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


class Soak:
    """One run: `play` it, then ask what it `broke`."""

    def __init__(self, folder: Path, *, timings: bool = True):
        """`timings` says whether times count as promises: not where others use the processor."""
        self._driver, self._sizes, self._timings = Driver(folder, 1, {}), Sizes(), timings
        self._folder, self._server = folder, self._driver.server
        self._broken: list[str] = []
        self._codes: dict[
            str, str | None
        ] = {}  # of the endpoints that misbehave: what every delivery ends with

    def play(self, seconds: float, kills: int) -> list[str]:
        """Every broken promise; prints what was measured."""
        with witness(self._folder) as (good, log), misbehaving() as bad:
            self._server.start()
            try:
                producers = self._producers(good, bad)
                with Follower(self._server) as follower, Probe(self._server, "/", 0.5) as page:
                    with Probe(self._server) as health:
                        self._load(producers, seconds, kills)
                    self._driver.drain(40)
                    self._compare(follower)
                self._expect(self._server.stop()[0] == 0, "it did not stop with 0")
            finally:
                if self._server.process.poll() is None:
                    self._server.kill()
            self._judge(producers[0], log, kills)
        self._times(page, health)
        self._memory()
        return self._broken

    def _producers(self, good: str, bad: str) -> list[Producer]:
        """The one whose deliveries are counted, and those to every misbehaviour."""
        found = [Producer(self._server, register(self._server, good), per_second=WELL, batch=0)]
        for path, (per_second, code) in MISBEHAVIOURS.items():
            endpoint = register(self._server, bad + path, timeout=2, retry={"delays": []})
            self._codes[endpoint] = code
            found.append(Producer(self._server, endpoint, per_second=per_second, batch=0))
        return found

    def _load(self, producers: list[Producer], seconds: float, kills: int) -> None:
        for producer in producers:
            producer.start()
        self._live(seconds / (kills + 1))
        for _ in range(kills):
            self._server.kill()
            self._sizes.rss.clear()
            self._driver.start()
            self._driver.runs()
            self._live(seconds / (kills + 1))
        for producer in producers:
            producer.stop()

    def _live(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        with deaf(self._server, DEAF):
            while time.monotonic() < end:
                self._sizes.measure(self._driver)
                time.sleep(SAMPLE_S)

    def _compare(self, follower: Follower) -> None:
        """The stream has told the end of every delivery, over every kill."""
        with closing(sqlite3.connect(self._driver.database)) as rows:
            stored = dict(rows.execute("SELECT id, status FROM simulator_delivery"))

        def behind() -> int:
            told = {number(id): status for id, status in tuple(follower.states.items())}
            return sum(told.get(id) != status for id, status in stored.items())

        deadline = time.monotonic() + 10
        while behind() and time.monotonic() < deadline:
            time.sleep(0.1)
        self._expect(not behind(), f"the stream is behind for {behind()} of {len(stored)} deliveries")
        self._expect(not follower.faults, f"the stream went back: {follower.faults[:3]}")

    def _judge(self, counted: Producer, log: Path, kills: int) -> None:
        found = Evidence.of(counted.accepted, {}, log, self._driver.database, counted.endpoint)
        for promise, cases in violations(found, in_flight_at_kills=kills * CONCURRENCY).items():
            self._broken.append(f"{promise}: {len(cases)}, {cases[:3]}")
        print(f"{len(found.accepted)} counted events, {kills} kills, {duplicates(found)} duplicates")
        with closing(sqlite3.connect(self._driver.database)) as rows:
            query = "SELECT last_error, count(*) FROM simulator_delivery WHERE endpoint_id = ? GROUP BY 1"
            for endpoint, code in self._codes.items():
                ends = dict(rows.execute(query, [number(endpoint)]).fetchall())
                self._expect(set(ends) == {code}, f"ended with {ends} instead of {code}")

    def _times(self, page: Probe, health: Probe) -> None:
        stall = sorted(health.seconds)[int(0.99 * len(health.seconds))]
        print(
            f"page p95 {page.p95 * 1000:.0f} ms; loop p99 {stall * 1000:.0f}, worst {health.worst * 1000:.0f} ms; "
            f"first answers after a kill at most {max(health.starts, default=0) * 1000:.0f} ms"
        )
        stalls = [float(seconds) for seconds in _STALL.findall(self._server.errors)]
        print(f"the loop stood still {len(stalls)} times, at most {max(stalls, default=0):.2f} s")
        self._expect(not stalls or not self._timings, f"stalls of {stalls} s")
        self._expect(page.statuses == {200}, f"the page answered {page.statuses}")
        self._expect(page.p95 <= PAGE_S or not self._timings, f"page p95 {page.p95:.3f} s")
        self._expect(stall <= STALL_S or not self._timings, f"loop p99 {stall:.3f} s")

    def _memory(self) -> None:
        sizes = self._sizes
        print(
            f"RSS {sizes.rss[-1] / MIB:.0f} MiB, {sizes.growth / MIB:+.1f} MiB in the last life; "
            f"WAL at most {sizes.wal / MIB:.1f} MiB; database {sizes.database / MIB:.1f} MiB"
        )
        self._expect(sizes.growth <= GROWTH_LIMIT, f"RSS grew by {sizes.growth / MIB:.0f} MiB")
        self._expect(sizes.wal <= WAL_LIMIT, f"WAL of {sizes.wal / MIB:.0f} MiB")

    def _expect(self, kept: bool, broken: str) -> None:
        if not kept:
            self._broken.append(broken)


def main() -> int:
    parser = argparse.ArgumentParser(description="Soak the simulator; exit 1 when a promise was broken.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--kill-every", type=float, default=2.5, help="minutes (2.5)")
    options = parser.parse_args()
    kills = max(0, round(options.minutes / options.kill_every) - 1)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        broken = Soak(Path(folder)).play(options.minutes * 60, kills)
    print("\n".join(["BROKEN", *broken] if broken else ["every promise kept"]))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
