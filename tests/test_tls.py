"""Sending over TLS: whom it trusts, what it reads its authorities from, and answers that come early."""

import asyncio
import datetime
import gc
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme

from simulator.connection import Connection
from simulator.tls import TlsContexts
from simulator.wire import Transport

from .certificates import speaks_tls
from .faults.behaviours import MIB
from .faults.ending import ends, hint, post
from .faults.receiver import FaultReceiver
from .receiving import some_turns


def long_ago(authority: trustme.CA) -> trustme.LeafCert:
    then = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    return authority.issue_cert("localhost", not_before=then, not_after=then + datetime.timedelta(days=1))


async def test_a_trusted_certificate_delivers_and_the_connection_is_used_again(
    authority: trustme.CA, tls: Transport
) -> None:
    async with FaultReceiver(ssl=speaks_tls(authority.issue_cert("localhost"))) as faulty:
        url = faulty.url("/", "https", "localhost")
        first, second = (await ends(tls, url))[0], (await ends(tls, url))[0]
        assert (first.error, second.error, faulty.connections) == (None, None, 1)
        assert list(first.phases) == ["connect", "tls", "send", "wait", "receive"]
        assert list(second.phases) == ["send", "wait", "receive"]
        large = await tls.exchange(post(url, b"x" * MIB), owner=url, timeout=5)
        assert large.error is None
        assert faulty.requests[-1].body == b"x" * MIB


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
    async with FaultReceiver(ssl=speaks_tls(certificate(authority))) as faulty:
        url = faulty.url("/", "https", "localhost")
        outcome, took = await ends(tls, url)
        assert (outcome.error, outcome.phase, faulty.requests) == (code, "tls", [])
        assert "tls_verify" in hint(outcome, url) and ".." not in outcome.message
        assert took <= 1
        unchecked, _ = await ends(tls, url, tls_verify=False)
        assert unchecked.error is None
        assert (await ends(tls, url))[
            0
        ].error == code  # the unchecked connection is not used for a checked send


@pytest.mark.parametrize(("host", "code"), [("localhost", None), ("127.0.0.1", "tls_hostname")])
async def test_a_connection_that_has_ended_leaves_its_buffers_without_the_collector(
    authority: trustme.CA, tls: Transport, host: str, code: str | None
) -> None:
    async with FaultReceiver(ssl=speaks_tls(authority.issue_cert("localhost")), host="localhost") as receiver:
        gc.collect()
        gc.disable()
        try:
            assert (await ends(tls, receiver.url("/unsized", "https", host)))[0].error == code
            await some_turns()
            assert [found for found in gc.get_objects() if isinstance(found, Connection)] == []
        finally:
            gc.enable()


@pytest.mark.parametrize("size", [200_000, MIB])
@pytest.mark.parametrize("length", [b"Content-Length: 9", b"Connection: close"])
async def test_r33_an_early_413_is_recorded_however_the_connection_ends(
    authority: trustme.CA, tls: Transport, size: int, length: bytes
) -> None:
    context = speaks_tls(authority.issue_cert("localhost"))

    def refuse(server: socket.socket) -> None:
        for _ in range(40):
            talk, _ = server.accept()
            talk.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with context.wrap_socket(talk, server_side=True) as sealed:
                sealed.recv(300)
                sealed.sendall(b"HTTP/1.1 413 Too Large\r\n" + length + b"\r\n\r\ntoo large")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=refuse, args=(server,))
        thread.start()
        sent = post(f"https://localhost:{server.getsockname()[1]}/", b"x" * size)
        outcomes = [await tls.exchange(sent, owner=n, timeout=5) for n in range(40)]
        thread.join(5)
    assert [(o.error, o.status_code, o.body) for o in outcomes] == [("status", 413, b"too large")] * 40


@pytest.mark.parametrize("length", [b"Content-Length: 2", b"Connection: close"])
async def test_r33_a_receiver_that_says_2xx_before_it_reads_gets_the_whole_request(
    authority: trustme.CA, tls: Transport, length: bytes
) -> None:
    context = speaks_tls(authority.issue_cert("localhost"))
    read = bytearray()

    def answer_first(server: socket.socket) -> None:
        with context.wrap_socket(server.accept()[0], server_side=True) as sealed:
            read.extend(sealed.recv(300))
            sealed.sendall(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\nok")
            while piece := not read.endswith(b"end") and sealed.recv(65536):
                read.extend(piece)

    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        server.bind(("127.0.0.1", 0))
        server.listen()
        thread = threading.Thread(target=answer_first, args=(server,))
        thread.start()
        sent = post(f"https://localhost:{server.getsockname()[1]}/", b"x" * MIB + b"end")
        outcome = await tls.exchange(sent, owner="one", timeout=5)
        await asyncio.to_thread(thread.join, 5)
    assert (outcome.error, outcome.status_code) == (None, 200)
    assert read.endswith(b"x" * MIB + b"end")


async def test_r34_a_receiver_that_stops_reading_is_a_send_timeout(
    authority: trustme.CA, tls: Transport
) -> None:
    context = speaks_tls(authority.issue_cert("localhost"))
    over = threading.Event()

    def stop_reading(server: socket.socket) -> None:
        with context.wrap_socket(server.accept()[0], server_side=True) as sealed:
            sealed.recv(100)
            over.wait(5)

    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.bind(("127.0.0.1", 0))
        server.listen()
        thread = threading.Thread(target=stop_reading, args=(server,))
        thread.start()
        sent = post(f"https://localhost:{server.getsockname()[1]}/", b"x" * 100_000)
        outcome = await tls.exchange(sent, owner="one", timeout=1)
        over.set()
        thread.join(5)
    assert (outcome.error, outcome.phase, outcome.status_code) == ("send_timeout", "send", None)


async def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SSL_CERT_FILE of the shell does not replace the authorities."""
    empty = tmp_path / "none.pem"
    empty.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", os.fspath(empty))
    assert (await TlsContexts(None).of(True, time.perf_counter() + 5)).cert_store_stats()["x509_ca"] > 50


async def test_the_authorities_are_read_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[threading.Thread] = []
    load = TlsContexts._load_authorities
    monkeypatch.setattr(
        TlsContexts,
        "_load_authorities",
        lambda *facts: (readers.append(threading.current_thread()), load(*facts)),
    )
    contexts = TlsContexts(None)
    made = await asyncio.gather(*(contexts.of(True, time.perf_counter() + 5) for _ in range(5)))
    assert len(set(made)) == len(readers) == 1 and readers[0] is not threading.main_thread()


async def test_the_deadline_counts_while_the_authorities_wait_for_a_thread() -> None:
    loop, free, transport = asyncio.get_running_loop(), threading.Event(), Transport()
    loop.set_default_executor(ThreadPoolExecutor(1))
    busy = loop.run_in_executor(None, free.wait, 10)
    try:
        outcome, took = await ends(transport, "https://127.0.0.1:9/", timeout=0.2)
        assert (outcome.error, outcome.phase) == ("internal_error", "tls")
        assert took <= 1.2
    finally:
        free.set()
        await busy
        await transport.aclose()


async def test_authorities_that_cannot_be_read_are_our_own_fault_until_they_can(
    cafile: str, tmp_path: Path, authority: trustme.CA
) -> None:
    transport = Transport(cafile=str(tmp_path / "ca.pem"))
    async with FaultReceiver(ssl=speaks_tls(authority.issue_cert("localhost"))) as faulty:
        url = faulty.url("/", "https", "localhost")
        outcome, _ = await ends(transport, url)
        assert (outcome.error, faulty.connections) == ("internal_error", 0)
        assert "FileNotFoundError" in outcome.message
        (tmp_path / "ca.pem").write_text(Path(cafile).read_text())
        assert (await ends(transport, url))[0].error is None
    await transport.aclose()
