"""Daphne as this tool runs it, around an application of the test's own: limits, its own errors, and the way down."""

import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from .serving import DEFAULTS, ROOT
from .waiting import wait_until

# In a process of its own, because a reactor runs once. Says what happens, in order.
PROGRAM = """
import asyncio, sys
import django
django.setup()
from console import listening
from console.server import Server

over = asyncio.Event()

def say(what):
    print(what, flush=True)

async def page(scope, receive, send):
    if scope["path"].endswith("broken"):
        raise RuntimeError("planted")
    if scope["path"] == "/hang":
        say("hangs")
        try:
            await asyncio.Event().wait()
        finally:
            say("page ended")
    if scope["path"] == "/large":
        say("begins")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1024):
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
        say("all sent")
    if scope["path"] == "/late":
        say("waits")
        await over.wait()
        for _ in range(3):  # what it waited for comes back from a thread, and so does its answer
            await asyncio.to_thread(int)
    size, more = 0, True
    while more:
        event = await receive()
        size, more = size + len(event["body"]), event["more_body"]
    if scope["path"] != "/large":
        await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % size})

async def talk(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") == "bye":
            await send({"type": "websocket.close", "code": 1013})
        else:
            await send({"type": "websocket.send", "text": "x" * int(event["text"].split()[0])})

async def application(scope, receive, send):
    await (page if scope["type"] == "http" else talk)(scope, receive, send)

async def started():
    say(f"port {port}")
    if "fail" in sys.argv:
        raise RuntimeError("planted")

async def stopping():
    say("engine stopped")
    over.set()

bound = listening.bind("127.0.0.1", 0)
port = bound.getsockname()[1]  # the server closes it for the reactor's own copy
server = Server(application, [bound], started=started, stopping=stopping)
server.run()
say(f"failure {server.failure!r}")
"""
KIB = 1024
MAX_BODY = 1024 * KIB + 64 * KIB
MAX_FRAME, MAX_SENT_FRAME = 16 * KIB, 256 * KIB


class Program:
    def __init__(self, folder: Path, *arguments: str):
        self._output, self._errors = folder / "stdout.txt", folder / "stderr.txt"
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *arguments],
                cwd=ROOT,
                env={**os.environ, **DEFAULTS},
                stdout=output,
                stderr=errors,
            )
        wait_until(lambda: self.said or self.process.poll() is not None, 20, "its port")
        assert self.said, self._errors.read_text()
        self.port = int(self.said[0].removeprefix("port "))

    @property
    def said(self) -> list[str]:
        """Whole lines only."""
        *lines, _ = self._output.read_text().split("\n")
        return lines

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def call(self, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the answer."""
        caller = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with closing(caller):
            caller.request("POST", path, body)
            answer = caller.getresponse()
            return answer.status, answer.read()

    def talk(self) -> ClientConnection:
        return connect(f"ws://127.0.0.1:{self.port}/", max_size=None)

    def end(self) -> list[str]:
        """What it said after SIGTERM, once it has ended."""
        before = len(self.said)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0, self._errors.read_text()
        return self.said[before:]

    def finish(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


@pytest.fixture
def make_program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    made: list[Program] = []

    def make(*arguments: str) -> Program:
        made.append(Program(tmp_path, *arguments))
        return made[-1]

    yield make
    for program in made:
        program.finish()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One that tests only talk to."""
    running = Program(tmp_path_factory.mktemp("server"))
    yield running
    running.finish()


def test_a_body_up_to_the_limit_arrives_whole_and_one_byte_more_is_refused(program: Program) -> None:
    assert program.call("/", b"x" * MAX_BODY) == (200, b"%d" % MAX_BODY)
    status, body = program.call("/", b"x" * (MAX_BODY + 1))
    assert (status, body) == (
        413,
        b"Too large: a body, or the data of an event, may have at most 1 MiB. Nothing was done; shorten it.\n",
    )


@pytest.mark.parametrize("reads", [True, False])
def test_a_large_answer_waits_for_its_client(make_program: Callable[..., Program], reads: bool) -> None:
    """Or a client that does not read makes the server hold all of it; the program says when it has nothing left."""
    program = make_program()
    with socket.create_connection(("127.0.0.1", program.port), 10) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: "begins" in program.said, 10, "the answer to begin")
        assert program.call("/", b"hello") == (200, b"5")  # so it had its turn, and others have theirs
        assert "all sent" not in program.said
        if reads:
            received = http.client.HTTPResponse(client)
            received.begin()
            assert len(received.read()) == 64 * 1024 * KIB + 1
    wait_until(lambda: "all sent" in program.said, 10, "the program to be done with it")


def test_a_page_that_breaks_says_so_in_our_words_and_tells_nothing(program: Program) -> None:
    status, body = program.call("/broken")
    assert (status, body) == (500, b"The simulator has a bug here. See its log in the terminal.\n")


def test_below_the_api_nothing_is_ever_a_500(program: Program) -> None:
    status, body = program.call("/api/v1/broken")
    assert (status, json.loads(body)["error"]["type"]) == (503, "server_error")


@pytest.mark.parametrize("kind", [str, str.encode])
@pytest.mark.parametrize("size", [MAX_FRAME + 1, MAX_SENT_FRAME + 1])
def test_a_frame_beyond_the_limit_ends_its_socket_with_1009(
    program: Program, kind: Callable[[str], str | bytes], size: int
) -> None:
    with program.talk() as talking:
        talking.send("1".ljust(MAX_FRAME))
        assert talking.recv(5) == "x"
        talking.send(kind("1".ljust(size)))
        with pytest.raises(ConnectionClosed) as closed:
            talking.recv(5)
        assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize("flood", ["pings", "empty fragments"])
def test_a_flood_that_no_application_sees_ends_its_socket_with_1008(program: Program, flood: str) -> None:
    with program.talk() as talking:
        for _ in range(20):
            assert talking.ping().wait(5)
        with pytest.raises(ConnectionClosed) as closed:
            if flood == "pings":
                for _ in range(10_000):
                    talking.ping()
            else:
                talking.send("" for _ in range(10_000))
            talking.recv(5)
        assert closed.value.rcvd.code == 1008


def test_what_is_sent_may_be_sixteen_times_as_long(program: Program) -> None:
    with program.talk() as talking:
        talking.send(str(MAX_SENT_FRAME))
        assert len(talking.recv(5)) == MAX_SENT_FRAME


def test_an_application_may_close_a_socket_with_any_code(program: Program) -> None:
    with program.talk() as talking:
        talking.send("bye")
        with pytest.raises(ConnectionClosed) as closed:
            talking.recv(5)
        assert closed.value.rcvd.code == 1013


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux sets limits of another process")
def test_that_no_file_is_left_for_new_connections_is_said_once(make_program: Callable[..., Program]) -> None:
    program = make_program()
    files = len(os.listdir(f"/proc/{program.process.pid}/fd")) + 10
    resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE, (files, files))
    with ExitStack() as held:
        clients = [
            held.enter_context(socket.create_connection(("127.0.0.1", program.port), 5)) for _ in range(30)
        ]
        wait_until(lambda: sum(map(is_closed, clients)) >= 15, 10, "connections to be closed")
        [line] = wait_until(lambda: program.errors.endswith("\n") and program.errors, 5).splitlines()
    assert f"New connections are closed at once: the limit of open files (ulimit -n {files})" in line
    assert wait_until(lambda: tried(program), 10, "an answer") == (200, b"0")


def is_closed(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def tried(program: Program) -> tuple[int, bytes] | None:
    try:
        return program.call("/")
    except (OSError, http.client.HTTPException):
        return None


def test_on_the_way_down_the_engine_ends_first_and_then_pages_that_would_not(
    make_program: Callable[..., Program],
) -> None:
    program = make_program()
    with socket.create_connection(("127.0.0.1", program.port), 5) as half, program.talk() as talking:
        half.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: "hangs" in program.said)
        assert program.end() == ["engine stopped", "page ended", "failure None"]
        with pytest.raises(ConnectionClosed) as closed:
            talking.recv(5)
        assert closed.value.rcvd.code == 1001


def test_a_page_that_waited_for_the_engines_end_is_still_answered(
    make_program: Callable[..., Program],
) -> None:
    program = make_program()
    with closing(http.client.HTTPConnection("127.0.0.1", program.port, timeout=5)) as client:
        client.request("GET", "/late")
        wait_until(lambda: "waits" in program.said)
        assert program.end() == ["engine stopped", "failure None"]
        assert client.getresponse().status == 200


def test_a_start_that_fails_ends_it_and_is_told_to_who_started_it(
    make_program: Callable[..., Program],
) -> None:
    program = make_program("fail")
    assert program.process.wait(10) == 0
    assert program.said[1:] == ["failure RuntimeError('planted')"], "what never started is not stopped"
