"""What surrounds the engine goes wrong: a locked, full or lost database, a clock that is set, too few descriptors."""

import http.client
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ..receiving import Answer, Received, Receiver
from ..serving import Server
from ..test_surroundings import closed
from ..waiting import wait_until
from .probe import Probe

pytestmark = pytest.mark.long

STALL_S = 0.1
EVENT = {"type": "lead.qualified", "data": {"score": 87}}


def database(server: Server) -> Path:
    return server.data_dir / "simulator.sqlite3"


def register(server: Server, receiver: Receiver, **settings: object) -> str:
    body = {"url": receiver.url, "events": ["*"], "timeout": 30, **settings}
    return server.api("POST", "/webhooks", json=body).json["id"]


def status(server: Server, sent: dict) -> str:
    return server.api("GET", f"/deliveries/{sent['deliveries'][0]['id']}").json["status"]


def events(requests: list[Received]) -> list[str]:
    return [request.headers["x-ultrareach-event-id"] for request in requests]


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another process holds the write lock of the database."""
    code = (
        "import sqlite3, sys; rows = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "rows.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read(); rows.execute('ROLLBACK')"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "locked\n"
        yield
    finally:
        holder.stdin.close()
        holder.wait(5)
        holder.stdout.close()


def test_e13_a_database_locked_by_another_program_delays_and_loses_nothing(
    server: Server, receiver: Receiver
):
    register(server, receiver)
    receiver.answer(Answer(delay=0.5), 200)
    first = server.api("POST", "/events", json=EVENT).json
    receiver.wait_for(1)
    with Probe(server) as probe, locked(database(server)):
        refused = server.api("POST", "/events", json=EVENT)
        assert refused.status == 503
        assert refused.json["error"]["code"] == "DATABASE_LOCKED"
        assert int(refused.headers["retry-after"]) >= 1
        wait_until(lambda: server.get("/readyz").status == 503, 10, "/readyz to say so")
    second = server.api("POST", "/events", json=EVENT).json
    receiver.wait_for(2)
    wait_until(lambda: {status(server, first), status(server, second)} == {"succeeded"}, 10, "both successes")
    assert events(receiver.requests) == [first["event"]["id"], second["event"]["id"]], "nothing is sent twice"
    assert server.get("/readyz").status == 200
    assert probe.p95 <= STALL_S and probe.worst <= 5 * STALL_S, f"{probe.p95} {probe.worst}"
    assert not probe.broken


def test_e13_it_is_told_by_a_service_that_has_nothing_to_do_and_nobody_waits_twice(server: Server):
    with locked(database(server)):
        for _ in range(2):
            began = time.monotonic()
            assert server.api("POST", "/events", json=EVENT).json["error"]["code"] == "DATABASE_LOCKED"
            assert time.monotonic() - began < 7
            assert server.get("/readyz").status == 503
    wait_until(lambda: server.get("/readyz").status == 200, 2, "/readyz to say that it is over")
    assert server.errors.count("database is locked") == 1, "not once for each call"


def test_e08_with_e13_a_locked_database_does_not_keep_it_from_ending(server: Server, receiver: Receiver):
    register(server, receiver)
    receiver.answer(Answer(delay=1), 200)
    sent = server.api("POST", "/events", json=EVENT).json
    receiver.wait_for(1)
    with locked(database(server)):
        code, took = server.stop()
    assert (code, took < 6.5) == (0, True), took
    assert str(database(server)) in server.errors and "Nothing is lost" in server.errors
    server.start()
    receiver.wait_for(2)
    wait_until(lambda: status(server, sent) == "succeeded", 5, "its second attempt")
    assert events(receiver.requests) == [sent["event"]["id"]] * 2


@pytest.fixture
def small_disk(make_server: Callable[..., Server]) -> Server:
    """A server whose data folder is a disk of 4 MiB of its own, seen by nobody else."""
    if (
        not shutil.which("unshare")
        or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("a disk of one's own needs root and unshare")
    server = make_server(start=False)
    server.data_dir.mkdir()
    mount = f"mount -t tmpfs -o size=4m tmpfs '{server.data_dir}' && exec \"$@\""
    server.command = ["unshare", "-m", "sh", "-c", mount, "sh", *server.command]
    return server.start()


def test_e15_a_full_disk_refuses_what_it_cannot_keep_and_resumes_by_itself(
    small_disk: Server, receiver: Receiver
):
    server = small_disk
    register(server, receiver)
    large = {"type": "lead.qualified", "raw_body": "x" * 200_000}
    receiver.answer(Answer(delay=0.5), 200)
    accepted = [server.api("POST", "/events", json=EVENT).json["event"]["id"]]
    receiver.wait_for(1)

    def refused() -> bool:
        reply = server.api("POST", "/events", json=large)
        if reply.status == 202:
            accepted.append(reply.json["event"]["id"])
            return False
        assert (reply.status, reply.json["error"]["code"]) == (503, "DISK_FULL"), reply.text
        return True

    ballast = Path(f"/proc/{server.process.pid}/root{server.data_dir}/ballast")
    with Probe(server) as probe:
        fill(ballast)
        wait_until(refused, 15, "503 from a full disk")
        wait_until(lambda: server.get("/readyz").status == 503, 10, "a result that cannot be recorded")
        ballast.unlink()
        began = time.monotonic()
        wait_until(lambda: not refused(), 10, "202 after there is space again")
        wait_until(lambda: events(receiver.requests) == accepted, 10, "every accepted event, once")
        wait_until(lambda: server.get("/readyz").status == 200, 10, "/readyz")
    assert time.monotonic() - began <= 10
    assert probe.statuses == {200} and not probe.broken


def fill(ballast: Path) -> None:
    with open(ballast, "wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 65_536):
                pass
        except OSError:
            pass  # full


def test_e16_a_folder_that_cannot_be_looked_into_delays_and_loses_nothing(server: Server, receiver: Receiver):
    register(server, receiver)
    receiver.answer(Answer(delay=1), 200)
    first = server.api("POST", "/events", json=EVENT).json
    receiver.wait_for(1)
    with closed(server.data_dir):
        told = wait_until(lambda: server.get("/readyz").json.get("troubles"), 3, "/readyz to say so")
        assert str(database(server)) in told[0] and "links" in told[0], "which file, and why"
    wait_until(lambda: server.get("/readyz").status == 200, 3, "/readyz to say that it is over")
    second = server.api("POST", "/events", json=EVENT).json
    receiver.wait_for(2)
    wait_until(lambda: {status(server, first), status(server, second)} == {"succeeded"}, 10, "both successes")
    assert events(receiver.requests) == [first["event"]["id"], second["event"]["id"]], "nothing is sent twice"


def put_another_in_its_place(file: Path) -> None:
    shutil.copy(file, file.with_name("copy"))
    file.with_name("copy").rename(file)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def remove_the_folder(file: Path) -> None:
    shutil.rmtree(file.parent)


def remove_its_log(file: Path) -> None:
    file.with_name(f"{file.name}-wal").unlink()


@pytest.mark.parametrize(
    "harm", [Path.unlink, put_another_in_its_place, empty, remove_the_folder, remove_its_log]
)
def test_e16_a_database_file_that_goes_away_ends_the_service(
    make_server: Callable[..., Server], harm: Callable[[Path], None]
):
    server = make_server(SIM_API_KEY="")  # the one in the folder
    harm(database(server))
    told = wait_until(lambda: (r := server.get("/readyz")).status == 503 and r.json["troubles"], 3, "/readyz")
    assert str(database(server)) in told[0]
    assert server.api("POST", "/events", json=EVENT).status == 503
    assert str(database(server)) in server.get("/").text, "whether the page can still be drawn or not"
    assert server.stop()[0] == 3
    assert str(database(server)) in server.errors and "Traceback" not in server.errors


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_e16_without_the_files_beside_the_database_nothing_accepted_is_lost(
    server: Server, receiver: Receiver, suffix: str
):
    register(server, receiver)
    accepted = [server.api("POST", "/events", json=EVENT).json["event"]["id"]]
    receiver.wait_for(1)
    database(server).with_name(f"{database(server).name}{suffix}").unlink()

    def refused() -> bool:
        reply = server.api("POST", "/events", json=EVENT)
        if reply.status == 202:
            accepted.append(reply.json["event"]["id"])
        return reply.status == 503

    wait_until(lambda: refused() and suffix in server.get("/readyz").text, 3, "/readyz to name it")
    server.kill()
    server.start()
    wait_until(lambda: set(events(receiver.requests)) == set(accepted), 5, "every accepted event")
    with closing(sqlite3.connect(database(server))) as rows:
        assert rows.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_e19_ten_thousand_overdue_at_the_start_share_what_is_in_flight(
    make_server: Callable[..., Server], receiver: Receiver
):
    other = Receiver().start()
    server = make_server(SIM_CONCURRENCY="20")
    for to in (receiver, other):
        paused = register(server, to, max_in_flight=100, status="paused")
        assert server.api("POST", f"/webhooks/{paused}/test", json={}).status == 202
    server.stop()
    overdue(database(server), [9_500, 500])
    server.start(ready=False)
    most = 0

    def done() -> bool:
        nonlocal most
        with closing(sqlite3.connect(database(server))) as rows:
            query = "SELECT count(*), coalesce(sum(status = 'sending'), 0) FROM simulator_delivery WHERE due_at > 0"
            unfinished, sending = rows.execute(query).fetchone()
        most = max(most, sending)
        return unfinished == 0

    wait_until(lambda: server.output.count("Console ") == 2, 10, "its address")
    with Probe(server, "/readyz") as probe:
        wait_until(done, 40, "10,000 deliveries")
    assert 0 < most <= 20
    assert (len(receiver.requests), len(other.requests)) == (9_500, 500)
    assert other.requests[-1].at < receiver.requests[4_750].at, "the small one did not get its turn"
    assert probe.p95 <= 0.5 and not probe.broken
    other.stop()


def overdue(file: Path, counts: list[int]) -> None:
    """Instead of the one delivery that each endpoint holds: so many, due an hour ago."""
    an_hour_ago = f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%d %H:%M:%S}"
    with closing(sqlite3.connect(file)) as rows, rows:
        rows.row_factory = sqlite3.Row
        columns = [name for _, name, *_ in rows.execute("PRAGMA table_info(simulator_delivery)")]
        held = rows.execute(f"SELECT {','.join(columns)} FROM simulator_delivery ORDER BY id").fetchall()
        rows.execute("DELETE FROM simulator_delivery")
        rows.execute("UPDATE simulator_endpoint SET status = 'enabled', revision = revision + 1")
        rows.execute("UPDATE simulator_seq SET n = n + ?", [sum(counts)])
        seq = 0
        for one, count in zip(held, counts, strict=True):
            for number in range(count):
                seq += 1
                row = {**one, "id": one["id"] + number, "seq": seq, "lane": 1, "due_at": an_hour_ago}
                rows.execute(
                    f"INSERT INTO simulator_delivery ({','.join(row)}) VALUES ({','.join('?' * len(row))})",
                    list(row.values()),
                )


@pytest.mark.alone
def test_e22_one_endpoint_that_hangs_slows_no_other(server: Server, receiver: Receiver):
    hung = Receiver().start()
    hung.delay = 60
    register(server, hung, max_in_flight=100, events=["message.received"])
    register(server, receiver, events=["lead.qualified"])
    before = arrivals(server, receiver)
    server.api("POST", "/events/batch", json={"type": "message.received", "count": 100})
    hung.wait_for(80)
    with Probe(server) as probe:
        during = arrivals(server, receiver)
    assert during <= 2 * before + 0.05, f"{during} instead of {before}"
    assert probe.worst <= 5 * STALL_S and not probe.broken
    hung.stop()


@pytest.mark.alone
def test_e20_a_herd_of_retries_keeps_its_timetable_and_its_limit(server: Server, receiver: Receiver):
    failing, limit, delay, herd = Receiver().start(), 5, 6, 600
    failing.answer(503)
    failing.delay = 0.01
    register(
        server, failing, max_in_flight=limit, events=["message.received"], retry={"delays": [delay, delay]}
    )
    register(server, receiver, events=["lead.qualified"])
    before = arrivals(server, receiver)
    server.api("POST", "/events/batch", json={"type": "message.received", "count": herd})
    failing.wait_for(herd, within=delay)
    failing.answer(200)
    failing.wait_for(herd + 1, within=delay + 1)
    during = arrivals(server, receiver)
    wait_until(lambda: attempts_of(server, "succeeded", herd), 20, "every success")
    assert len(failing.requests) == 2 * herd
    assert failing.most_open <= limit
    assert during <= 2 * before + 0.05, f"{during} instead of {before}"
    first, second = (attempts_of(server, status, herd) for status in ("failed", "succeeded"))
    waited = [second[one][0] - sum(first[one]) for one in first]
    assert min(waited) >= delay - 0.003, "one was sent before its time"
    assert max(waited) <= delay + 0.5, "one came late"
    failing.stop()


def attempts_of(server: Server, status: str, count: int) -> dict[int, tuple[float, float]]:
    """Start (epoch seconds) and duration of the attempts that ended so, by delivery; none until there are so many."""
    query = (
        "SELECT delivery_id, (julianday(started_at) - 2440587.5) * 86400, duration_ms / 1000 FROM simulator_attempt a "
        "JOIN simulator_delivery d ON d.id = delivery_id WHERE a.status = ? AND d.type = 'message.received'"
    )
    with closing(sqlite3.connect(database(server))) as rows:
        found = {id: (started, took) for id, started, took in rows.execute(query, [status])}
    return found if len(found) == count else {}


def arrivals(server: Server, receiver: Receiver) -> float:
    """p95 of the seconds from a call to its arrival at the receiver, 20 a second."""
    seconds = []
    for _ in range(40):
        count, began = len(receiver.requests), time.time()
        server.api("POST", "/events", json=EVENT)
        receiver.wait_for(count + 1)
        seconds.append(receiver.requests[count].at - began)
        time.sleep(max(0.0, began + 0.05 - time.time()))
    return sorted(seconds)[int(0.95 * len(seconds))]


def limited(make_server: Callable[..., Server], files: int) -> Server:
    server = make_server(start=False)
    server.command = ["sh", "-c", f'ulimit -n {files} && exec "$@"', "sh", *server.command]
    return server.start()


def test_e25_with_very_few_descriptors_it_sends_steadily(
    make_server: Callable[..., Server], receiver: Receiver
):
    server = limited(make_server, 48)
    register(server, receiver)
    server.api("POST", "/events/batch", json={"type": "lead.qualified", "count": 100})
    receiver.wait_for(100, within=20)


@pytest.mark.parametrize("path", ["/static/js/app.js", "/endpoints/", "/nowhere/"])
def test_e25_a_page_whose_files_cannot_be_opened_is_refused_in_words(
    make_server: Callable[..., Server], path: str
):
    server = limited(make_server, 48)
    page = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)

    def asked(path: str) -> tuple[int, str]:
        page.request("GET", path)
        answer = page.getresponse()
        return answer.status, answer.read().decode()

    with closing(page):
        server.api("GET", "/deliveries")  # so that its thread has opened the database
        assert asked("/static/js/app.js")[0] == 200
        with ExitStack() as held:

            def full() -> bool:
                held.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=5))
                return asked("/static/js/app.js")[0] != 200

            wait_until(full, 10, "no descriptor for a file")
            status, text = asked(path)
            assert status == 503 and "open files" in text and "bug" not in text, text
        wait_until(lambda: asked(path)[0] != 503, 5, "the page again")


@pytest.mark.parametrize("files", [80, 112, 128])
def test_e25_with_few_descriptors_it_waits_and_loses_nothing(
    make_server: Callable[..., Server], receiver: Receiver, files: int
):
    server = limited(make_server, files)
    receiver.delay = 0.1
    register(server, receiver, max_in_flight=500)
    server.api("POST", "/events/batch", json={"type": "lead.qualified", "count": 500})
    receiver.wait_for(500, within=40)
    wait_until(lambda: not server.api("GET", "/deliveries?status=sending").json["data"], 10, "the end")
    assert server.api("GET", "/deliveries?code=internal_error").json["data"] == []
    assert len(set(events(receiver.requests))) == len(receiver.requests) == 500
