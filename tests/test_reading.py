"""Database reads for what is live: one thread for all, apart from the pages, and a connection that can be renewed."""

import asyncio
import threading
from collections.abc import AsyncIterator
from unittest.mock import Mock

import pytest
from django.db import OperationalError, connection

from console.reading import _thread, read, read_within
from simulator.models import Endpoint

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def reader(transactional_db: None) -> AsyncIterator[None]:
    """Leaves no connection open in the reading thread."""
    yield
    await read(lambda: connection.close())  # of that thread: `connection.close` would be ours


def count() -> int:
    return Endpoint.objects.count()


async def test_it_sees_what_was_committed_and_returns_what_the_query_does() -> None:
    assert await read(count) == 0
    await asyncio.to_thread(register)
    assert await read(count) == 1


def register() -> None:
    Endpoint.register(url="http://127.0.0.1/", events=["*"])
    connection.close()


async def test_all_reads_share_one_thread_and_one_connection_and_wait_their_turn() -> None:
    inside: list[int] = []

    def look(number: int, *, twice: bool = False) -> tuple[int, int]:
        inside.append(number)
        count()
        inside.append(number)
        return threading.get_ident(), id(connection.connection)

    found = await asyncio.gather(*[read(look, number, twice=True) for number in range(20)])
    assert len(set(found)) == 1
    assert found[0][0] != threading.get_ident(), "the loop goes on meanwhile"
    assert inside == [number for number in range(20) for _ in range(2)]


async def test_a_slow_read_does_not_hold_up_the_loop() -> None:
    go_on = threading.Event()
    slow = asyncio.ensure_future(read(go_on.wait, 5))
    await asyncio.to_thread(register)  # the loop and the other threads are free
    assert not slow.done()
    go_on.set()
    assert await slow


def fail() -> None:
    count()
    raise OperationalError("disk I/O error")


async def test_after_a_fault_of_the_database_the_file_is_opened_anew() -> None:
    await read(count)
    with pytest.raises(OperationalError, match="disk I/O error"):
        await read(fail)
    assert await read(lambda: connection.connection) is None
    assert await read(count) == 0


async def test_a_fault_of_the_query_is_the_callers_and_costs_no_connection() -> None:
    def broken() -> None:
        count()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await read(broken)
    assert await read(lambda: connection.connection) is not None


def test_what_a_thread_no_longer_waits_for_is_not_read_later() -> None:
    go_on, late = threading.Event(), Mock()
    _thread.submit(go_on.wait, 5)
    with pytest.raises(TimeoutError):
        read_within(0.01, late)
    go_on.set()
    assert read_within(5, lambda: 7) == 7
    assert not late.called
