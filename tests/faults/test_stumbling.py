"""A clock that is set while the engine runs (E12), and bugs of the engine's own (E24): nothing twice, nothing stuck."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.db import OperationalError
from django.utils import timezone

from simulator import claims, feed, results
from simulator.claims import Claims
from simulator.engine import Engine

from ..engines import attempts, ends, fresh, in_db, sent, waiting
from ..receiving import Answer, Receiver
from ..waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]
DELAY_S = 1.0  # 50 s on the timetable, at the engine's scale


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(datetime.now(UTC), tick=True) as traveller:
        yield traveller


@pytest.fixture(params=[3600, -3600], ids=["an hour ahead", "an hour back"])
def jump(request: pytest.FixtureRequest) -> float:
    return request.param


async def test_e12_a_retry_keeps_its_delay_when_the_clock_is_set(engine, endpoint, receiver, clock, jump):
    await in_db(lambda: endpoint.change(retry_delays=[50, 50]))
    receiver.answer(500, 200)
    delivery = await sent(endpoint)
    await waiting(delivery, 1)
    took = await seconds_to_the_next(receiver, lambda: clock.shift(jump))
    assert DELAY_S / 2 <= took <= DELAY_S + 1
    await ends(delivery, "succeeded")
    assert len(receiver.requests) == 2


async def test_e12_an_attempt_in_flight_goes_on_when_the_clock_is_set(
    engine, endpoint, receiver, clock, jump
):
    await in_db(lambda: endpoint.change(retry_delays=[50, 50]))
    receiver.answer(Answer(500, delay=1.0), 200)
    delivery = await sent(endpoint)
    await receiver.received(1)
    took = await seconds_to_the_next(receiver, lambda: clock.shift(jump))
    assert DELAY_S + 0.5 <= took <= DELAY_S + 2
    await ends(delivery, "succeeded")
    assert [attempt.status for attempt in await attempts(delivery)] == ["failed", "succeeded"]


async def test_e12_a_manual_attempt_in_flight_goes_back_to_the_timetable_when_the_clock_is_set(
    engine, endpoint, receiver, clock, jump
):
    await in_db(lambda: endpoint.change(retry_delays=[150]))
    receiver.answer(500, Answer(500, delay=0.5), 200)
    delivery = await sent(endpoint)
    waits = await waiting(delivery, 1)
    began = asyncio.get_running_loop().time()
    await in_db(waits.retry)
    await receiver.received(2)
    clock.shift(jump)
    await receiver.received(3, within=6)
    assert 2.4 <= asyncio.get_running_loop().time() - began <= 4
    await ends(delivery, "succeeded")


async def test_e12_a_clock_set_back_after_an_attempt_of_an_old_delivery_is_noticed(endpoint, receiver, clock):
    await in_db(lambda: endpoint.change(retry_delays=[50, 50]))
    receiver.answer(500)
    before = Engine(scale=0.02)
    await before.start()
    delivery = await sent(endpoint)
    await waiting(delivery, 1)
    clock.shift(7200)
    await waiting(delivery, 2)
    await before.stop()
    clock.shift(-3600)
    after = Engine(scale=0.02)
    await after.start()
    assert ((await fresh(delivery)).due_at - timezone.now()).total_seconds() <= DELAY_S
    await after.stop()


async def test_e12_a_clock_that_was_set_is_told(engine, clock, jump):
    assert engine.notices() == []
    clock.shift(jump)
    await until(engine.notices, 2, "a notice")
    assert f"{jump:+.0f} s" in engine.notices()[0]


async def test_e12_a_clock_set_back_while_nobody_ran_makes_no_retry_wait_longer(endpoint, receiver, clock):
    await in_db(lambda: endpoint.change(retry_delays=[50, 50]))
    receiver.answer(500, 200)
    delivery = None
    for jump in (0, -3600, 0):  # the last: started once more, with the clock as it is now
        clock.shift(jump)
        running = Engine(scale=0.02)
        await running.start()
        delivery = delivery or await sent(endpoint)
        left = (await waiting(delivery, 1)).due_at - timezone.now()
        assert DELAY_S / 2 <= left.total_seconds() <= DELAY_S
        await running.stop()


async def seconds_to_the_next(receiver: Receiver, after: Callable[[], object]) -> float:
    loop = asyncio.get_running_loop()
    count, began = len(receiver.requests), loop.time()
    after()
    await receiver.received(count + 1, within=5)
    return loop.time() - began


def fails(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, error: Exception, times: int = 1) -> None:
    """The next calls raise; those after them do what they should."""
    step, left = getattr(place, name), [error] * times

    def failing(*args: Any, **options: Any) -> Any:
        if left:
            raise left.pop()
        return step(*args, **options)

    monkeypatch.setattr(place, name, failing)


async def test_e24_a_bug_in_the_loop_stops_it_for_less_than_a_second(engine, endpoint, receiver, monkeypatch):
    fails(monkeypatch, Claims, "claim", RuntimeError("a bug"))
    began = asyncio.get_running_loop().time()
    delivery = await sent(endpoint)
    await until(engine.troubles, 1, "a trouble")
    assert "starting again" in engine.troubles()[0]
    await ends(delivery, "succeeded")
    assert asyncio.get_running_loop().time() - began <= 1.5
    assert engine.troubles() == []
    assert len(receiver.requests) == 1


async def test_e24_a_machine_without_memory_even_for_a_line_in_the_log_stops_it_no_longer(
    engine, endpoint, receiver, monkeypatch
):
    fails(monkeypatch, Claims, "claim", MemoryError())
    fails(monkeypatch, logging.Logger, "makeRecord", MemoryError())
    delivery = await sent(endpoint)
    await until(engine.troubles, 1, "a trouble")
    await ends(delivery, "succeeded")
    assert engine.troubles() == []
    assert len(receiver.requests) == 1


async def test_e24_an_engine_that_has_died_says_so(engine):
    engine._life.cancel()
    await until(engine.troubles, 1, "a trouble")
    assert "Start the simulator again" in engine.troubles()[0]


async def test_e24_an_answer_that_came_before_the_bug_is_recorded_after_it(
    engine, endpoint, receiver, monkeypatch
):
    receiver.answer(Answer(delay=0.3), 200)
    delivery = await sent(endpoint)
    await receiver.received(1)
    write = results.write

    def write_and_stumble(group: results.Group, scale: float) -> None:
        write(group, scale)
        if group.results:
            monkeypatch.setattr(results, "write", write)
            raise RuntimeError("a bug")

    monkeypatch.setattr(results, "write", write_and_stumble)
    await ends(delivery, "succeeded")
    assert [attempt.status for attempt in await attempts(delivery)] == ["succeeded"]
    assert len(receiver.requests) == 1


async def test_e24_what_was_in_flight_is_sent_again_although_the_database_is_locked_then(
    engine,
    endpoint,
    receiver,
    monkeypatch,
):
    receiver.answer(Answer(delay=30), 200)
    delivery = await sent(endpoint)
    await receiver.received(1)
    fails(monkeypatch, results, "recover", OperationalError("database is locked"), times=2)
    fails(monkeypatch, claims, "anything", RuntimeError("a bug"))
    feed.nudge()
    await ends(delivery, "succeeded")
    assert [attempt.status for attempt in await attempts(delivery)] == ["interrupted", "succeeded"]
