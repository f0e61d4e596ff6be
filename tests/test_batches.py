"""Batches: every event of a 202 is made and delivered, bounded ahead, and can be stopped."""

import asyncio
import json
from collections import Counter

import pytest
from django.utils import timezone

from simulator import batches, ids, samples
from simulator.claims import Room
from simulator.engine import Engine
from simulator.models import Activity, Batch, Delivery, Endpoint, Event
from simulator.sending import send_batch
from simulator.transaction import writing

from .engines import in_db
from .receiving import Receiver
from .waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


async def some_turns(engine: Engine) -> None:
    """Time enough for the engine to do what it would do, if it did."""
    for _ in range(5):
        await asyncio.shield(engine._turned)


async def test_every_event_of_a_batch_reaches_the_receiver_once(engine, endpoint, receiver):
    batch = await in_db(lambda: Batch.start("lead.qualified", 700))
    await receiver.received(700, within=20)
    await engine.drain()
    assert len({json.loads(request.body)["id"] for request in receiver.requests}) == 700
    ended = await in_db(lambda: Batch.objects.get(pk=batch.pk))
    assert (ended.made, await in_db(lambda: ended.status)) == (700, "finished")
    assert await in_db(lambda: Delivery.objects.filter(status="succeeded").count()) == 700


async def test_a_batch_is_made_no_further_ahead_than_it_can_be_sent(engine, endpoint, receiver):
    receiver.delay = 30
    batch = await in_db(lambda: Batch.start("lead.qualified", 100_000))
    await receiver.received(10)
    await some_turns(engine)
    assert await in_db(lambda: Batch.objects.get(pk=batch.pk).made) == 10  # its max_in_flight
    assert await in_db(lambda: Delivery.objects.filter(status="pending").count()) == 0
    await in_db(lambda: Batch.objects.get(pk=batch.pk).stop())
    assert await in_db(lambda: Batch.objects.get(pk=batch.pk).status) == "stopped"


@pytest.fixture
def hung():
    started = Receiver().start()
    started.delay = 30
    yield started
    started.stop()


async def test_e22_a_batch_to_an_endpoint_that_hangs_holds_up_no_later_one(engine, endpoint, receiver, hung):
    slow = await in_db(lambda: Endpoint.register(url=hung.url, events=["*"]))
    first = await in_db(lambda: Batch.start("lead.qualified", 1000, [slow.pk]))
    await hung.received(10)
    for count in (200, 300):
        await in_db(lambda count=count: Batch.start("lead.qualified", count, [endpoint.pk]))
    await receiver.received(500, within=20)
    assert await in_db(lambda: Batch.objects.get(pk=first.pk).made) == 10
    await in_db(lambda: Batch.objects.get(pk=first.pk).stop())


async def test_e22_a_subscriber_that_hangs_keeps_a_batch_from_nobody_else(engine, endpoint, receiver, hung):
    await in_db(lambda: Endpoint.register(url=hung.url, events=["*"]))
    batch = await in_db(lambda: Batch.start("lead.qualified", 3000))
    await receiver.received(3000, within=40)
    got = await in_db(lambda: Counter(endpoint.deliveries.values_list("status", flat=True)))
    assert set(got) <= {"sending", "succeeded"} and got["succeeded"] > 2900
    await in_db(lambda: Batch.objects.get(pk=batch.pk).stop())


async def test_batches_that_can_get_on_take_turns(engine, endpoint, receiver):
    other = Receiver().start()
    there = await in_db(lambda: Endpoint.register(url=other.url, events=["*"]))
    long = await in_db(lambda: Batch.start("lead.qualified", 20_000, [endpoint.pk]))
    await receiver.received(100, within=20)
    await in_db(lambda: Batch.start("lead.qualified", 300, [there.pk]))
    await other.received(300, within=20)
    assert len(receiver.requests) < 10_000
    await in_db(lambda: Batch.objects.get(pk=long.pk).stop())
    other.stop()


async def test_one_slow_endpoint_lets_a_batch_wait_for_it_but_not_without_bound(
    engine, endpoint, receiver, hung, monkeypatch
):
    """Another endpoint goes on meanwhile, until so much waits for the slow one that to stop it would take long."""
    monkeypatch.setattr(batches, "AHEAD", 512)
    slow = await in_db(lambda: Endpoint.register(url=hung.url, events=["*"]))
    batch = await in_db(lambda: Batch.start("lead.qualified", 100_000, [endpoint.pk, slow.pk]))
    async with asyncio.timeout(20):
        while await in_db(lambda: slow.deliveries.filter(status="pending").count()) < batches.AHEAD:
            pass
    await some_turns(engine)
    waiting = await in_db(lambda: slow.deliveries.filter(status="pending").count())
    assert batches.AHEAD <= waiting <= batches.AHEAD + batches.GROUP
    made = await in_db(lambda: Batch.objects.get(pk=batch.pk).made)
    assert made - 10 == waiting
    alone = await in_db(lambda: Batch.start("lead.qualified", 700, [endpoint.pk]))
    await engine_made(alone, 700)
    await in_db(lambda: Batch.objects.get(pk=batch.pk).stop())


async def engine_made(batch: Batch, count: int) -> None:
    async with asyncio.timeout(20):
        while await in_db(lambda: Batch.objects.get(pk=batch.pk).made) < count:
            pass


async def test_a_batch_goes_only_to_the_endpoints_it_names(engine, endpoint, receiver):
    other = await in_db(lambda: Endpoint.register(url="http://127.0.0.1:9/", events=["*"]))
    await in_db(lambda: Batch.start("message.received", 5, [endpoint.pk]))
    await until(lambda: len(receiver.requests) == 5)
    await engine.drain()
    assert await in_db(lambda: other.deliveries.count()) == 0
    assert await in_db(lambda: Event.objects.count()) == 5


async def test_a_batch_that_nobody_subscribes_to_is_made_and_ends(engine, endpoint):
    await in_db(lambda: endpoint.change(events=["message.received"]))
    batch = await in_db(lambda: Batch.start("lead.qualified", 300))
    await engine_made(batch, 300)
    assert await in_db(lambda: Batch.objects.get(pk=batch.pk).status) == "finished"
    assert await in_db(lambda: (Event.objects.count(), Delivery.objects.count())) == (300, 0)


async def test_a_batch_to_a_paused_endpoint_waits_and_the_next_one_does_not(engine, endpoint, receiver):
    other = await in_db(lambda: Endpoint.register(url=receiver.url + "/other", events=["*"]))
    await in_db(endpoint.pause)
    first = await in_db(lambda: Batch.start("lead.qualified", 300, [endpoint.pk]))
    await in_db(lambda: Batch.start("lead.qualified", 200, [other.pk]))
    await receiver.received(200, within=20)
    assert await in_db(lambda: endpoint.deliveries.count()) == 0
    assert await in_db(lambda: Batch.objects.get(pk=first.pk).status) == "running"
    await in_db(endpoint.resume)
    await receiver.received(500, within=20)


async def test_a_batch_whose_endpoint_pauses_goes_on_when_it_is_resumed(engine, endpoint, receiver):
    receiver.answer(410)  # pauses it
    batch = await in_db(lambda: Batch.start("lead.qualified", 1000, [endpoint.pk]))
    await receiver.received(1)
    other = await in_db(lambda: Endpoint.register(url=receiver.url, events=["*"]))
    receiver.answer(200)
    await in_db(lambda: Batch.start("message.received", 100, [other.pk]))
    async with asyncio.timeout(20):
        while await in_db(lambda: Delivery.objects.filter(status="succeeded").count()) < 100:
            pass
    held = await in_db(lambda: Batch.objects.get(pk=batch.pk))
    assert held.made < 1000 and await in_db(lambda: held.sent) < 100

    await in_db(lambda: Endpoint.objects.get(pk=endpoint.pk).resume())
    await engine.drain()
    assert len({json.loads(request.body)["id"] for request in receiver.requests}) == 1100
    assert await in_db(lambda: Batch.objects.get(pk=batch.pk).status) == "finished"


async def test_a_batch_whose_endpoint_is_deleted_stops_and_says_why(engine, endpoint, receiver):
    receiver.delay = 30
    batch = await in_db(lambda: Batch.start("lead.qualified", 2000, [endpoint.pk]))
    await receiver.received(1)
    await in_db(endpoint.remove)
    async with asyncio.timeout(5):
        while await in_db(lambda: Batch.objects.get(pk=batch.pk).status) != "stopped":
            pass
    assert await in_db(lambda: Activity.objects.filter(actor="engine", detail__contains="deleted").exists())


async def test_a_batch_whose_type_was_deleted_stops_and_says_why(engine, endpoint, receiver):
    await in_db(lambda: Batch.start("gone.type", 5))
    await engine.drain()
    assert await in_db(lambda: Batch.objects.get().status) == "stopped"
    assert await in_db(lambda: Activity.objects.filter(actor="engine", detail__contains="gone.type").exists())
    await in_db(lambda: Batch.start("lead.qualified", 2))
    await receiver.received(2)


def test_the_first_sample_of_a_process_is_not_made_on_the_loop(endpoint):
    """It takes 0.3 s. A batch makes one where it is accepted, and one that was left by a kill where it is opened."""
    type = "property.matched"
    for accepted in (lambda: send_batch(type, 5), lambda: opened(Batch.start(type, 5))):
        samples._pools.cache_clear()
        accepted()
        assert samples._pools.cache_info().currsize == 1


def opened(batch: Batch) -> None:
    maker, room = batches.Batches(), Room(10, 10, {})
    now = timezone.now()
    assert maker.make(maker.draw_up(room, now), room, now) == [] and maker._open
    batch.stop()


def test_of_many_endpoints_only_those_get_an_attempt_drawn_up_that_have_room(endpoint, monkeypatch):
    """All of 1,000 were signed on the loop, which stood still for up to 141 ms, and a hundred of them were used."""
    full = Endpoint.register(url="http://127.0.0.1:1/", events=["*"])
    for _ in range(4):
        Endpoint.register(url="http://127.0.0.1:1/", events=["*"])
    Batch.start("lead.qualified", 10)
    by, signed, prepared = batches.Batches(), [], batches.prepared
    monkeypatch.setattr(batches, "prepared", lambda *how: signed.append(how) or prepared(*how))
    now, room = timezone.now(), Room(3, 13, {ids.decode("ep", full.pk): 0})
    with writing():
        by.make(None, room, now)
    group = by.draw_up(room, now, 1)
    assert len(signed) == 3
    with writing():
        taken = by.make(group, room, now)
    assert len(taken) == 3
    assert not full.deliveries.filter(status="sending").exists()
    assert sorted(Delivery.objects.values_list("status", flat=True)) == ["pending"] * 3 + ["sending"] * 3
    by.draw_up(Room(10_000, 10_000, {}), now, 1)
    assert len(signed) == 3 + 6
    monkeypatch.setattr(batches, "GROUP", 4)
    by.draw_up(Room(10_000, 10_000, {}), now, 1)
    assert len(signed) == 3 + 6 + 4, "no more than a group"
