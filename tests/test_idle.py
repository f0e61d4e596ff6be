"""Connections between two requests: who gets one again, and when they are closed."""

import asyncio
import itertools
import time

import pytest

from simulator import idle, wire
from simulator.wire import Transport

from .faults.receiver import FaultReceiver, listening
from .test_wire import sent
from .waiting import until


async def test_one_endpoint_uses_its_connection_again(faulty: FaultReceiver, transport: Transport) -> None:
    first, second = [await sent(transport, faulty.url("/")) for _ in range(2)]
    assert faulty.connections == 1
    assert "connect" in first.phases and "connect" not in second.phases


@pytest.mark.parametrize(("owner", "path"), [("another", "/"), ("one", "/elsewhere"), ("one", "/?q")])
async def test_a_connection_is_shared_neither_with_another_endpoint_nor_with_another_url(
    faulty: FaultReceiver, transport: Transport, owner: str, path: str
) -> None:
    await sent(transport, faulty.url("/"))
    await sent(transport, faulty.url(path), owner=owner)
    assert faulty.connections == 2


async def test_an_idle_connection_is_closed_after_a_while_and_the_clock_stops(
    faulty: FaultReceiver, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "IDLE_SECONDS", 0.1)
    await sent(transport, faulty.url("/"))
    await until(lambda: not faulty.talks, 2, "the receiver to see the end")
    await until(lambda: transport._timer is None, 1, "the clock to stop")


async def test_a_deadline_counts_to_the_tick_also_after_a_rest(
    faulty: FaultReceiver, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "RESTING_TICK", 60)
    await sent(transport, faulty.url("/"))
    await until(lambda: transport._sweep_at > time.perf_counter() + 30, 2, "the clock to rest")
    outcome = await sent(transport, faulty.url("/never"), timeout=0.2)
    assert outcome.error == "no_response" and outcome.duration_ms < 1000


async def test_a_receiver_that_serves_one_connection_at_a_time_is_not_kept_busy_by_idle_ones(
    transport: Transport,
) -> None:
    """Python's HTTPServer with protocol_version HTTP/1.1 does."""
    turn = asyncio.Lock()

    async def serves_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with turn:
            while await reader.readuntil(b"{}"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with listening(serves_one) as port:
        url = f"http://127.0.0.1:{port}/"
        outcomes = [await sent(transport, url, owner="first")]
        outcomes += await asyncio.gather(*(sent(transport, url, owner=n) for n in range(3) for _ in range(5)))
        assert [outcome.error for outcome in outcomes] == [None] * 16


async def test_a_receiver_that_is_slow_with_all_alike_keeps_its_connections(
    faulty: FaultReceiver, transport: Transport
) -> None:
    for _ in range(2):
        await asyncio.gather(*(sent(transport, faulty.url("/delay?s=0.4")) for _ in range(5)))
    assert faulty.connections == 5


async def test_a_receiver_that_is_slow_with_some_keeps_its_connections(transport: Transport) -> None:
    takes, connections = itertools.cycle([0.05, 0.6, 0.05, 0.1, 0.4]), itertools.count()

    async def slow_with_some(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        next(connections)
        while await reader.readuntil(b"{}"):
            await asyncio.sleep(next(takes))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with listening(slow_with_some) as port:

        async def sends() -> None:
            for _ in range(6):
                assert (await sent(transport, f"http://127.0.0.1:{port}/")).error is None

        await asyncio.gather(*(sends() for _ in range(10)))
        assert next(connections) <= 12


async def test_a_receiver_that_hangs_with_one_endpoint_keeps_the_only_connection_of_another(
    transport: Transport,
) -> None:
    connections = itertools.count()

    async def hangs_with_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        next(connections)
        while b"/hangs" not in await reader.readuntil(b"{}"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    async with listening(hangs_with_one) as port:
        url = f"http://127.0.0.1:{port}"
        hung = asyncio.ensure_future(sent(transport, f"{url}/hangs", owner="hung", timeout=1.5))
        while not hung.done():
            assert (await sent(transport, url)).error is None
        assert hung.result().error == "no_response"
        assert next(connections) <= 3  # its first, one that came after who hangs, and that one's own


async def test_an_edited_endpoint_keeps_no_connection(faulty: FaultReceiver, transport: Transport) -> None:
    await sent(transport, faulty.url("/"))
    await sent(transport, faulty.url("/"), owner="another")
    busy = asyncio.ensure_future(sent(transport, faulty.url("/delay?s=0.3")))
    await until(lambda: faulty.now_open == 1, 2, "a send under way")
    transport.forget("one")
    await until(lambda: len(faulty.talks) == 2, 2, "the idle connection to be closed")
    assert (await busy).error is None
    await until(lambda: len(faulty.talks) == 1, 2, "the busy one to be closed after its use")
