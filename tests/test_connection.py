"""A connection over its life: used again, found dead, spoken on too early, answered before it was read."""

import asyncio
import itertools
import select
import socket
import struct
import threading
from collections.abc import AsyncIterator

import pytest

from simulator import wire
from simulator.connection import LINE_WAIT, Connection
from simulator.outcome import Outcome
from simulator.turns import Turns
from simulator.wire import Transport

from .faults.behaviours import MIB
from .faults.ending import ends, hint, post
from .faults.receiver import FaultReceiver, listening
from .waiting import until


@pytest.fixture
async def untold() -> AsyncIterator[list[dict[str, object]]]:
    """What the event loop had to say that no one caught: must stay empty."""
    seen: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: seen.append(context))
    yield seen
    assert seen == []


async def test_r32_a_receiver_that_closes_soon_after_each_answer_causes_no_failure(
    faulty: FaultReceiver, transport: Transport
) -> None:
    url = faulty.url("/close-soon")
    left = iter(range(1000))

    async def sends() -> list[Outcome]:
        return [await transport.exchange(post(url), owner="one", timeout=5) for _ in left]

    outcomes = [o for part in await asyncio.gather(*(sends() for _ in range(10))) for o in part]
    assert len(outcomes) == 1000
    assert [o for o in outcomes if o.error] == []
    # a request that was repeated had got no answer; nothing arrived twice that had been answered
    assert len(faulty.requests) <= 1000 + sum(o.repeated for o in outcomes)


async def test_r32_a_reused_connection_that_dies_unanswered_is_repeated_once_and_then_not_reused(
    faulty: FaultReceiver, transport: Transport
) -> None:
    url = faulty.url("/close-second")
    outcomes = [(await ends(transport, url))[0] for _ in range(4)]
    assert [o.error for o in outcomes] == [None] * 4
    assert [o.repeated for o in outcomes] == [False, True, False, False]
    assert faulty.connections == 4  # one, its repeat, and one each since


async def test_r32_a_receiver_that_let_one_reused_connection_die_gets_another_chance_after_a_while(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "ONE_WAY_S", 0.3)
    came: list[int] = []  # the connection of each request
    connections = itertools.count()

    async def lets_the_first_die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(connections)
        while await reader.readuntil(b"{}"):
            came.append(number)
            if came == [0, 0]:
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with listening(lets_the_first_die) as port:
        url = f"http://127.0.0.1:{port}/"
        outcomes = [(await ends(transport, url))[0] for _ in range(4)]
        assert [o.repeated for o in outcomes] == [False, True, False, False]
        assert came == [0, 0, 1, 2, 3]
        async with asyncio.timeout(5):
            while came[-1] != came[-2]:
                outcomes.append((await ends(transport, url))[0])
        assert [o for o in outcomes if o.error] == []
        assert len(came) == len(outcomes) + 1


async def test_r32_a_receiver_that_dies_of_a_request_on_a_reused_connection_is_not_just_refused(
    transport: Transport,
) -> None:
    def dies_of_the_second(listener: socket.socket) -> None:
        with listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            connection.recv(65536)
            listener.close()

    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    thread = threading.Thread(target=dies_of_the_second, args=(listener,))
    thread.start()
    (first, _), (second, _), (third, _) = [await ends(transport, url) for _ in range(3)]
    await asyncio.to_thread(thread.join)
    assert (first.error, second.error, third.error) == (None, "refused", "refused")
    assert "with this request on it, unanswered" in second.message
    assert "while handling this request" in hint(second, url)
    assert third.message.endswith("Nothing listens on " + url[7:-1] + ".")


async def test_a_fresh_connection_that_dies_is_not_repeated(
    faulty: FaultReceiver, transport: Transport
) -> None:
    for path in ("/rst-now", "/close-now"):
        outcome, _ = await ends(transport, faulty.url(path))
        assert (bool(outcome.error), outcome.repeated) == (True, False)
    assert len(faulty.requests) == 2


@pytest.mark.parametrize("at_once", [True, False])
async def test_who_closes_as_soon_as_it_is_connected_has_not_answered(at_once: bool) -> None:
    """Its end may be seen between the moment in which a request is begun and that in which it is written."""
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        ours.setblocking(False)
        connection = Connection(ours, "127.0.0.1:1", Turns(), encrypted=False)
        await asyncio.get_running_loop().create_connection(lambda: connection, sock=ours)
        answer = await connection.start(b"POST / HTTP/1.1\r\n\r\n", timeout=1, deadline=1, at_once=at_once)
        connection.abort()
    assert (answer.status, answer.error) in [(None, "closed_before_response"), (None, "reset")]


@pytest.mark.parametrize("at_once", [True, False])
async def test_who_has_reset_it_before_the_request_is_written_is_not_written_to(
    untold: list[dict[str, object]], at_once: bool
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as ours,
    ):
        theirs, _ = listener.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        ours.setblocking(False)
        connection = Connection(ours, "127.0.0.1:1", Turns(), encrypted=False)
        await asyncio.get_running_loop().create_connection(lambda: connection, sock=ours)
        await until(lambda: connection.closed, 2, "the reset to be seen")
        answer = await connection.start(b"POST / HTTP/1.1\r\n\r\n", timeout=1, deadline=1, at_once=at_once)
    assert (answer.status, answer.error) == (None, "reset")


async def test_r32_an_end_that_lies_unread_in_the_kernel_is_seen_before_a_byte_is_sent(
    transport: Transport,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answers_and_closes() -> None:
            for _ in range(2):
                with server.accept()[0] as talk:
                    talk.recv(65536)
                    talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        closing = threading.Thread(target=answers_and_closes)
        closing.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        first, _ = await ends(transport, url)
        connection = next(iter(transport._idle))
        assert select.select([connection.sock], [], [], 2)[
            0
        ]  # the FIN is here; the loop has not looked since
        second, _ = await ends(transport, url)
        closing.join(2)
    assert (first.error, second.error, second.repeated) == (None, None, False)


SIZED = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"
UNSIZED = b"HTTP/1.1 413 Too Large\r\n\r\nbig"
UNSIZED_2XX = b"HTTP/1.1 200 OK\r\n\r\nbig"


@pytest.mark.parametrize(
    ("said", "ended", "broken_by", "end"),
    [
        (SIZED, False, BrokenPipeError(), (413, b"big", None)),
        (UNSIZED, False, ConnectionResetError(), (413, b"big", None)),
        (UNSIZED_2XX, True, BrokenPipeError(), (200, b"big", None)),
        (UNSIZED_2XX, False, ConnectionResetError(), (200, b"big", "body_truncated")),
        (UNSIZED_2XX, True, ConnectionResetError(), (200, b"big", "body_truncated")),  # the reset's own "end"
        (b"", True, BrokenPipeError(), (None, b"", "closed_before_response")),
        (b"", True, ConnectionResetError(), (None, b"", "reset")),
    ],
)
async def test_r33_what_lies_unread_when_the_write_fails_is_read(
    said: bytes, ended: bool, broken_by: OSError, end: tuple[int | None, bytes, str | None]
) -> None:
    """Which of the two a selector reports first is its own affair: on Linux reading, elsewhere not always."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        connection = Connection(ours, "127.0.0.1:1", Turns(), encrypted=False)
        connection.connection_made(Mute())
        waiter = connection.start(b"POST / HTTP/1.1\r\n\r\n", timeout=1, deadline=1)
        await asyncio.sleep(0)  # it is written in the loop's next round
        theirs.sendall(said)
        if ended:
            theirs.shutdown(socket.SHUT_WR)
        connection.connection_lost(broken_by)
        answer = await waiter
    assert (answer.status, bytes(answer.body), answer.error) == end


async def test_an_answer_that_came_as_the_deadline_passed_is_an_answer() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(ours, "127.0.0.1:1", Turns(), encrypted=False)
        connection.connection_made(Mute())
        waiter = connection.start(b"POST / HTTP/1.1\r\n\r\n", timeout=1, deadline=1)
        said = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        connection.get_buffer(-1)[: len(said)] = said
        connection.buffer_updated(len(said))
        connection.expire()
        answer = await waiter
    assert (answer.status, answer.error) == (200, None)


async def test_a_deadline_inside_a_bad_line_finds_a_bad_response(
    faulty: FaultReceiver, transport: Transport
) -> None:
    outcome, took = await ends(transport, faulty.url("/no-line"), timeout=0.2)
    assert (outcome.error, outcome.body) == ("bad_response", b"nothing like it")
    assert took < LINE_WAIT


async def test_who_closes_in_the_middle_of_a_line_is_not_waited_for(
    faulty: FaultReceiver, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.connection.LINE_WAIT", 60)
    outcome, took = await ends(transport, faulty.url("/no-line-and-closes"), timeout=30)
    assert (outcome.error, outcome.body) == ("bad_response", b"nothing like it")
    assert took < 20


async def test_a_fault_of_ours_while_an_answer_is_read_is_an_internal_error_and_no_traceback(
    faulty: FaultReceiver,
    transport: Transport,
    untold: list[dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaks(length: bytes) -> int:
        raise ArithmeticError(f"{length!r} is too much")

    monkeypatch.setattr("simulator.head.storable", breaks)
    outcome, took = await ends(transport, faulty.url("/"))
    assert (outcome.error, outcome.status_code) == ("internal_error", None)
    assert "ArithmeticError: b'2' is too much" in outcome.message
    assert took < 1


class Mute:
    """A transport that takes everything and does nothing."""

    def set_write_buffer_limits(self, high: int) -> None: ...

    def write(self, data: bytes) -> None: ...


@pytest.mark.parametrize("path", ["/early-413", "/early-413-unsized", "/early-413-reset"])
async def test_r33_an_early_413_is_recorded_however_the_connection_ends(
    faulty: FaultReceiver, transport: Transport, untold: list[dict[str, object]], path: str
) -> None:
    body = b"x" * MIB
    url = faulty.url(path)
    outcomes = [await transport.exchange(post(url, body), owner="one", timeout=5) for _ in range(100)]
    assert [(o.error, o.status_code, o.body) for o in outcomes] == [("status", 413, b"too large")] * 100


@pytest.mark.parametrize("size", [100_000, 300_000, 600_000])
@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("/half-close", (None, 200, b"thanks")),
        ("/half-close-silent", ("closed_before_response", None, b"")),
    ],
)
async def test_a_last_word_that_meets_our_last_bytes_is_heard(
    *,
    faulty: FaultReceiver,
    transport: Transport,
    untold: list[dict[str, object]],
    path: str,
    end: tuple[str | None, int | None, bytes],
    size: int,
) -> None:
    sent = post(faulty.url(path), b"x" * size)

    async def one_after_the_other(owner: int) -> list[Outcome]:
        return [await transport.exchange(sent, owner=owner, timeout=5) for _ in range(10)]

    four = await asyncio.gather(*map(one_after_the_other, range(4)))
    outcomes = [outcome for lane in four for outcome in lane]
    assert [(o.error, o.status_code, o.body) for o in outcomes] == [end] * 40


@pytest.mark.parametrize(
    ("path", "keeps"),
    [
        (f"/answers-then-reads?reads={MIB}", True),
        (f"/answers-then-reads?reads={MIB}&more", False),
        (f"/answers-then-reads?reads={MIB}&bytes=300000", False),
        ("/half-close", False),
    ],
)
async def test_r33_a_receiver_that_says_2xx_before_it_reads_gets_the_whole_request(
    faulty: FaultReceiver, transport: Transport, untold: list[dict[str, object]], path: str, keeps: bool
) -> None:
    for _ in range(2):
        outcome = await transport.exchange(post(faulty.url(path), b"x" * MIB), owner="one", timeout=5)
        assert (outcome.error, outcome.status_code) == (None, 200)
        await until(lambda: faulty.state.pop("read", 0) == MIB, 2, "the receiver to have read it all")
    assert faulty.connections == (1 if keeps else 2)


@pytest.mark.parametrize("status", [200, 413])
async def test_r33_who_answers_and_stops_reading_is_not_waited_for_nor_sent_to_again(
    transport: Transport, status: int
) -> None:
    came: list[int] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d Known\r\nContent-Length: 0\r\n\r\n" % status)
        await writer.drain()
        came.append(status)
        if status == 413:
            await asyncio.Event().wait()

    async with listening(talk) as port:
        request = post(f"http://127.0.0.1:{port}/", b"x" * 16 * MIB)
        async with asyncio.timeout(5):
            outcomes = [await transport.exchange(request, owner="one", timeout=60) for _ in range(2)]
    assert [o.status_code for o in outcomes] == [status] * 2 and len(came) == 2


async def test_r23_no_redirect_is_followed(faulty: FaultReceiver, transport: Transport) -> None:
    async with FaultReceiver() as target:
        receiver_url = faulty.url("/redir-self")
        outcome, _ = await ends(transport, receiver_url)
        assert (outcome.error, len(faulty.requests), target.connections) == ("redirect", 1, 0)


async def test_r37_fifty_slow_sends_at_once_all_succeed(faulty: FaultReceiver, transport: Transport) -> None:
    sends = [ends(transport, faulty.url("/delay?s=0.5")) for _ in range(50)]
    assert [o.error for o, _ in await asyncio.gather(*sends)] == [None] * 50
    assert faulty.most_open == 50
    await until(lambda: faulty.now_open == 0, 2, "the receiver to be quiet")


async def test_bytes_nobody_asked_for_end_an_idle_connection(transport: Transport) -> None:
    chatty: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chatty.append(writer)
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.read()

    async with listening(talk) as port:
        url = f"http://127.0.0.1:{port}/"
        assert ((await ends(transport, url))[0]).error is None
        chatty[0].write(b"HTTP/1.1 500 Stray\r\nContent-Length: 0\r\n\r\n")
        await chatty[0].drain()
        outcome = (await ends(transport, url))[0]
    assert (outcome.status_code, len(chatty)) == (200, 2)


@pytest.mark.parametrize(
    ("banner", "error", "status"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "bad_response", None),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", "status", 503),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbusy", None, 200),
        (b"", "closed_before_response", None),
    ],
)
async def test_a_server_that_speaks_before_it_is_asked_is_heard(
    transport: Transport, banner: bytes, error: str | None, status: int | None
) -> None:
    asked = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        writer.write(banner)
        if banner:
            asked += (await reader.readline()).startswith(b"POST /?")
            await reader.read()

    async with listening(talk) as port:
        for n in range(20):  # the banner comes sometimes before the request leaves, sometimes after
            outcome = (await ends(transport, f"http://127.0.0.1:{port}/?{n}", timeout=1))[0]
            assert (outcome.status_code, outcome.body) == (status, b"busy" if status else banner)
            assert outcome.error in (error, "reset" if not banner else error)
        await until(
            lambda: asked == (20 if banner else 0), 2, "the request, which is sent whatever came before it"
        )


async def test_a_receiver_that_answers_as_soon_as_it_is_connected_gets_its_request_all_the_same(
    transport: Transport,
) -> None:
    """`nc -l` with a canned answer does that, and so does a proxy that is too busy to read."""
    asked: list[bytes] = []

    def answer_unasked(server: socket.socket) -> None:
        while True:
            try:
                talk, _ = server.accept()
            except OSError:
                return
            with talk:
                talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                asked.append(talk.recv(4096))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer_unasked, args=(server,))
        thread.start()
        port = server.getsockname()[1]
        outcomes = [(await ends(transport, f"http://127.0.0.1:{port}/?{n}"))[0] for n in range(100)]
        await until(lambda: len(asked) == 100, 2)
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    assert {outcome.status_code for outcome in outcomes} == {200}
    assert [request[:7] for request in asked] == [b"POST /?"] * 100
