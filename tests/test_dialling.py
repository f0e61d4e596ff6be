"""From a name to a socket, and the failures on the way. Loopback only.

A filtered port is a listener whose backlog is full, no route is the broadcast address (TCP has none to it), and a
hung look-up is an injected resolver: no network namespace is needed.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from simulator import dialling
from simulator.dialling import Resolver
from simulator.wire import Transport

from .faults.ending import ends, hint
from .waiting import until


def allow(address: str, port: int, path: str, scheme: str) -> None:
    return None


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


async def test_r29_the_two_addresses_of_localhost_share_the_time_and_the_message_names_the_share(
    transport: Transport,
) -> None:
    with filtered_port() as port:
        outcome, took = await ends(transport, f"http://localhost:{port}/", timeout=1)
    assert (outcome.error, outcome.remote_address) == ("connect_timeout", f"127.0.0.1:{port}")
    assert float(outcome.message.split()[-2]) <= 0.5 and took < 1


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


async def test_r30_a_hung_look_up_is_dns_timeout_within_its_limit_and_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert dialling.STEP_LIMIT == 5  # which r29 waits for in full
    monkeypatch.setattr(dialling, "STEP_LIMIT", 0.8)
    released = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hangs(host: str, port: int) -> list[tuple[Any, ...]]:
        asyncio.run_coroutine_threadsafe(released.wait(), loop).result(20)
        return []

    transport = Transport(resolve=hangs)
    (slow, took), (quick, took_less) = await asyncio.gather(
        ends(transport, "http://a.test/", timeout=15), ends(transport, "http://b.test/", timeout=0.2)
    )
    released.set()
    assert (slow.error, quick.error) == ("dns_timeout", "dns_timeout")
    assert 0.7 <= took <= 1.3 and took_less <= 0.7
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


async def test_a_look_up_that_got_no_thread_takes_no_slot_from_later_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def knows(host: str, port: int) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    resolver = Resolver(knows, threads=2, per_host=1)
    with monkeypatch.context() as patch:
        patch.setattr("simulator.dialling.threading.Thread.start", no_more)
        for _ in range(3):
            with pytest.raises(RuntimeError):
                await asyncio.wait_for(resolver.candidates("a.test", 80), 2)
    found = await asyncio.wait_for(resolver.candidates("a.test", 80), 2)
    assert found == [(socket.AF_INET, ("127.0.0.1", 80))]


async def test_r30_why_a_name_was_not_found_is_said_as_the_system_says_it() -> None:
    def fails(host: str, port: int) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    transport = Transport(resolve=fails)
    outcome, _ = await ends(transport, "https://a.example/")
    await transport.aclose()
    assert outcome.error == "dns_failed" and "Errno" not in outcome.message
    assert "Temporary failure in name resolution" in outcome.message


async def test_at_most_four_look_ups_of_one_name_run_at_once() -> None:
    released = threading.Event()
    running: list[str] = []

    def hangs(host: str, port: int) -> list[tuple[Any, ...]]:
        running.append(host)
        assert released.wait(5)
        running.remove(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    transport = Transport(resolve=hangs)
    sends = [asyncio.ensure_future(ends(transport, f"http://{name}.test/")) for name in "a" * 20 + "b"]
    await until(lambda: len(running) == 5, 2, "four look-ups of one name and one of another")
    released.set()
    assert {(await send)[0].error for send in sends} == {"dns_failed"}
    assert running == []
    await transport.aclose()
