"""Bulk beside everything else: what stands back for whom, and what does not wait for anybody."""

import asyncio
import json
import statistics
import time
from itertools import pairwise

import pytest

from simulator import batches, courtesy, feed
from simulator.batches import Batches
from simulator.claims import Room
from simulator.engine import STEP
from simulator.models import Attempt, Batch, Delivery, Endpoint
from simulator.models.event_type import CustomType
from simulator.transaction import writing

from .engines import in_db, sent
from .test_surroundings import cores
from .waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


async def test_while_somebody_waits_a_batch_stands_still_and_goes_on_afterwards(engine, endpoint, receiver):
    with engine._courtesy.attending():
        await in_db(lambda: Batch.start("lead.qualified", 300))
        for _ in range(3):
            feed.nudge()
            await asyncio.shield(engine._turned)
        assert engine._courtesy.asked and not receiver.requests
    await receiver.received(300)
    await engine.drain()
    assert await in_db(lambda: Delivery.objects.filter(status="succeeded").count()) == 300


async def test_while_people_are_about_the_process_stays_on_one_core(engine, endpoint, monkeypatch):
    every_core = cores()
    if len(every_core) == 1:
        pytest.skip("there is only one")
    with engine._courtesy.attending():
        feed.nudge()
        await until(lambda: len(cores()) == 1, 5)
    monkeypatch.setattr(courtesy, "RECENT_S", 0.0)
    feed.nudge()
    await until(lambda: cores() == every_core, 5)


async def test_while_people_are_about_a_batch_is_made_in_small_steps_with_rests_between_them(
    engine,
    endpoint,
    receiver,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(courtesy, "RECENT_S", 60.0)
    steps: list[tuple[int, float]] = []
    make = Batches.make

    def noticed(self, group, room, now):
        began = time.monotonic()
        claims = make(self, group, room, now)
        if claims:
            steps.append((len(claims), began))
        return claims

    monkeypatch.setattr(Batches, "make", noticed)
    with engine._courtesy.attending():
        await in_db(lambda: Batch.start("lead.qualified", 200))
    await receiver.received(200)
    await engine.drain()
    assert max(made for made, _ in steps) <= STEP
    assert all(later - began >= courtesy.REST_S for (_, began), (_, later) in pairwise(steps))


async def test_a_batch_is_recorded_and_made_in_large_groups(
    engine,
    endpoint,
    receiver,
    monkeypatch: pytest.MonkeyPatch,
):
    """Also right after all that was claimed has been answered: what is known of the endpoint's pace still counts."""
    monkeypatch.setattr(courtesy, "RECENT_S", 0.0)
    groups: list[int] = []
    step = engine._step

    def noticed(given):
        groups.append(len(given.results))
        return step(given)

    engine._step = noticed
    await in_db(lambda: Batch.start("lead.qualified", 2000))
    await receiver.received(2000)
    await engine.drain()
    assert sum(groups) == 2000
    usual = statistics.median(group for group in groups for _ in range(group))  # of what a result came in
    assert usual > endpoint.max_in_flight, groups


async def test_a_turn_ends_the_wait_of_the_results_that_it_takes(engine):
    """Or the next group would be recorded a moment after its first result had come."""
    waiting = engine._gathering = engine.loop.call_later(60, engine._bell.set)
    feed.nudge()
    await until(lambda: engine._gathering is None)
    assert waiting.cancelled()


async def test_while_somebody_waits_single_events_are_sent_and_recorded_as_ever(engine, endpoint, receiver):
    with engine._courtesy.attending():
        delivery = await sent(endpoint, trigger="api")
        await receiver.received(1)
        while (await in_db(lambda: Delivery.objects.get(pk=delivery.pk))).status != "succeeded":
            assert engine._courtesy.asked, "it waited until nobody else did"
            await asyncio.sleep(0)


async def test_while_somebody_waits_a_deleted_endpoint_is_let_go_without_a_flood_of_turns(
    engine,
    endpoint,
    receiver,
):
    await in_db(lambda: Batch.start("lead.qualified", 3000))
    await receiver.received(50)
    turns = 0
    step = engine._step

    def counted(given):
        nonlocal turns
        turns += 1
        return step(given)

    engine._step = counted
    with engine._courtesy.attending():
        await in_db(endpoint.remove)
        await engine.abandon(int(next(iter(engine._lines))))
        assert engine._courtesy.asked
    assert turns <= 20


async def test_what_nobody_was_told_of_is_found_within_a_second(engine, endpoint, receiver):
    """The poll is the truth, a nudge only makes it sooner."""
    await engine.drain()
    await until(lambda: not engine._upkeep.to_index, 3, "rest")
    feed.off(engine._nudge)
    await sent(endpoint)
    await receiver.received(1, within=1)


async def test_an_example_that_is_edited_is_what_the_rest_of_a_batch_carries(engine, endpoint, receiver):
    receiver.delay = 0.05
    custom = await in_db(lambda: CustomType.add(type="mine.own", example={"edition": 1}))
    await in_db(lambda: Batch.start("mine.own", 120))
    await receiver.received(5)
    await in_db(lambda: custom.change(example={"edition": 2}))
    await receiver.received(120, within=10)
    editions = {json.loads(request.body)["data"]["edition"] for request in receiver.requests[-20:]}
    assert editions == {2}


def test_events_that_take_long_to_draw_up_come_one_at_a_time(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "DRAW_UP_S", 0.0)
    to = Endpoint.register(url="http://127.0.0.1:9/", events=["*"])
    Batch.start("lead.qualified", 10, [to.pk])
    made, now, room = Batches(), to.created_at, Room(10, 10, {})
    with writing():
        made.make(None, room, now)
    group = made.draw_up(room, now)
    assert group is not None and len(group.events) == 1
    with writing():
        [claim] = made.make(group, room, now)
    assert Attempt.objects.get().number == claim.number == 1
    assert Batch.objects.get().made == 1
