"""Handshakes that fail, stall or end with a word: what it was is told, and how it is cured."""

import asyncio
import contextlib
import socket
import ssl
import threading
from typing import Any

import pytest
import trustme

import simulator.tls
from simulator.wire import Transport

from .certificates import speaks_tls
from .faults.behaviours import MIB
from .faults.ending import ends, hint, post
from .faults.receiver import FaultReceiver, listening
from .receiving import some_turns


async def test_r28_a_stalled_handshake_is_a_tls_timeout(
    tls: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the limit of each step; tests/test_dialling.py waits for it in full."""
    assert simulator.tls.STEP_LIMIT == 5
    monkeypatch.setattr(simulator.tls, "STEP_LIMIT", 0.5)

    async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(says_nothing) as port:
        outcome, took = await ends(tls, f"https://127.0.0.1:{port}/", timeout=15)
    assert (outcome.error, outcome.phase) == ("tls_timeout", "tls")
    assert 0.4 <= took <= 1


async def test_a_handshake_does_not_wait_behind_an_idle_connection(
    authority: trustme.CA, tls: Transport
) -> None:
    """A receiver of one thread shakes hands when the connection before has ended."""
    context = speaks_tls(authority.issue_cert("localhost"))

    def serves_one_after_the_other(listener: socket.socket) -> None:
        for _ in range(2):
            with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
                while connection.recv(65536).endswith(b"{}"):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serves_one_after_the_other, args=(listener,))
        thread.start()
        url = f"https://localhost:{listener.getsockname()[1]}/"
        outcomes = [await tls.exchange(post(url), owner=n, timeout=2) for n in range(2)]
        await tls.aclose()
        await asyncio.to_thread(thread.join, 5)
    assert [outcome.error for outcome in outcomes] == [None, None]


async def test_r28_https_to_a_port_of_plain_http(tls: Transport) -> None:
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
    async with FaultReceiver(ssl=speaks_tls(authority.issue_cert("localhost"))) as faulty:
        url = faulty.url("/hook", "http", "localhost")
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


async def test_a_port_that_speaks_http_2_alone_is_told_from_one_of_plain_http(tls: Transport) -> None:
    async def no_application_protocol(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(b"\x15\x03\x03\x00\x02\x02\x78")

    async with listening(no_application_protocol) as port:
        url = f"https://localhost:{port}/"
        outcome, _ = await ends(tls, url)
    assert outcome.error == "tls_failed"
    assert "the receiver does not accept HTTP/1.1 (TLSV1_ALERT_NO_APPLICATION_PROTOCOL)." in outcome.message
    assert "speaks only HTTP/2" in hint(outcome, url)


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
        url = f"https://localhost:{port}/"
        outcome, _ = await ends(tls, url)
    assert outcome.error == "tls_failed"
    assert "demands a client certificate (TLSV13_ALERT_CERTIFICATE_REQUIRED)." in outcome.message
    assert "offers no client certificate" in hint(outcome, url)


@pytest.mark.parametrize(
    ("alert", "words", "cure"),
    [
        (0, "ended the handshake (ALERT_CLOSE_NOTIFY).", "its own log"),
        (40, "rejected the handshake", "No cipher"),
        (70, "no TLS version in common", "TLS 1.2"),
        (112, "does not know the host name", "server block"),
        (80, "TLSV1_ALERT_INTERNAL_ERROR", "its own log"),
    ],
)
async def test_r28_an_alert_proves_tls_and_has_a_cure_of_its_own(
    tls: Transport, alert: int, words: str, cure: str
) -> None:
    async def alerts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(b"\x15\x03\x03\x00\x02%c%c" % (2 if alert else 1, alert))  # close_notify is a warning

    async with listening(alerts) as port:
        url = f"https://localhost:{port}/"
        outcome, _ = await ends(tls, url)
    assert (outcome.error, outcome.phase) == ("tls_failed", "tls")
    assert words in outcome.message
    assert cure in hint(outcome, url) and "http://" not in hint(outcome, url)


@pytest.mark.parametrize("size", [100, MIB])
async def test_nor_does_it_matter_how_quickly_it_hangs_up(
    authority: trustme.CA, tls: Transport, size: int
) -> None:
    """With our request unread, its kernel resets the connection right behind the alert."""
    context = speaks_tls(authority.issue_cert("localhost"))
    context.verify_mode = ssl.CERT_REQUIRED

    def refuse(server: socket.socket) -> None:
        for _ in range(20):
            talk, _ = server.accept()
            talk.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with talk, contextlib.suppress(ssl.SSLError, OSError):
                context.wrap_socket(talk, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=refuse, args=(server,))
        thread.start()
        sent = post(f"https://localhost:{server.getsockname()[1]}/", b"x" * size)
        outcomes = [await tls.exchange(sent, owner=number, timeout=3) for number in range(20)]
        thread.join(5)
    assert {outcome.error for outcome in outcomes} == {"tls_failed"}


async def test_what_comes_with_the_last_bytes_of_the_handshake_is_heard(
    authority: trustme.CA, tls: Transport
) -> None:
    class Busy(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")

    context = speaks_tls(authority.issue_cert("localhost"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # in which it is the server that ends the handshake
    server = await asyncio.get_running_loop().create_server(Busy, "127.0.0.1", 0, ssl=context)
    async with server:
        outcome, _ = await ends(tls, f"https://localhost:{server.sockets[0].getsockname()[1]}/")
        await some_turns()
    assert (outcome.error, outcome.status_code, outcome.body) == ("status", 503, b"busy")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("together", [True, False])
async def test_a_busy_server_that_answers_and_closes_before_it_is_asked_is_heard(
    authority: trustme.CA, tls: Transport, version: ssl.TLSVersion, together: bool
) -> None:
    """Its answer may come with the last bytes of the handshake, and its goodbye with both."""
    context = speaks_tls(authority.issue_cert("localhost"))
    context.maximum_version = version

    def answer(talk: socket.socket) -> None:
        came, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(came, out, server_side=True)
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                talk.sendall(out.read())
                came.write(talk.recv(65_536))
        if not together:
            talk.sendall(out.read())
        session.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")
        with contextlib.suppress(ssl.SSLError):
            session.unwrap()
        talk.sendall(out.read())
        talk.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while talk.recv(65_536):
                pass

    def serve(server: socket.socket) -> None:
        for _ in range(10):
            with server.accept()[0] as talk:
                answer(talk)

    with socket.create_server(("127.0.0.1", 0)) as server:
        serving = asyncio.get_running_loop().run_in_executor(None, serve, server)
        request = post(f"https://localhost:{server.getsockname()[1]}/", b"x" * 100)
        outcomes = [await tls.exchange(request, owner=number, timeout=3) for number in range(10)]
        await serving
    assert {(outcome.error, outcome.status_code) for outcome in outcomes} == {("status", 503)}
