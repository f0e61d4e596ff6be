"""The transport against real sockets: what leaves, what is shared, what is refused, and how it ends."""

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import httpx
import pytest

from simulator.dialling import getaddrinfo
from simulator.outcome import LateAnswer, Outcome
from simulator.targets import judge
from simulator.wire import Transport

from .faults.behaviours import MIB
from .faults.receiver import FaultReceiver, listening
from .waiting import until


def post(url: str, content: bytes = b"{}", headers: Any = None) -> httpx.Request:
    return httpx.Request("POST", url, headers=headers, content=content)


async def sent(transport: Transport, url: str, *, owner: object = "one", timeout: float = 2.0) -> Outcome:
    return await transport.exchange(post(url), owner=owner, timeout=timeout)


def resolving(*answers: list[str]) -> Any:
    """A resolver that gives these addresses, one list a look-up, the last one for ever."""
    queue = list(answers)

    def resolve(host: str, port: int) -> list[tuple[Any, ...]]:
        addresses = queue.pop(0) if len(queue) > 1 else queue[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return resolve


# --- what leaves


async def test_the_request_arrives_byte_for_byte_as_it_was_given(
    faulty: FaultReceiver, transport: Transport
) -> None:
    headers = [
        ("host", f"127.0.0.1:{faulty.port}"),
        ("content-type", "application/json"),
        ("X-Mixed-Case", "kept"),
        ("x-twice", "1"),
        ("x-twice", "2"),
        ("content-length", "7"),
        ("accept-encoding", "identity"),
    ]
    await transport.exchange(post(faulty.url("/a%20b/ü?q=1&q=%2F"), b'{"a":1}', headers), owner=1, timeout=2)
    expected = [b"POST /a%20b/%C3%BC?q=1&q=%2F HTTP/1.1", *(f"{n}: {v}".encode() for n, v in headers)]
    assert faulty.requests[0].raw == b"\r\n".join(expected) + b'\r\n\r\n{"a":1}'


async def test_only_host_length_and_identity_encoding_are_added(
    faulty: FaultReceiver, transport: Transport
) -> None:
    await transport.exchange(post(faulty.url("/x"), b"{}", {"x-own": "1"}), owner=1, timeout=2)
    names = [line.partition(b":")[0].lower() for line in faulty.requests[0].head.split(b"\r\n")[1:-2]]
    assert sorted(names) == [b"accept-encoding", b"content-length", b"host", b"x-own"]
    assert faulty.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("body", [b"", b"\0\xff\r\n\r\n", bytes(range(256)) * 40, b"x" * MIB], ids=len)
async def test_any_body_arrives_unchanged(faulty: FaultReceiver, transport: Transport, body: bytes) -> None:
    outcome = await transport.exchange(post(faulty.url("/"), body), owner=1, timeout=5)
    assert outcome.error is None
    assert faulty.requests[0].body == body


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\rb", "a\0b"])
async def test_a_header_with_a_line_break_is_refused_before_anything_is_dialled(
    faulty: FaultReceiver, transport: Transport, value: str
) -> None:
    outcome = await transport.exchange(post(faulty.url("/"), b"", {"x-own": value}), owner=1, timeout=2)
    assert (outcome.error, faulty.connections) == ("internal_error", 0)
    assert "line break" in outcome.message


async def test_a_url_that_slipped_past_validation_is_an_internal_error(transport: Transport) -> None:
    outcome = await transport.exchange(post("http://127.0.0.1:99999/"), owner=1, timeout=2)
    assert (outcome.error, outcome.phase) == ("internal_error", None)


async def test_a_body_that_comes_in_pieces_is_sent_with_its_length(
    faulty: FaultReceiver, transport: Transport
) -> None:
    async def pieces() -> AsyncGenerator[bytes]:
        yield b"one"
        yield b"two"

    request = httpx.Request("POST", faulty.url("/"), content=pieces())
    outcome = await transport.exchange(request, owner=1, timeout=2)
    assert outcome.error is None
    assert faulty.requests[0].body == b"onetwo"
    assert "transfer-encoding" not in faulty.requests[0].headers


# --- what comes back


async def test_an_outcome_tells_when_how_long_and_where(faulty: FaultReceiver, transport: Transport) -> None:
    outcome = await sent(transport, faulty.url("/delay?s=0.2"))
    assert list(outcome.phases) == ["connect", "send", "wait", "receive"]
    assert outcome.phases["wait"] >= 199
    assert sum(outcome.phases.values()) <= outcome.duration_ms
    assert outcome.remote_address == f"127.0.0.1:{faulty.port}"
    assert (outcome.status_code, outcome.reason, outcome.body, outcome.size, outcome.declared) == (
        200,
        "OK",
        b"ok",
        2,
        2,
    )


async def test_a_name_that_is_looked_up_has_a_dns_phase(faulty: FaultReceiver) -> None:
    transport = Transport(resolve=resolving(["127.0.0.1"]))
    outcome = await sent(transport, faulty.url("/", host="shop.test"))
    assert list(outcome.phases) == ["dns", "connect", "send", "wait", "receive"]
    assert faulty.requests[0].headers["host"] == f"shop.test:{faulty.port}"
    await transport.aclose()


async def test_localhost_reaches_a_receiver_that_listens_on_ipv6_only(transport: Transport) -> None:
    async with FaultReceiver(host="::1") as faulty:
        outcome = await sent(transport, f"http://localhost:{faulty.port}/")
        assert (outcome.error, outcome.remote_address) == (None, f"[::1]:{faulty.port}")


async def test_the_deadline_covers_the_whole_attempt_and_not_each_read(
    faulty: FaultReceiver, transport: Transport
) -> None:
    outcome = await sent(transport, faulty.url("/trickle"), timeout=0.5)
    assert outcome.error == "incomplete_response"
    assert 500 <= outcome.duration_ms <= 900


# --- late answers


async def test_an_answer_after_the_deadline_is_told_afterwards(
    faulty: FaultReceiver, transport: Transport
) -> None:
    late: list[LateAnswer] = []
    outcome = await transport.exchange(
        post(faulty.url("/delay?s=0.6")), owner=1, timeout=0.2, on_late=late.append
    )
    assert (outcome.error, outcome.status_code) == ("no_response", None)
    await until(lambda: bool(late), 3, "the late answer")
    assert late[0].status_code == 200
    assert 600 <= late[0].after_ms <= 900


async def test_a_late_answer_counts_from_the_beginning_of_its_attempt(faulty: FaultReceiver) -> None:
    """Look-up and connect included: else it might seem to have come in time."""

    def slow(host: str, port: int) -> list[tuple[Any, ...]]:
        threading.Event().wait(0.3)
        return getaddrinfo("127.0.0.1", port)

    transport, late = Transport(resolve=slow), list[LateAnswer]()
    url = faulty.url("/delay?s=0.4", host="slow.example")
    outcome = await transport.exchange(post(url), owner=1, timeout=0.5, on_late=late.append)
    assert outcome.error == "no_response"
    await until(lambda: bool(late), 3, "the late answer")
    assert 700 <= late[0].after_ms <= 1000
    await transport.aclose()


async def test_only_four_late_answers_of_one_endpoint_are_waited_for(
    faulty: FaultReceiver, transport: Transport
) -> None:
    late: list[LateAnswer] = []
    sends = [
        transport.exchange(post(faulty.url("/delay?s=0.8")), owner=1, timeout=0.2, on_late=late.append)
        for _ in range(10)
    ]
    assert {o.error for o in await asyncio.gather(*sends)} == {"no_response"}
    await until(lambda: faulty.now_open == 0, 3, "the receiver to be quiet")
    await until(lambda: len(late) == 4, 3, "four late answers")


async def test_of_a_late_answer_no_more_than_its_head_is_waited_for(transport: Transport) -> None:
    """Python's HTTPServer with HTTP/1.1 keeps one without a length open, and serves nobody else meanwhile."""
    late: list[LateAnswer] = []

    async def without_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.4)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nok")
        await reader.read()

    async with listening(without_end) as port:
        url = f"http://127.0.0.1:{port}/"
        await transport.exchange(post(url), owner=1, timeout=0.2, on_late=late.append)
        await until(lambda: not transport._busy, 3, "the connection to be let go")
    assert [answer.status_code for answer in late] == [200]


async def test_a_receiver_that_takes_no_more_connections_is_not_kept_waiting_for_a_late_answer(
    transport: Transport,
) -> None:
    """It may serve one to its end before the next, and have forgotten to answer that one."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        first = transport.exchange(post(url), owner=1, timeout=0.2, on_late=lambda late: None)
        forgotten, _ = await asyncio.gather(loop.sock_accept(server), first)
        assert [connection.listens_on for connection in transport._busy] == [True]
        with forgotten[0] as served:
            others = [sent(transport, url, owner=n, timeout=0.5) for n in range(5)]
            assert "connect_timeout" in {outcome.error for outcome in await asyncio.gather(*others)}
            async with asyncio.timeout(2):
                while await loop.sock_recv(served, 65_536):
                    pass  # the request, and then the end


async def test_nobody_waits_for_a_late_answer_that_nobody_asked_for(
    faulty: FaultReceiver, transport: Transport
) -> None:
    await sent(transport, faulty.url("/delay?s=0.5"), timeout=0.1)
    assert not transport._busy


# --- how it ends


async def test_a_cancelled_send_closes_its_socket(faulty: FaultReceiver, transport: Transport) -> None:
    send = asyncio.ensure_future(sent(transport, faulty.url("/stop-reading")))
    await until(lambda: faulty.now_open == 1, 2, "a send under way")
    send.cancel()
    with pytest.raises(asyncio.CancelledError):
        await send
    assert not transport._busy


async def test_closing_the_transport_ends_what_is_under_way_as_interrupted(faulty: FaultReceiver) -> None:
    transport = Transport()
    send = asyncio.ensure_future(sent(transport, faulty.url("/never")))
    await until(lambda: faulty.now_open == 1, 2, "a send under way")
    await transport.aclose()
    assert (await send).error == "interrupted"


# --- who may be dialled


async def test_the_guard_judges_the_address_that_is_dialled_and_not_the_name(faulty: FaultReceiver) -> None:
    """A name that leads to an allowed address first and to a metadata service at the next look-up."""
    transport = Transport(resolve=resolving(["127.0.0.1"], ["169.254.169.254"]))
    url = faulty.url("/", host="rebinding.test")
    assert (await sent(transport, url)).error is None
    transport.forget("one")
    outcome = await sent(transport, url)
    assert (outcome.error, outcome.remote_address) == ("blocked_target", f"169.254.169.254:{faulty.port}")
    assert len(faulty.requests) == 1
    await transport.aclose()


async def test_of_several_addresses_only_an_allowed_one_is_dialled(faulty: FaultReceiver) -> None:
    transport = Transport(resolve=resolving(["169.254.169.254", "127.0.0.1"]))
    outcome = await sent(transport, faulty.url("/", host="mixed.test"))
    assert (outcome.error, outcome.remote_address) == (None, f"127.0.0.1:{faulty.port}")
    assert list(outcome.phases) == ["dns", "connect", "send", "wait", "receive"]
    await transport.aclose()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "0", "127.9.9.9", "[::1]", "[::]"]
    + ["[::ffff:127.0.0.1]", "LOCALHOST", "localhost.", "app.localhost", "own.test"],
)
async def test_l09_no_spelling_of_ourselves_is_sent_to_but_for_the_built_in_receiver(
    faulty: FaultReceiver, host: str
) -> None:
    ours = {("127.0.0.1", faulty.port)}
    transport = Transport(guard=partial(judge, own_listeners=ours), resolve=resolving(["127.0.0.1"]))
    for path in ("/api/v1/events", "/", "/receiver/../api", "/receiver/%2e%2e/api", "/receiverx"):
        outcome = await sent(transport, faulty.url(path, host=host))
        assert outcome.error == "blocked_self", (path, outcome)
    assert (faulty.connections, faulty.requests) == (0, [])
    await transport.aclose()


async def test_l09_the_built_in_receiver_is_sent_to(faulty: FaultReceiver) -> None:
    transport = Transport(guard=partial(judge, own_listeners={("127.0.0.1", faulty.port)}))
    assert (await sent(transport, faulty.url("/receiver/orders?status=503"))).error is None
    await transport.aclose()


async def test_a_connection_to_the_receiver_is_not_used_for_the_api(faulty: FaultReceiver) -> None:
    transport = Transport(guard=partial(judge, own_listeners={("127.0.0.1", faulty.port)}))
    assert (await sent(transport, faulty.url("/receiver/"))).error is None
    assert (await sent(transport, faulty.url("/api/v1/events"))).error == "blocked_self"
    assert len(faulty.requests) == 1
    await transport.aclose()


# --- probing


async def test_a_probe_connects_and_sends_nothing(faulty: FaultReceiver, transport: Transport) -> None:
    outcome = await transport.probe(faulty.url("/hook"), timeout=2)
    assert (outcome.error, list(outcome.phases)) == (None, ["connect"])
    assert outcome.remote_address == f"127.0.0.1:{faulty.port}"
    await until(lambda: faulty.connections == 1 and not faulty.talks, 2, "the probe to be gone")
    assert faulty.requests == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://x.invalid/", "dns_failed"),
        ("http://169.254.169.254/", "blocked_target"),
        ("http://", "internal_error"),
    ],
)
async def test_a_probe_names_what_is_in_the_way(transport: Transport, url: str, code: str) -> None:
    outcome = await transport.probe(url, timeout=2)
    assert (outcome.error, bool(outcome.message)) == (code, True)


# --- under httpx's own client


async def test_it_serves_as_the_transport_of_an_httpx_client(faulty: FaultReceiver) -> None:
    async with httpx.AsyncClient(transport=Transport(), timeout=0.5) as client:
        response = await client.post(faulty.url("/status?code=404"), json={"a": 1})
        assert (response.status_code, response.text) == (404, "chosen")
        assert response.extensions["outcome"].error == "status"
        head = await client.head(faulty.url("/status?code=200"))
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "6", b"")
        assert (await client.post(faulty.url("/redir-away"))).headers["location"].endswith("/elsewhere")
        with pytest.raises(httpx.ReadTimeout, match="no answer within"):
            await client.post(faulty.url("/never"))
        with pytest.raises(httpx.ConnectError, match="not an allowed target"):
            await client.post("http://169.254.169.254/")
        with pytest.raises(httpx.RemoteProtocolError, match="did not answer in valid HTTP"):
            await client.post(faulty.url("/http09"))
