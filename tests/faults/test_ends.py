"""Faults of dialling, TLS and reuse: what cannot be a path of the fault receiver. Loopback only.

A filtered port is a listener whose backlog is full, no route is the broadcast address (TCP has none to it), and a
hung look-up is an injected resolver: no network namespace is needed.
"""

import asyncio
import contextlib
import datetime
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from simulator.connection import Connection
from simulator.failures import hint_for
from simulator.wire import Outcome, Transport

from ..waiting import until
from .receiver import MIB, FaultReceiver, listening


@pytest.fixture
async def receiver() -> AsyncIterator[FaultReceiver]:
    async with FaultReceiver() as started:
        yield started


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = Transport()
    yield made
    await made.aclose()


def post(url: str, content: bytes = b"{}") -> httpx.Request:
    return httpx.Request("POST", url, content=content)


def allow(address: str, port: int, path: str, scheme: str) -> None:
    return None


async def ends(transport: Transport, url: str, timeout: float = 8.0, **options: Any) -> tuple[Outcome, float]:
    began = time.perf_counter()
    outcome = await transport.exchange(post(url), owner=url, timeout=timeout, **options)
    return outcome, time.perf_counter() - began


def hint(outcome: Outcome, url: str) -> str:
    return hint_for(
        outcome.error or "",
        status_code=outcome.status_code,
        headers=outcome.headers,
        body=outcome.body,
        url=url,
        message=outcome.message,
    )


# --- R29, R30: connecting and look-up


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def filtered_port() -> Iterator[int]:
    """A port that drops every further SYN, as a firewall would: its backlog is full and never accepted."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_r29_a_closed_port_is_refused_at_once(transport: Transport, host: str) -> None:
    port = free_port()
    outcome, took = await ends(transport, f"http://{host}:{port}/hook")
    assert (outcome.error, outcome.phase) == ("refused", "connect")
    assert outcome.message == f"Nothing listens on {'127.0.0.1' if host == 'localhost' else host}:{port}."
    assert f":{port}" in hint(outcome, f"http://{host}:{port}/hook")
    assert took <= 0.5


async def test_r29_a_filtered_port_is_a_connect_timeout_after_five_seconds() -> None:
    transport = Transport()
    with filtered_port() as port:
        (slow, took), (quick, took_less) = await asyncio.gather(
            ends(transport, f"http://127.0.0.1:{port}/", timeout=15),
            ends(transport, f"http://127.0.0.1:{port}/", timeout=1),
        )
    assert (slow.error, quick.error) == ("connect_timeout", "connect_timeout")
    assert 4.9 <= took <= 5.5 and took_less <= 1.5
    assert "within 5 s" in slow.message and set(slow.phases) == {"connect"}
    await transport.aclose()


async def test_r29_an_address_without_a_route_is_unreachable() -> None:
    transport = Transport(guard=allow)
    outcome, took = await ends(transport, "http://255.255.255.255:81/")
    assert (outcome.error, outcome.phase, outcome.remote_address) == (
        "unreachable",
        "connect",
        "255.255.255.255:81",
    )
    assert took <= 1
    await transport.aclose()


async def test_r30_an_unknown_name_is_dns_failed(transport: Transport) -> None:
    outcome, _ = await ends(transport, "http://x.invalid/")
    assert (outcome.error, outcome.phase) == ("dns_failed", "dns")
    assert "x.invalid" in outcome.message


async def test_r30_a_hung_look_up_is_dns_timeout_within_its_limit_and_the_deadline() -> None:
    released = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hangs(host: str, port: int) -> list[tuple[Any, ...]]:
        asyncio.run_coroutine_threadsafe(released.wait(), loop).result(20)
        return []

    transport = Transport(resolve=hangs)
    (slow, took), (quick, took_less) = await asyncio.gather(
        ends(transport, "http://a.test/", timeout=15), ends(transport, "http://b.test/", timeout=1)
    )
    released.set()
    assert (slow.error, quick.error) == ("dns_timeout", "dns_timeout")
    assert 4.9 <= took <= 5.5 and took_less <= 1.5
    await transport.aclose()


async def test_out_of_descriptors_is_an_internal_error_that_names_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_left(*args: Any, **kwargs: Any) -> socket.socket:
        raise OSError(24, "Too many open files")

    transport = Transport()
    monkeypatch.setattr("simulator.dialling.socket.socket", none_left)
    outcome, _ = await ends(transport, "http://127.0.0.1:9/")
    assert outcome.error == "internal_error"
    assert "ulimit" in hint(outcome, "http://127.0.0.1:9/")


# --- R27, R28: TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def cafile(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
async def tls(cafile: str) -> AsyncIterator[Transport]:
    transport = Transport(cafile=cafile)
    yield transport
    await transport.aclose()


def speaks_tls(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


def long_ago(authority: trustme.CA) -> trustme.LeafCert:
    then = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    return authority.issue_cert("localhost", not_before=then, not_after=then + datetime.timedelta(days=1))


async def test_a_trusted_certificate_delivers_and_the_connection_is_used_again(
    authority: trustme.CA, tls: Transport
) -> None:
    async with FaultReceiver(ssl=speaks_tls(authority.issue_cert("localhost"))) as receiver:
        url = receiver.url("/", "https", "localhost")
        first, second = (await ends(tls, url))[0], (await ends(tls, url))[0]
        assert (first.error, second.error, receiver.connections) == (None, None, 1)
        assert list(first.phases) == ["connect", "tls", "send", "wait", "receive"]
        assert list(second.phases) == ["send", "wait", "receive"]
        large = await tls.exchange(post(url, b"x" * MIB), owner=url, timeout=5)
        assert large.error is None
        assert receiver.requests[-1].body == b"x" * MIB


@pytest.mark.parametrize(
    ("code", "certificate"),
    [
        ("tls_untrusted", lambda authority: trustme.CA().issue_cert("localhost")),
        ("tls_hostname", lambda authority: authority.issue_cert("elsewhere.example")),
        ("tls_expired", long_ago),
    ],
)
async def test_r27_a_bad_certificate_has_its_own_code_and_passes_without_checks(
    authority: trustme.CA, tls: Transport, code: str, certificate: Any
) -> None:
    async with FaultReceiver(ssl=speaks_tls(certificate(authority))) as receiver:
        url = receiver.url("/", "https", "localhost")
        outcome, took = await ends(tls, url)
        assert (outcome.error, outcome.phase, receiver.requests) == (code, "tls", [])
        assert "tls_verify" in hint(outcome, url)
        assert took <= 1
        unchecked, _ = await ends(tls, url, tls_verify=False)
        assert unchecked.error is None
        assert (await ends(tls, url))[
            0
        ].error == code  # the unchecked connection is not used for a checked send


async def test_r28_a_stalled_handshake_is_a_tls_timeout(tls: Transport) -> None:
    async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(says_nothing) as port:
        outcome, took = await ends(tls, f"https://127.0.0.1:{port}/", timeout=15)
    assert (outcome.error, outcome.phase) == ("tls_timeout", "tls")
    assert 4.9 <= took <= 5.5


async def test_r28_https_to_a_port_of_plain_http(receiver: FaultReceiver, tls: Transport) -> None:
    async def nginx(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async with listening(nginx) as port:
        url = f"https://127.0.0.1:{port}/hook"
        outcome, _ = await ends(tls, url)
    assert (outcome.error, outcome.phase) == ("tls_failed", "tls")
    assert "this port does not speak TLS" in outcome.message
    assert url.replace("https", "http") in hint(outcome, url)


async def test_r28_https_to_a_port_that_hangs_up_on_the_handshake(tls: Transport) -> None:
    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)

    async with listening(hangs_up) as port:
        url = f"https://127.0.0.1:{port}/hook"
        outcome, _ = await ends(tls, url)
    assert outcome.error == "tls_failed"
    assert "http" in hint(outcome, url)


async def test_r28_http_to_a_port_of_tls_hints_at_https(authority: trustme.CA, transport: Transport) -> None:
    async with FaultReceiver(ssl=speaks_tls(authority.issue_cert("localhost"))) as receiver:
        url = receiver.url("/hook", "http", "localhost")
        outcome, _ = await ends(transport, url)
        assert outcome.error in ("bad_response", "closed_before_response", "reset")
        assert "use https" in hint(outcome, url)


async def test_r28_a_tls_alert_in_answer_to_http_is_recognised(transport: Transport) -> None:
    async def alerts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x15\x03\x01\x00\x02\x02\x46")

    async with listening(alerts) as port:
        url = f"http://127.0.0.1:{port}/hook"
        outcome, _ = await ends(transport, url)
    assert outcome.error == "bad_response"
    assert f"use https in the URL ({url.replace('http', 'https')})" in hint(outcome, url)


async def test_a_server_that_wants_a_client_certificate_is_tls_failed(
    authority: trustme.CA, tls: Transport
) -> None:
    context = speaks_tls(authority.issue_cert("localhost"))
    context.verify_mode = ssl.CERT_REQUIRED

    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
        handshake = context.wrap_bio(coming, going, server_side=True)
        while data := await reader.read(65536):
            coming.write(data)
            with contextlib.suppress(ssl.SSLError):  # what is wrong goes out as an alert
                handshake.do_handshake()
            writer.write(going.read())

    async with listening(refuses) as port:
        outcome, _ = await ends(tls, f"https://localhost:{port}/")
    assert outcome.error == "tls_failed"
    assert "CERTIFICATE_REQUIRED" in outcome.message


# --- R32, R33: reuse, and answers before the request is read


async def test_r32_a_receiver_that_closes_soon_after_each_answer_causes_no_failure(
    receiver: FaultReceiver, transport: Transport
) -> None:
    url = receiver.url("/close-soon")
    left = iter(range(1000))

    async def sends() -> list[Outcome]:
        return [await transport.exchange(post(url), owner="one", timeout=5) for _ in left]

    outcomes = [o for part in await asyncio.gather(*(sends() for _ in range(10))) for o in part]
    assert len(outcomes) == 1000
    assert [o for o in outcomes if o.error] == []
    # a request that was repeated had got no answer; nothing arrived twice that had been answered
    assert len(receiver.requests) <= 1000 + sum(o.repeated for o in outcomes)


async def test_r32_a_reused_connection_that_dies_unanswered_is_repeated_once_and_then_not_reused(
    receiver: FaultReceiver, transport: Transport
) -> None:
    url = receiver.url("/close-second")
    outcomes = [(await ends(transport, url))[0] for _ in range(4)]
    assert [o.error for o in outcomes] == [None] * 4
    assert [o.repeated for o in outcomes] == [False, True, False, False]
    assert receiver.connections == 4  # one, its repeat, and one each since


async def test_a_fresh_connection_that_dies_is_not_repeated(
    receiver: FaultReceiver, transport: Transport
) -> None:
    for path in ("/rst-now", "/close-now"):
        outcome, _ = await ends(transport, receiver.url(path))
        assert (bool(outcome.error), outcome.repeated) == (True, False)
    assert len(receiver.requests) == 2


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
        connection = next(iter(transport._idle.values()))[0]
        assert select.select([connection.sock], [], [], 2)[
            0
        ]  # the FIN is here; the loop has not looked since
        second, _ = await ends(transport, url)
        closing.join(2)
    assert (first.error, second.error, second.repeated) == (None, None, False)


async def test_r33_an_answer_that_lies_unread_when_the_write_fails_is_read() -> None:
    """Which of the two a selector reports first is its own affair: on Linux reading, elsewhere not always."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        connection = Connection(ours, "127.0.0.1:1", encrypted=False)
        connection.connection_made(Mute())
        waiter = connection.start(b"POST / HTTP/1.1\r\n\r\n", timeout=1, deadline=1)
        theirs.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        connection.connection_lost(BrokenPipeError())
        answer = await waiter
    assert (answer.status, bytes(answer.body), answer.error) == (413, b"big", None)


class Mute:
    """A transport that takes everything and does nothing."""

    def set_write_buffer_limits(self, high: int, low: int) -> None: ...

    def write(self, data: bytes) -> None: ...


async def test_r33_an_early_413_is_recorded_however_the_connection_ends(
    receiver: FaultReceiver, transport: Transport
) -> None:
    body = b"x" * MIB
    url = receiver.url("/early-413")
    outcomes = [await transport.exchange(post(url, body), owner="one", timeout=5) for _ in range(100)]
    assert [(o.error, o.status_code, o.body) for o in outcomes] == [("status", 413, b"too large")] * 100


async def test_r23_no_redirect_is_followed(receiver: FaultReceiver, transport: Transport) -> None:
    async with FaultReceiver() as target:
        receiver_url = receiver.url("/redir-self")
        outcome, _ = await ends(transport, receiver_url)
        assert (outcome.error, len(receiver.requests), target.connections) == ("redirect", 1, 0)


async def test_r37_fifty_slow_sends_at_once_all_succeed(
    receiver: FaultReceiver, transport: Transport
) -> None:
    sends = [ends(transport, receiver.url("/delay?s=0.5")) for _ in range(50)]
    assert [o.error for o, _ in await asyncio.gather(*sends)] == [None] * 50
    assert receiver.most_open == 50
    await until(lambda: receiver.now_open == 0, 2, "the receiver to be quiet")


def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SSL_CERT_FILE of the shell does not replace the authorities."""
    empty = tmp_path / "none.pem"
    empty.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", os.fspath(empty))
    from simulator.tls import TlsContexts

    assert TlsContexts(None).verifying.cert_store_stats()["x509_ca"] > 50
