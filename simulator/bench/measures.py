"""What is measured, in which order and how often. Knows no option, no table and no goal."""

import platform
import shutil
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from os import cpu_count
from pathlib import Path
from typing import Any, NamedTuple

from .. import catalog
from ..payload import envelope
from . import history
from .figures import Summary, compared, in_ms, ratio
from .history import timed
from .plan import Plan
from .processes import Child, Failed, Silent
from .server import Client, Server
from .sink import SLOW_S

TYPE = "lead.qualified"
CLICK_PAUSE_S = 0.01
PAGE_PAUSE_S = 0.05
PATIENCE_S = 60.0
ROUND_S = 3.0  # a slow machine gets fewer events a round
BATCH_S = 15.0  # and is not watched longer than this under a batch
BYTES_A_ROW = 8000  # of history: tables, indexes, full text
SLOW_IN_FLIGHT = 200
SENDERS = {  # what the product is compared with: (sender, in flight, port of the sink)
    "bare_httpx_per_s": ("shared_client", 10, "bulk"),
    "bare_httpx_client_each_per_s": ("client_each", 10, "bulk"),
    "bare_httpx_50_per_s": ("shared_client", 50, "bulk"),
    "transport_per_s": ("transport", 10, "bulk"),
    "transport_1000_per_s": ("transport", 1000, "bulk"),
    "transport_slow_per_s": ("transport", SLOW_IN_FLIGHT, "slow"),
}
ENGINES = {"engine_forgets_per_s": False, "engine_keeps_per_s": True}  # whether it keeps what comes back
STREAMS, WATCHED_PER_S = 20, 1000
RETRY_S = 3.0
PAGES = {"console": "/", "rows": "/deliveries/rows/"}
Report = dict[str, Any]


class Speed(NamedTuple):
    """Deliveries a second, until the open console was told of each and until the receiver had each; CPU time of one."""

    told: float
    received: float
    cpu_us: float


class Bench:
    """One run in a temporary folder that is already there. `say` is told what is being done, in words."""

    def __init__(self, plan: Plan, folder: Path, settings_module: str, say: Callable[[str], None]):
        self._plan, self._folder, self._say = plan, folder, say
        self._server = Server(folder / "first", settings_module)
        self._history_server = Server(folder / "history", settings_module)
        self._engine_server = Server(folder / "engine", settings_module)
        self._delivered = 0

    def run(self) -> Report:
        plan = self._plan
        needed = plan.history * BYTES_A_ROW + 300e6
        if shutil.disk_usage(self._folder).free < needed:
            raise Failed(
                f"{self._folder} needs {needed / 1e9:.1f} GB free. Choose another place with TMPDIR."
            )
        report: Report = {"date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "machine": machine()}
        report |= {"plan": plan.name, "rounds": plan.rounds}
        with ExitStack() as held:
            for server in (self._server, self._history_server, self._engine_server):
                held.callback(server.stop)
            self._say("Starting the server in a temporary folder")
            report["first_start_s"] = round(self._server.start(), 2)
            self._engine_server.start()  # for its database: the engine is measured without a server
            self._engine_server.stop()
            self._open(held)
            self._say("Idle: clicks, pages, CPU")
            report |= self._idle()
            report |= self._rounds()
            report |= self._under_load(report)
            report |= self._crowd(held)
            report |= self._memory()
            self._server.stop()
            report |= self._history()
        return report

    # -- set-up --------------------------------------------------------------------------------------------------

    def _open(self, held: ExitStack) -> None:
        """Sink, senders and open console; an endpoint for bulk and one for clicks; the first events, not counted."""
        self._client = held.enter_context(Client(self._server))
        self._sink = self._child(held, "sink", "simulator.bench.sink")
        ports = self._sink.hear("bulk", PATIENCE_S)
        self._urls = {name: f"http://127.0.0.1:{port}/webhook" for name, port in ports.items()}
        self._senders = self._child(held, "bare sender", "simulator.bench.bare")
        self._engine = self._child(held, "engine", "simulator.bench.persistence", env=self._engine_server.env)
        self._viewer = self._watch_with(held, 1)
        self._bulk, self._timed = (self._register(self._urls[name]) for name in ("bulk", "timed"))
        few = max(100, self._plan.events // 10)
        self._deliver(few)  # the first ones of a process fill its caches
        self._events = min(self._plan.events, max(100, int(self._deliver(few).told * ROUND_S)))
        self._click()
        self._server.settle()

    def _child(self, held: ExitStack, name: str, *command: str, env: Mapping[str, str] = {}) -> Child:
        errors = self._folder / f"{command[0]}.txt"
        child = Child(name, *command, env=env or self._server.env, errors=errors)
        held.callback(child.end)
        return child

    def _watch_with(self, held: ExitStack, streams: int) -> Child:
        address = self._server.address.replace("http", "ws", 1) + "/ws/v1/stream"
        viewer = self._child(held, "open console", "simulator.bench.viewer", address, str(streams))
        viewer.hear("open", PATIENCE_S)
        return viewer

    def _register(self, url: str, client: Client | None = None, **settings: object) -> str:
        wanted = {"url": url, "events": [TYPE], **settings}
        return str((client or self._client).api("POST", "/webhooks", wanted, wanted=201)["id"])

    # -- one step ------------------------------------------------------------------------------------------------

    def _deliver(self, count: int, endpoint: str = "", viewer: Child | None = None) -> Speed:
        """Send a batch, in bulk if no endpoint is named, and wait until the open console was told of each."""
        used = self._server.cpu_seconds()
        _, began = self._start(count, endpoint or self._bulk, viewer or self._viewer)
        try:
            told = (viewer or self._viewer).hear("done", PATIENCE_S + count / 500)["done"]
        except Silent:
            if viewer is None:
                raise
            told = time.perf_counter()  # a caller with its own viewer asks it what was missed
        used = self._server.cpu_seconds() - used
        tally = self._tally()
        if tally["count"] != count:
            raise Failed(f"{count} events were sent, and the sink received {tally['count']} requests.")
        return Speed(count / (told - began), count / (tally["last"] - began), used / count * 1e6)

    def _start(self, count: int, endpoint: str, viewer: Child) -> tuple[str, float]:
        """Ask the API for that many events; (batch id, the moment before)."""
        self._tally()
        viewer.say(expect=count, endpoint=endpoint)
        viewer.hear("expecting", PATIENCE_S)
        began = time.perf_counter()
        wanted = {"type": TYPE, "count": count, "endpoints": [endpoint]}
        return self._client.api("POST", "/events/batch", wanted, wanted=202)["batch_id"], began

    def _tally(self) -> dict[str, Any]:
        """What the sink has received since this was last asked."""
        self._sink.say(tell=True)
        return self._sink.hear("count", PATIENCE_S)

    def _click(self, client: Client | None = None) -> tuple[str, float, float]:
        """Press `Send test event`; (delivery id, the moment before, seconds until the receiver had it)."""
        began = time.perf_counter()
        body = {"type": TYPE}
        delivery = (client or self._client).api("POST", f"/webhooks/{self._timed}/test", body, wanted=202)
        while (heard := self._sink.hear("delivery", PATIENCE_S))["delivery"] != delivery["id"]:
            pass  # an earlier one, sent again
        return delivery["id"], began, heard["received"] - began

    # -- the measures --------------------------------------------------------------------------------------------

    def _idle(self) -> Report:
        clicks, shown = [], []
        for _ in range(self._plan.clicks):
            delivery, began, took = self._click()
            clicks.append(took)
            while (heard := self._viewer.hear("test", PATIENCE_S))["test"] != delivery:
                pass  # the click that warmed up
            shown.append(heard["seen"] - began)
            time.sleep(CLICK_PAUSE_S)
        pages = self._pages(self._client, self._plan.pages)
        return {
            "click_ms": {"idle": in_ms(clicks)},
            "click_to_stream_ms": in_ms(shown),
            "page_ms": {name: {"idle": took} for name, took in pages.items()},
            "idle_cpu_percent": self._idle_cpu(self._server),
        }

    def _pages(self, client: Client, times: int) -> dict[str, Summary]:
        return {name: timed(partial(client.get, path), times) for name, path in PAGES.items()}

    def _idle_cpu(self, server: Server) -> float:
        server.settle()
        began, before = time.perf_counter(), server.cpu_seconds()
        time.sleep(self._plan.idle_s)
        used = server.cpu_seconds() - before
        return round(100 * used / (time.perf_counter() - began), 2)

    def _rounds(self) -> Report:
        """The product and what it is compared with, in turn, so that a busy machine is busy for all of them."""
        found: defaultdict[str, list[float]] = defaultdict(list)
        body = envelope("evt_00000000000", TYPE, datetime.now(UTC), catalog.sample(TYPE)).decode()
        for number in range(self._plan.rounds):
            self._say(
                f"Round {number + 1} of {self._plan.rounds}: {self._events} events, then bare httpx and the engine alone"
            )
            speed = self._deliver(self._events)
            self._delivered += self._events
            found["deliveries_per_s"].append(speed.told)
            found["received_per_s"].append(speed.received)
            found["cpu_us"].append(speed.cpu_us)
            found["busy_after_s"].append(self._server.settle())  # or it would slow down the others
            found["slow_possible_per_s"].append(SLOW_IN_FLIGHT / SLOW_S)
            for name, (sender, in_flight, port) in SENDERS.items():
                wanted = {"sender": sender, "in_flight": in_flight, "seconds": self._plan.bare_s}
                self._senders.say(url=self._urls[port], body=body, **wanted)
                heard = self._senders.hear("per_s", PATIENCE_S)
                found[name].append(heard["per_s"])
                found[name.replace("_per_s", "_cpu_us")].append(heard["cpu_us"])
            for name, keeps in ENGINES.items():
                self._engine.say(url=self._urls["bulk"], count=self._events, keeps=keeps)
                heard = self._engine.hear("engine_per_s", PATIENCE_S)
                found[name].append(heard["engine_per_s"])
                found[name.replace("_per_s", "_cpu_us")].append(heard["engine_cpu_us"])
        return {"events_per_round": self._events, **compared(found)}

    def _under_load(self, report: Report) -> Report:
        """Clicks while a large batch is on its way; then, under another one, clicks and pages."""
        self._say(f"A batch of {self._plan.batch} events, with clicks meanwhile")
        facts, [clicks] = self._batch(self._clicks_until)
        report["click_ms"]["batch"] = in_ms(clicks)
        self._say("The same, with somebody who loads pages as well")
        with_pages, [clicks, pages] = self._batch(self._clicks_until, self._pages_until)
        report["click_ms"]["batch_and_pages"] = in_ms(clicks)
        for name, took in pages.items():
            report["page_ms"][name]["batch"] = in_ms(took)
        page = report["page_ms"]["console"]
        report["page_slowdown"] = ratio(page["batch"]["p50"], page["idle"]["p50"])
        return {"batch": {"events": self._plan.batch, **facts}, "batch_and_pages": with_pages}

    def _batch(self, *people: Callable[[threading.Event], Any]) -> tuple[Report, list[Any]]:
        """How a large batch went, and what each of these people measured meanwhile."""
        over = threading.Event()
        with ThreadPoolExecutor(len(people)) as pool:
            batch, began = self._start(self._plan.batch, self._bulk, self._viewer)
            measured = [pool.submit(one, over) for one in people]
            try:
                self._watch(batch)
            finally:
                over.set()
        self._server.settle()
        tally = self._tally()
        self._delivered += tally["count"]
        per_s = round(tally["count"] / (tally["last"] - began), 1)
        return {"sent": tally["count"], "per_s": per_s}, [each.result() for each in measured]

    def _watch(self, batch: str) -> None:
        """Wait until the open console was told of all of it; after BATCH_S stop the batch."""
        try:
            self._viewer.hear("done", BATCH_S)
        except Silent:
            if self._client.api("GET", f"/events/batch/{batch}")["status"] == "running":
                self._client.api("POST", f"/events/batch/{batch}/stop")

    def _clicks_until(self, over: threading.Event) -> list[float]:
        took: list[float] = []
        with Client(self._server) as client:
            while not took or not over.is_set():
                took.append(self._click(client)[2])
                over.wait(CLICK_PAUSE_S)
        return took

    def _pages_until(self, over: threading.Event) -> dict[str, list[float]]:
        took = {name: list[float]() for name in PAGES}
        with Client(self._server) as client:
            while not took["rows"] or not over.is_set():
                for name, path in PAGES.items():
                    began = time.perf_counter()
                    client.get(path)
                    took[name].append(time.perf_counter() - began)
                    over.wait(PAGE_PAUSE_S)
        return took

    def _crowd(self, held: ExitStack) -> Report:
        """What STREAMS watchers cost, while a slow receiver sets the pace."""
        self._say(f"{WATCHED_PER_S} events a second, without and with {STREAMS} streams that follow them")
        in_flight = round(WATCHED_PER_S * SLOW_S)
        paced = self._register(self._urls["slow"], max_in_flight=in_flight)
        alone = self._deliver(self._plan.watched, paced)
        self._server.settle()
        crowd = self._watch_with(held, STREAMS)
        watched = self._deliver(self._plan.watched, paced, crowd)
        crowd.say(missed=True)
        missed = crowd.hear("missed", PATIENCE_S)["missed"]
        crowd.end()
        self._server.settle()
        self._delivered += 2 * self._plan.watched
        cost = (watched.cpu_us - alone.cpu_us) * WATCHED_PER_S / 1e6
        facts = {"streams": STREAMS, "per_s_alone": alone.received, "per_s": watched.received}
        return {"crowd": {**facts, "missed": missed, "cpu_percent": round(100 * cost, 1)}}

    def _memory(self) -> Report:
        missing = self._plan.deliveries - self._delivered
        if missing > 0:
            self._say(f"{missing} more events, to see the memory after {self._plan.deliveries}")
            self._deliver(missing)
            self._delivered += missing
        self._server.settle()
        return {"rss_mb": round(self._server.rss_mb(), 1), "rss_after_deliveries": self._delivered}

    def _history(self) -> Report:
        """Lists of a data folder that holds nothing but a long history."""
        rows, server = self._plan.history, self._history_server
        server.start()
        with Client(server) as client:
            endpoints = [self._register(f"{self._urls['bulk']}/{n}", client) for n in range(3)]
        server.stop()
        history.seed(server.data / "simulator.sqlite3", rows, self._progress)
        report: Report = {"start_to_page_s": round(server.start(), 2)}
        self._say(f"Lists of {rows:,} deliveries")
        with Client(server) as client:
            lists = history.read_lists(client, endpoints[0], rows, self._plan.lists)
            pages = self._pages(client, self._plan.lists)
        worst = max(lists, key=lambda name: lists[name]["p95"])
        facts = {"rows": rows, "worst": worst, "worst_p95_ms": lists[worst]["p95"]}
        report["history"] = {**facts, "list_ms": lists, "page_ms": pages}
        server.stop()
        return report | self._waiting()

    def _waiting(self) -> Report:
        """Retries of a server in which many others wait for their time."""
        rows, server = self._plan.waiting, self._history_server
        self._say(f"Retries while {rows:,} deliveries wait for theirs")
        history.let_wait(server.data / "simulator.sqlite3", rows)
        server.start()
        idle = self._idle_cpu(server)
        with Client(server) as client:
            late = self._lateness(client)
        return {"retry_late_ms": in_ms(late), "waiting": {"rows": rows, "idle_cpu_percent": idle}}

    def _lateness(self, client: Client) -> list[float]:
        """Seconds from the moment that the API names for a retry until the receiver had it; it names whole ms."""
        endpoint = self._register(self._urls["failing"], client, retry={"delays": [RETRY_S]})
        due: dict[str, float] = {}
        for _ in range(self._plan.retries):
            wanted = {"type": TYPE, "endpoints": [endpoint]}
            [delivery] = client.api("POST", "/events", wanted, wanted=202)["deliveries"]
            while delivery["status"] != "pending" or not delivery["attempt_count"]:
                delivery = client.api("GET", f"/deliveries/{delivery['id']}")
            due[delivery["id"]] = datetime.fromisoformat(delivery["next_attempt_at"]).timestamp()
        clock = time.time() - time.perf_counter()
        seen: Counter[str] = Counter()
        late: list[float] = []
        while len(late) < len(due):
            heard = self._sink.hear("delivery", PATIENCE_S)
            seen[heard["delivery"]] += 1
            if seen[heard["delivery"]] == 2 and heard["delivery"] in due:
                late.append(heard["received"] + clock - due[heard["delivery"]])
        return late

    def _progress(self, done: int) -> None:
        self._say(f"Filling the history: {done:,} of {self._plan.history:,} deliveries")


def machine() -> Report:
    return {
        "cpus": cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "httpx": version("httpx"),
    }
