"""`manage.py bench` as a user runs it: it measures, says so in the promised shape, and leaves nothing behind."""

import gc
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from rich.console import Console

from simulator.bench import bare, history
from simulator.bench.figures import in_ms, percentile
from simulator.bench.goals import GOALS, Goal, show
from simulator.bench.processes import Child, Failed

from .serving import DEFAULTS, ROOT
from .waiting import wait_until

LONG = 120.0  # a busy machine may take its time: how long is nobody's claim here


class Run:
    """A bench of its own, whose temporary folders are below `folder`."""

    def __init__(self, folder: Path, *options: str, **env: str):
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.said: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "django", "bench", *options],
            cwd=ROOT,
            env={
                **os.environ,
                **DEFAULTS,
                "SIM_DATA_DIR": str(folder / "users"),
                "TMPDIR": str(self.temporary),
                **env,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        self.said += self._process.stderr

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def finish(self) -> tuple[int, str]:
        """Exit code and standard output."""
        try:
            output = self._process.stdout.read()
            return self._process.wait(LONG), output
        finally:
            self._process.kill()
            self._reader.join()
            self._process.stdout.close()
            self._process.stderr.close()

    def left_processes(self) -> list[str]:
        """Command lines of processes that live in its temporary folder, or serve those that do."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if str(self.temporary).encode() in (entry / "environ").read_bytes():
                        found.append((entry / "cmdline").read_text())
                except OSError:
                    pass  # it ended meanwhile, or is another user's
        return found


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    if not Path("/proc").is_dir():
        pytest.skip("what is left behind is looked for in /proc")
    started: list[Run] = []

    def start(*options: str, **env: str) -> Run:
        started.append(Run(tmp_path, *options, **env))
        return started[-1]

    yield start
    for one in started:
        one._process.kill()
        one._process.wait()


def is_spread(summary: dict[str, float]) -> bool:
    """A summary of real moments: positive, in order, of something."""
    return 0 < summary["p50"] <= summary["p95"] <= summary["p99"] <= summary["max"] and summary["n"] >= 1


@pytest.mark.long
def test_it_measures_everything_it_promises_and_leaves_nothing_behind(run):
    bench = run("--quick", "--json")
    code, output = bench.finish()
    assert code == 0, bench.said
    report: dict[str, Any] = json.loads(output)

    assert report["deliveries_per_s"] > 10 and report["bare_httpx_per_s"] > 10
    assert report["ratio"] == round(report["deliveries_per_s"] / report["bare_httpx_per_s"], 2)
    assert (
        report["received_per_s"] >= report["deliveries_per_s"]
    )  # the console hears of it after the receiver
    for name in ("deliveries_per_s", "bare_httpx_per_s", "transport_per_s", "ratio"):
        low, high = report["range"][name]
        assert 0 < low <= high
    low, high = report["range"]["bare_httpx_per_s"]
    assert low <= report["bare_httpx_per_s"] <= high

    assert all(is_spread(report["click_ms"][when]) for when in ("idle", "batch", "batch_and_pages"))
    assert is_spread(report["click_to_stream_ms"])
    assert all(
        is_spread(report["page_ms"][page][when]) for page in ("console", "rows") for when in ("idle", "batch")
    )
    lists = report["history"]["list_ms"]
    assert {"newest", "cursor", "endpoint", "q in one", "q in none"} < set(lists)
    assert all(is_spread(took) for took in lists.values())
    assert report["history"]["worst_p95_ms"] == max(took["p95"] for took in lists.values())

    assert report["transport_1000_per_s"] > 10 and 0 < report["transport_share_of_slow"] <= 1.05
    assert report["crowd"]["missed"] == 0 and 0 < report["crowd"]["per_s"] < 1100
    assert is_spread(report["retry_late_ms"])
    assert 0 <= report["idle_cpu_percent"] < 100 and 0 <= report["waiting"]["idle_cpu_percent"] < 100
    assert 30 < report["rss_mb"] < 2000
    assert 0 < report["start_to_page_s"] and 0 < report["first_start_s"]
    assert report["cpu_us"] > 10 and report["bare_httpx_cpu_us"] > 10
    batches = [report[name]["sent"] for name in ("batch", "batch_and_pages")]
    assert all(0 < sent <= report["batch"]["events"] for sent in batches)
    assert report["rss_after_deliveries"] == 3 * report["events_per_round"] + sum(batches) + 2 * 200
    assert {"cpus", "python", "sqlite"} <= set(report["machine"])
    assert report["date"].endswith("Z")
    assert {each["verdict"] for each in report["goals"]} <= {"missed", "must", "goal"}

    assert any("Round 1 of 3" in line for line in bench.said)
    assert not any("Traceback" in line or "Warning" in line for line in bench.said)
    assert list(bench.temporary.iterdir()) == []
    assert bench.left_processes() == []


@pytest.mark.long
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_in_the_middle_it_ends_its_processes_and_removes_its_folder(run, number: int, expected: int):
    bench = run("--quick")
    wait_until(lambda: any("Idle" in line for line in bench.said), 60, "the first measure")
    assert len(bench.left_processes()) > 1
    bench.signal(number)
    code, output = bench.finish()
    assert (code, output) == (expected, "")
    assert not any("Traceback" in line for line in bench.said)
    assert list(bench.temporary.iterdir()) == []
    assert bench.left_processes() == []


def test_a_server_that_does_not_start_is_said_in_one_line(run, tmp_path: Path):
    (tmp_path / "daphne.py").write_text(
        "raise RuntimeError('planted')"
    )  # the server needs it, the bench does not
    bench = run("--quick", PYTHONPATH=str(tmp_path))
    code, output = bench.finish()
    assert (code, output) == (3, "")
    assert bench.said[-1] == "The server ended (exit code 1): RuntimeError: planted.\n"
    assert not any("Traceback" in line for line in bench.said)
    assert list(bench.temporary.iterdir()) == []


def test_both_sizes_at_once_are_refused(run):
    bench = run("--quick", "--full")
    code, output = bench.finish()
    assert (code, output) == (2, "")
    assert not any("Traceback" in line for line in bench.said)


def test_help_shows_an_example(run):
    code, output = run("--help").finish()
    assert code == 0 and "manage.py bench --json" in output


# --- its parts


def child(folder: Path, *command: str) -> Child:
    return Child(command[0], *command, env=dict(os.environ), errors=folder / "errors.txt")


def request(body: bytes, *headers: str) -> bytes:
    lines = ["POST /webhook HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answered(connection: socket.socket, count: int = 1) -> bytes:
    """The next `count` answers."""
    received = b""
    while received.count(b'{"received":true}') < count:
        received += connection.recv(1000)
    return received


def test_the_sink_counts_each_request_once_however_its_bytes_arrive(tmp_path: Path):
    sink = child(tmp_path, "simulator.bench.sink")
    try:
        port = sink.hear("bulk", 10)["bulk"]
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            whole = request(b'{"n":1}')
            for part in (whole[:20], whole[20:-3], whole[-3:]):
                connection.sendall(part)
            assert answered(connection).startswith(b"HTTP/1.1 200 ")
            connection.sendall(whole + whole + whole[:-1])
            answered(connection, 2)
            connection.sendall(whole[-1:] + whole + request(b""))
            answered(connection, 3)
        sink.say(tell=True)
        tally = sink.hear("count", 5)
        assert tally["count"] == 6
        assert 0 < tally["last"] <= time.perf_counter()
        sink.say(tell=True)
        assert sink.hear("count", 5)["count"] == 0
    finally:
        sink.end()


def test_the_sink_tells_a_timed_request_by_its_delivery_at_once(tmp_path: Path):
    sink = child(tmp_path, "simulator.bench.sink")
    try:
        port = sink.hear("timed", 10)["timed"]
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            before = time.perf_counter()
            connection.sendall(request(b"{}", "X-UltraReach-Delivery-Id: dlv_1"))
            heard = sink.hear("delivery", 5)
        assert heard["delivery"] == "dlv_1"
        assert before < heard["received"] < time.perf_counter()
    finally:
        sink.end()


@pytest.mark.parametrize("module", ["sink", "bare"])
def test_a_helper_process_ends_with_its_parent(module: str):
    helper = subprocess.Popen(
        [sys.executable, "-m", f"simulator.bench.{module}"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    helper.stdin.close()  # as the kernel does when the parent is gone, however it went
    assert helper.wait(10) == 0


async def test_a_measure_of_the_transport_that_fails_leaves_the_collector_as_it_was():
    before = gc.get_threshold()
    with pytest.raises(TimeoutError):
        async with bare.transport("http://127.0.0.1:1/", b"{}", 1):
            assert gc.get_threshold() != before
            raise TimeoutError
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


def test_a_process_that_ends_is_a_failure_in_one_line(tmp_path: Path):
    gone = child(tmp_path, "simulator.bench.nowhere")
    with pytest.raises(
        Failed, match=r"^The simulator\.bench\.nowhere ended \(exit code 1\): .*No module named .*\.$"
    ):
        gone.hear("anything", 10)
    gone.end()


@pytest.mark.long
def test_a_filled_history_is_what_the_product_itself_would_have_written(server):
    endpoint = server.api("GET", "/webhooks").json["data"][0]["id"]
    server.stop()
    history.seed(server.data_dir / "simulator.sqlite3", 400, lambda done: None)
    server.start()
    found = {
        name: server.api("GET", f"/deliveries?{urlencode({**query, 'limit': 200})}").json["data"]
        for name, query in history.filters(endpoint, 400).items()
    }
    assert [delivery["event"]["id"] for delivery in found["newest"]] == sorted(
        (delivery["event"]["id"] for delivery in found["newest"]), reverse=True
    )
    assert {
        name: len(data) for name, data in found.items() if name.startswith(("status=f", "code", "q in"))
    } == {
        "status=failed": 28,
        "code=503": 8,
        "code=5xx": 16,
        "code=refused": 12,
        "q in most": 200,
        "q in one": 1,
        "q in none": 0,
    }
    assert all(
        data for name, data in found.items() if name not in ("q in none", "q of two characters", "q, status")
    )
    [one] = found["q in one"]
    shown = server.api("GET", f"/deliveries/{one['id']}").json
    assert history.event_id(200) in shown["attempts"][0]["request"]["body"]
    assert server.get(f"/deliveries/{one['id']}/").status == 200


def test_a_percentile_is_a_value_that_was_measured():
    values = [float(n) for n in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.01, 0.5, 0.95, 0.99, 1.0)] == [1, 50, 95, 99, 100]
    assert percentile([7.0], 0.5) == percentile([7.0], 0.99) == 7
    assert in_ms([0.001, 0.002, 0.003]) == {"p50": 2, "p95": 3, "p99": 3, "max": 3, "n": 3}


def test_a_goal_is_missed_met_or_reached_in_its_own_direction():
    fast = Goal("", "", sign="≥", must=5, goal=8)
    assert [fast.verdict(value) for value in (4.99, 5, 8)] == ["missed", "must", "goal"]
    short = Goal("", "", sign="≤", must=25, goal=10)
    assert [short.verdict(value) for value in (25.1, 25, 10)] == ["missed", "must", "goal"]
    assert Goal("", "", must=5).verdict(1) == "must"
    assert Goal("", "").verdict(1) == ""


def test_the_table_names_every_goal_and_marks_what_was_missed():
    report: dict[str, Any] = {}
    for goal in GOALS:
        *way, last = goal.path.split(".")
        into = report
        for name in way:
            into = into.setdefault(name, {})
        into[last] = 6.0
    took = {"p50": 1.0, "p95": 2.0}
    report |= {
        "range": {"ratio": [5.5, 6.5]},
        "date": "2025-02-07T02:55:00Z",
        "rounds": 3,
        "events_per_round": 400,
    }
    report |= {
        "machine": {"cpus": 2, "system": "Linux", "python": "3.11.7", "sqlite": "3.40.1"},
        "batch": {"events": 1500, "sent": 1500},
        "batch_and_pages": {"sent": 900},
    }
    report |= {"rss_after_deliveries": 2800}
    report["history"] |= {"rows": 2000, "list_ms": {"q in one": took}, "page_ms": {"console": took}}
    shown = io.StringIO()
    show(report, Console(file=shown, width=140))
    lines = {line.split("  ")[0]: line for line in shown.getvalue().splitlines() if not line.startswith(" ")}
    assert {goal.title for goal in GOALS if not goal.title.startswith(" ")} <= set(lines)
    assert (
        lines["Deliveries ÷ bare httpx"].split()[-1:] == ["must"]
        and "5.5–6.5" in lines["Deliveries ÷ bare httpx"]
    )
    assert lines["Click → receiver, idle, p50"].split()[-1:] == ["missed"]
    assert lines["Click → receiver, idle, p99"].split()[-1:] == ["goal"]
    assert lines["q in one"].split()[-2:] == ["1", "2"]
