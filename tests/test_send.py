"""`send` as a user runs it: a process of its own, forked to be there sooner, with a server and without."""

import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from .forking import Fork
from .receiving import Answer, Receiver
from .serving import DEFAULTS, Server
from .waiting import wait_until

Run = subprocess.CompletedProcess[str]


@pytest.fixture
def kind_of_server(forked: Callable[..., Server]) -> Callable[..., Server]:
    return forked


@dataclass(frozen=True)
class Begun:
    """A `send` under way, and what it has written so far."""

    process: Fork
    output: Path
    errors: Path

    @property
    def said(self) -> str:
        return self.output.read_text()

    @property
    def wrong(self) -> str:
        return self.errors.read_text() if self.errors.exists() else ""


@pytest.fixture
def begun(tmp_path: Path) -> Callable[..., Begun]:
    """Starts `send` in a data folder of this test, or in that of `server`; retries are a hundred times faster."""
    runs = count(1)

    def begin(*args: str, server: Server | None = None, **env: str) -> Begun:
        here = {**os.environ, **DEFAULTS, "SIM_DATA_DIR": str(tmp_path / "data"), "SIM_RETRY_SCALE": "0.01"}
        said, wrong = (tmp_path / f"{name}{next(runs)}.txt" for name in ("said", "wrong"))
        return Begun(
            Fork(["send", *args], {**(server.env if server else here), **env}, said, wrong), said, wrong
        )

    return begin


@pytest.fixture
def send(begun: Callable[..., Begun]) -> Callable[..., Run]:
    """Runs it to its end."""

    def run(*args: str, within: float = 30, **options: Any) -> Run:
        one = begun(*args, **options)
        done = Run(args, one.process.wait(within), one.said, one.wrong)
        assert "Traceback" not in done.stderr, done.stderr
        assert "Warning" not in done.stderr, done.stderr
        return done

    return run


def lines(done: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_without_a_server_it_delivers_by_itself_and_tells_every_attempt(
    send: Callable[..., Run], receiver: Receiver
) -> None:
    receiver.answer(500, Answer(503, b"busy"), 200)
    done = send("lead.qualified", "--to", receiver.url)
    assert done.returncode == 0, done.stderr
    text = done.stdout
    assert receiver.url in text
    assert [text.index(f"attempt {number}  {status}") for number, status in ((1, 500), (2, 503), (3, 200))]
    assert "→" in text and "delivered after 3 attempts" in text
    assert [request.headers["x-ultrareach-attempt"] for request in receiver.requests] == ["1", "2", "3"]
    assert len({request.headers["x-ultrareach-event-id"] for request in receiver.requests}) == 1


def test_without_a_server_several_at_once_take_turns_and_say_so(
    begun: Callable[..., Begun], receiver: Receiver
) -> None:
    receiver.answer(503)  # until it is told otherwise, the first one follows its retries
    four = [begun("lead.qualified", "--to", receiver.url, SIM_RETRY_SCALE="0.5") for _ in range(4)]
    waiting = wait_until(
        lambda: len(says := [one for one in four if "Waiting" in one.wrong]) == 3 and says, 20
    )
    receiver.answer(200)
    assert [one.process.wait(30) for one in four] == [0, 0, 0, 0], [one.wrong for one in four]
    assert all(one.wrong.count("\n") == 1 and "another send" in one.wrong for one in waiting)
    assert all("delivered after" in one.said for one in four)
    assert len({request.headers["x-ultrareach-event-id"] for request in receiver.requests}) == 4


def test_one_that_is_stopped_while_it_waits_says_that_nothing_was_sent(
    begun: Callable[..., Begun], receiver: Receiver
) -> None:
    receiver.answer(503)
    first = begun("lead.qualified", "--to", receiver.url, SIM_RETRY_SCALE="1")
    receiver.wait_for(1, within=20)
    second = begun("lead.qualified", "--to", receiver.url)
    wait_until(lambda: "Waiting" in second.wrong, 20)
    for one, told in ((second, "Stopped before anything was sent."), (first, "stays queued.")):
        one.process.send_signal(signal.SIGINT)
        assert one.process.wait(20) == 130
        assert one.wrong.endswith(told + "\n") and "Traceback" not in one.wrong
    assert len({request.headers["x-ultrareach-event-id"] for request in receiver.requests}) == 1


def test_with_a_server_it_goes_through_the_server(
    send: Callable[..., Run], server: Server, receiver: Receiver
) -> None:
    done = send("lead.qualified", "--to", receiver.url, "--json", server=server)
    assert done.returncode == 0, done.stderr
    sent = lines(done)[0]
    (delivery,) = server.api("GET", "/deliveries").json["data"]
    assert delivery["id"] == sent["deliveries"][0]["id"]
    assert (delivery["trigger"], delivery["status"]) == ("cli", "succeeded")


def test_a_receiver_that_fails_to_the_end_is_exit_1_with_a_hint(
    send: Callable[..., Run], receiver: Receiver
) -> None:
    receiver.stop()
    done = send("lead.qualified", "--to", receiver.url)
    assert done.returncode == 1
    assert "attempt 6  refused" in done.stdout and "failed after 6 attempts" in done.stdout
    assert done.stdout.count(f"→ Nothing listens on :{receiver.port}") == 1


def test_a_receiver_that_is_gone_does_not_keep_it_waiting(
    send: Callable[..., Run], receiver: Receiver
) -> None:
    """410 pauses the endpoint: nothing happens until somebody resumes it."""
    receiver.answer(410)
    done = send("lead.qualified", "--to", receiver.url)
    assert done.returncode == 1
    assert "paused" in done.stdout
    receiver.answer(200)
    assert send("lead.qualified", "--to", receiver.url).returncode == 0


def test_json_is_one_object_a_line(send: Callable[..., Run], receiver: Receiver) -> None:
    receiver.answer(500, 200)
    done = send("lead.qualified", "--to", receiver.url, "--json")
    told = lines(done)
    assert [each["kind"] for each in told] == ["event", "attempt", "attempt", "delivery"]
    assert [each["attempt"]["response"]["status_code"] for each in told[1:3]] == [500, 200]
    assert told[3]["delivery"]["status"] == "succeeded"
    body = told[0]["event"]["body"].encode()
    assert receiver.requests[0].body == receiver.requests[1].body == body
    assert told[0]["event"]["sha256"] == hashlib.sha256(body).hexdigest()


def test_data_and_single_fields_can_be_set(
    send: Callable[..., Run], receiver: Receiver, tmp_path: Path
) -> None:
    file = tmp_path / "data.json"
    file.write_text('{"lead": {"score": 1}, "keep": "é"}')
    settings = ["lead.score=90", "name=Ann", 'quoted="90"', "none=null", "empty=", "list=[1, 2]", "eq=a=b"]
    options = [part for each in settings for part in ("--set", each)]
    assert send("lead.qualified", "--to", receiver.url, "--data", f"@{file}", *options).returncode == 0
    assert receiver.requests[0].json["data"] == {
        "lead": {"score": 90},
        "keep": "é",
        "name": "Ann",
        "quoted": "90",
        "none": None,
        "empty": "",
        "list": [1, 2],
        "eq": "a=b",
    }
    assert send("lead.qualified", "--to", receiver.url, "--data", '{"a": 1.0}').returncode == 0
    assert b'"data":{"a":1.0}' in receiver.requests[1].body


def test_count_sends_as_many_events_each_its_own(send: Callable[..., Run], receiver: Receiver) -> None:
    done = send("lead.qualified", "--to", receiver.url, "--count", "5")
    assert done.returncode == 0
    assert done.stdout.count("delivered after 1 attempt") == 5
    assert len({request.json["id"] for request in receiver.requests}) == 5


def test_without_a_target_everyone_who_subscribes_gets_it(
    send: Callable[..., Run], server: Server, receiver: Receiver
) -> None:
    new = {"url": receiver.url, "events": ["property.matched"]}
    endpoint = server.api("POST", "/webhooks", new).json["id"]
    assert send("property.matched", server=server).returncode == 0
    assert send("lead.qualified", "--endpoint", endpoint, server=server).returncode == 0
    assert [request.json["type"] for request in receiver.wait_for(2)] == [
        "property.matched",
        "lead.qualified",
    ]


def test_when_only_paused_endpoints_would_get_it_that_is_the_reason(
    send: Callable[..., Run], server: Server
) -> None:
    new = {"url": "http://localhost:1/", "events": ["property.matched"], "status": "paused"}
    endpoint = server.api("POST", "/webhooks", new).json["id"]
    for chosen in ([], ["--endpoint", endpoint]):
        done = send("property.matched", *chosen, server=server)
        assert done.returncode == 2
        assert f"skipped {endpoint}: paused" in done.stdout
        assert "is paused" in done.stderr and "subscribes" not in done.stderr


def test_no_wait_leaves_the_rest_to_the_next_engine_and_says_so_when_there_is_none(
    send: Callable[..., Run], receiver: Receiver, make_server: Callable[..., Server], tmp_path: Path
) -> None:
    later = "the next `python3 manage.py up` sends it"
    left = [send("lead.qualified", "--to", receiver.url, "--no-wait", *json) for json in ([], ["--json"])]
    assert [done.returncode for done in left] == [0, 0]
    assert left[0].stdout.count(later) == 1
    assert [each["kind"] for each in lines(left[1])] == ["event", "left"] and later in left[1].stdout
    assert receiver.requests == []
    server = make_server(folder=tmp_path)
    receiver.wait_for(2)
    served = send("lead.qualified", "--to", receiver.url, "--no-wait", server=server)
    assert (served.returncode, later in served.stdout) == (0, False)


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["lead.qualfied", "--to", "http://localhost:1/"], "lead.qualified"),
        (["lead.qualified", "--to", "ftp://localhost/"], "ftp"),
        (["lead.qualified", "--to", "http://example.com/"], "https"),
        (["lead.qualified", "--endpoint", "ep_1"], "ep_1"),
        (["lead.qualified", "--to", "http://localhost:1/", "--endpoint", "ep_1"], "not allowed"),
        (["lead.qualified", "--data", "{"], "line 1, column 2"),
        (["lead.qualified", "--data", "[]"], "object"),
        (["lead.qualified", "--data", '{"a": NaN}'], "NaN"),
        (["lead.qualified", "--data", "@/no/such/file"], "/no/such/file"),
        (["lead.qualified", "--set", "score"], "path=value"),
        (["lead.qualified", "--to", "http://localhost:1/", "--set", "triggers.0=1"], "triggers"),
        (["lead.qualified", "--count", "0"], "1 to 10,000"),
        (["lead.qualified", "--count", "many"], "1 to 10,000"),
        (["lead.qualified"], "nobody subscribes to lead.qualified"),
        ([], "TYPE"),
        (["lead.qualified", "--nope"], "--nope"),
    ],
)
def test_bad_input_is_exit_2_and_says_what_is_wrong(
    send: Callable[..., Run], args: list[str], word: str
) -> None:
    done = send(*args)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert word in done.stderr


def test_bad_input_is_exit_2_through_a_server_too(send: Callable[..., Run], server: Server) -> None:
    for args, word in (
        (["lead.qualfied", "--to", "http://localhost:1/"], "lead.qualified"),
        (["lead.qualified", "--endpoint", "ep_1"], "ep_1"),
        (["lead.qualified", "--to", "http://localhost:1/", "--set", "triggers.0=1"], "triggers"),
    ):
        done = send(*args, server=server)
        assert done.returncode == 2, done.stderr
        assert word in done.stderr


@pytest.mark.parametrize(
    ("args", "code", "details"),
    [
        (["lead.qualfied"], "INVALID_PARAMETER", {"field": "type", "reason": "unknown_event_type"}),
        (["lead.qualified", "--set", "triggers.0=1"], "INVALID_PARAMETER", {"field": "overrides.triggers.0"}),
        (["lead.qualified"], "INVALID_PARAMETER", {}),
        (["lead.qualified", "--data", "{"], "INVALID_PARAMETER", {}),
        (["lead.qualified", "--count", "0"], "INVALID_PARAMETER", {}),
    ],
)
def test_with_json_bad_input_is_the_error_that_the_api_gives_with_a_server_and_without(
    send: Callable[..., Run], server: Server, args: list[str], code: str, details: dict[str, Any]
) -> None:
    for done in (send(*args, "--json"), send(*args, "--json", server=server)):
        assert done.returncode == 2
        error = lines(done)[-1]["error"]
        assert (error["type"], error["code"]) == ("validation_error", code)
        assert error["message"] and error["message"] in done.stderr
        assert error["details"].items() >= details.items()
        assert error.keys() == {"type", "code", "message", "details", "request_id"}


@pytest.mark.parametrize("served", [False, True])
def test_data_of_up_to_a_mebibyte_is_sent_whoever_carries_it_out(
    send: Callable[..., Run], server: Server, receiver: Receiver, tmp_path: Path, served: bool
) -> None:
    by = {"server": server} if served else {}
    for letters, code in ((510_000, 0), (530_000, 2)):  # of two bytes each
        file = tmp_path / "data.json"
        file.write_text(json.dumps({"text": "ë" * letters}, ensure_ascii=False), encoding="utf-8")
        done = send("lead.qualified", "--to", receiver.url, "--data", f"@{file}", "--no-wait", **by)
        assert (done.returncode, "at most 1 MiB" in done.stderr) == (code, code == 2), done.stderr


def test_an_environment_in_the_way_is_exit_3(
    send: Callable[..., Run], server: Server, tmp_path: Path
) -> None:
    wrong_key = send("lead.qualified", server=server, SIM_API_KEY="another-key-of-16")
    assert wrong_key.returncode == 3 and "SIM_API_KEY" in wrong_key.stderr
    file = tmp_path / "file"
    file.write_text("")
    keys = {"SECRET_KEY": "x" * 50, "SIM_API_KEY": "x" * 16}
    assert send("lead.qualified", SIM_DATA_DIR=str(file / "x"), **keys).returncode == 3
    folder = tmp_path / "garbage"
    folder.mkdir()
    database = folder / "simulator.sqlite3"
    database.write_bytes(b"no database " * 1000)
    done = send("lead.qualified", "--to", "http://localhost:1/", SIM_DATA_DIR=str(folder))
    assert done.returncode == 3 and str(database) in done.stderr
    assert database.read_bytes() == b"no database " * 1000
    done = send("lead.qualified", "--to", "http://localhost:1/", "--json", SIM_DATA_DIR=str(folder))
    assert done.returncode == 3
    [told] = lines(done)
    error = told["error"]
    assert (error["type"], error["message"] + "\n") == ("server_error", done.stderr)


def make_newer(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as writer:
        writer.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('simulator', '9999_later', '2030-01-01')"
        )
        writer.commit()


def damage(file: Path) -> None:
    damaged = bytearray(file.read_bytes())
    damaged[8192:40_960] = b"\xa5" * 32_768
    file.write_bytes(damaged)


@pytest.mark.parametrize(
    ("spoil", "cure"),
    [(make_newer, "Update the simulator"), (damage, "move it away")],
)
def test_a_database_that_a_server_would_refuse_is_refused(
    send: Callable[..., Run], tmp_path: Path, spoil: Callable[[Path], None], cure: str
) -> None:
    args = ("lead.qualified", "--to", "http://localhost:1/", "--no-wait")
    assert send(*args).returncode == 0
    file = tmp_path / "data" / "simulator.sqlite3"
    spoil(file)
    before = file.read_bytes()
    done = send(*args)
    assert (done.returncode, done.stdout) == (3, "")
    assert str(file) in done.stderr and cure in done.stderr
    assert file.read_bytes() == before


def test_a_database_that_another_program_holds_is_named(send: Callable[..., Run], tmp_path: Path) -> None:
    args = ("lead.qualified", "--to", "http://localhost:1/")
    assert send(*args, "--no-wait").returncode == 0
    file = tmp_path / "data" / "simulator.sqlite3"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        done = send(*args)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert f"{file} cannot be used (database is locked)" in done.stderr


def test_a_proxy_in_the_shell_sees_nothing(
    send: Callable[..., Run], server: Server, receiver: Receiver
) -> None:
    proxy = Receiver().start()
    shell = {name: proxy.url for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy")}
    assert send("lead.qualified", "--to", receiver.url, server=server, **shell).returncode == 0
    assert send("lead.qualified", "--to", receiver.url, **shell).returncode == 0
    proxy.stop()
    assert proxy.requests == []


def test_what_a_receiver_wrote_cannot_drive_the_terminal(
    send: Callable[..., Run], receiver: Receiver
) -> None:
    receiver.answer(b"HTTP/1.1 404 \x1b[2JGone\r\ncontent-length: 0\r\n\r\n")
    done = send("lead.qualified", "--to", receiver.url)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout


def test_help_has_an_example(send: Callable[..., Run]) -> None:
    done = send("--help")
    assert done.returncode == 0
    assert "manage.py send lead.qualified --to http://localhost:3000/webhook --set" in done.stdout
