"""The short way of a click: claimed where it is stored, as far as there is room, and never in two places."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection

from simulator import ids, shortcut
from simulator.claims import Room
from simulator.engine import Engine
from simulator.models import Attempt, Delivery, Endpoint, Event
from simulator.sending import Content, send_test
from simulator.transaction import writing

from .engines import accept, in_db
from .waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def click(to: Endpoint) -> str:
    return send_test(to.pk, Content("lead.qualified")).pk


async def statuses() -> Counter[str]:
    return Counter(await in_db(lambda: list(Delivery.objects.values_list("status", flat=True))))


async def test_a_click_is_claimed_in_the_transaction_that_stores_it(engine, endpoint, receiver):
    receiver.delay = 0.3

    def stored() -> str:
        with writing():
            delivery = accept(endpoint)
            return Delivery.objects.get(pk=delivery.pk).status

    assert await in_db(stored) == "sending", "before the commit, and so before any turn"
    await receiver.received(1)
    await engine.drain()
    assert await statuses() == {"succeeded": 1}
    assert len(receiver.requests) == 1 and await in_db(Attempt.objects.count) == 1


async def test_what_is_no_click_waits_for_the_next_turn(engine, endpoint, receiver):
    def stored() -> str:
        with writing():
            delivery = accept(endpoint, trigger="api")
            return Delivery.objects.get(pk=delivery.pk).status

    assert await in_db(stored) == "pending"
    await receiver.received(1)


@pytest.mark.parametrize("clicks", [0, 10], ids=["none", "none for it"])
async def test_without_room_it_waits_its_turn(engine, endpoint, receiver, clicks):
    def stored() -> str:
        with writing():
            engine._ledger._room = Room(clicks, clicks, {ids.decode("ep", endpoint.pk): 0})
            delivery = accept(endpoint)
            return Delivery.objects.get(pk=delivery.pk).status

    assert await in_db(stored) == "pending"
    await receiver.received(1)
    await engine.drain()
    assert await statuses() == {"succeeded": 1}


async def test_many_clicks_at_once_keep_to_the_limit_of_their_endpoint(engine, endpoint, receiver):
    receiver.delay = 0.02
    await in_db(lambda: endpoint.change(max_in_flight=2))
    most = 0
    pump = engine._pump

    def watched(line: Any) -> None:
        nonlocal most
        pump(line)
        most = max(most, line.in_flight)

    engine._pump = watched
    await asyncio.gather(*(in_db(lambda: click(endpoint)) for _ in range(30)))
    await receiver.received(30)
    await engine.drain()
    assert await statuses() == {"succeeded": 30} and len(receiver.requests) == 30
    assert most == 2


async def test_of_a_click_that_is_undone_nothing_leaves(engine, endpoint, receiver):
    def undone() -> None:
        with pytest.raises(ZeroDivisionError), writing():
            accept(endpoint)
            raise ZeroDivisionError

    for _ in range(20):
        await in_db(undone)
    await in_db(lambda: click(endpoint))
    await receiver.received(1)
    await engine.drain()
    assert len(receiver.requests) == 1 and await statuses() == {"succeeded": 1}


async def test_a_paused_endpoint_holds_it(engine, endpoint, receiver):
    await in_db(endpoint.pause)
    delivery = await in_db(lambda: Delivery.objects.get(pk=click(endpoint)))
    assert delivery.status == "pending" and delivery.held
    await in_db(endpoint.resume)
    await receiver.received(1)


async def test_an_edited_endpoint_is_sent_to_as_it_is_now(engine, endpoint, receiver):
    await in_db(lambda: click(endpoint))
    await in_db(lambda: endpoint.change(headers={"x-edition": "2"}))
    await in_db(lambda: click(endpoint))
    first, second = await receiver.received(2)
    assert "x-edition" not in first.headers and second.headers["x-edition"] == "2"


@asynccontextmanager
async def clicking(to: Endpoint) -> AsyncIterator[list[str]]:
    """Three people click all the time; the list is what they have sent."""
    over = threading.Event()
    clicked: list[str] = []

    def clicks() -> None:
        try:
            while not over.is_set():
                clicked.append(click(to))
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as people:
        asking = [asyncio.wrap_future(people.submit(clicks)) for _ in range(3)]
        try:
            yield clicked
        finally:
            over.set()
            await asyncio.gather(*asking)


async def test_clicks_while_the_engine_stops_are_sent_once_or_wait_for_the_next_one(endpoint, receiver):
    running = Engine(scale=0.02)
    await running.start()
    async with clicking(endpoint) as clicked:
        await receiver.received(20)
        await running.stop(grace=5)
        then = len(clicked)
        await until(lambda: len(clicked) > then + 10, 5, "clicks after the end")
    left = await statuses()
    assert set(left) == {"succeeded", "pending"}, "nobody owns anything any more"
    assert not await in_db(Attempt.objects.exclude(status="succeeded").exists)
    assert len(receiver.requests) == left["succeeded"]
    after = Engine(scale=0.02)
    await after.start()
    await after.drain()
    await after.stop()
    assert await statuses() == {"succeeded": len(clicked)}
    assert len(receiver.requests) == len(clicked), "each was sent once"


async def test_clicks_while_the_engine_stumbles_are_all_sent(engine, endpoint, receiver, monkeypatch):
    turn, stumbles = engine._turn, []

    async def stumbling() -> None:
        await turn()
        if len(stumbles) < 5:
            stumbles.append(len(clicked))
            raise RuntimeError("a bug")

    monkeypatch.setattr("simulator.engine.RESTART_S", 0.02)
    async with clicking(endpoint) as clicked:
        await receiver.received(10)
        monkeypatch.setattr(engine, "_turn", stumbling)
        await until(lambda: len(stumbles) == 5 and len(clicked) > stumbles[-1] + 10, 10, "five stumbles")
    await engine.drain()
    assert await statuses() == {"succeeded": len(clicked)}
    assert {request.headers["x-ultrareach-delivery-id"] for request in receiver.requests} == set(clicked)


async def test_while_nothing_can_be_recorded_no_click_leaves(engine, endpoint, receiver, monkeypatch):
    """What cannot be written may be the result of another, larger than what a click takes."""
    turn = engine._ledger.turn

    def full(*facts: Any) -> Any:
        def step() -> Any:
            raise OperationalError("database or disk is full")

        return step

    monkeypatch.setattr(engine._ledger, "turn", full)
    await until(lambda: "disk is full" in str(engine.troubles()), 5, "the trouble")
    clicked = await in_db(lambda: click(endpoint))
    assert await statuses() == {"pending": 1} and not receiver.requests
    monkeypatch.setattr(engine._ledger, "turn", turn)
    await receiver.received(1)
    await engine.drain()
    assert await statuses() == {"succeeded": 1} and not engine.troubles()
    assert receiver.requests[0].headers["x-ultrareach-delivery-id"] == clicked


async def test_who_stored_a_click_goes_on_when_it_is_on_its_way(engine, endpoint, receiver, monkeypatch):
    order, send = [], engine._send

    async def noticed(claim: Any) -> Any:
        order.append("sent")
        return await send(claim)

    monkeypatch.setattr(engine, "_send", noticed)
    monkeypatch.setattr("simulator.engine.ASIDE_S", 5.0)

    def store() -> None:
        click(endpoint)
        order.append("stored")

    for _ in range(10):
        await in_db(store)
    assert order == ["sent", "stored"] * 10


async def test_who_stored_a_click_does_not_wait_for_a_loop_that_stands_still(engine, endpoint, receiver):
    def store() -> str:
        try:
            return click(endpoint)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(store).result(5), "the loop waits for it"
    await receiver.received(1)


def test_without_an_engine_there_is_no_short_way(endpoint):
    assert not shortcut.claim([])
    assert Delivery.objects.get(pk=click(endpoint)).status == "pending"
    assert Event.objects.count() == 1
