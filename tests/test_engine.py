"""The engine against a real receiver and a real SQLite file: what it promises about every delivery."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest

from simulator import ids
from simulator.engine import Engine
from simulator.line import Line
from simulator.models import Activity, Batch, Delivery, Endpoint

from .engines import BODY, accept, attempts, ends, fresh, in_db, sent, waiting
from .receiving import Answer, Receiver
from .waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


async def test_the_receiver_gets_the_stored_bytes_signed_so_that_it_can_verify_them(
    engine, endpoint, receiver
):
    delivery = await sent(endpoint)
    await engine.drain()
    (request,) = receiver.requests
    (attempt,) = await attempts(delivery)
    signed = request.headers["x-ultrareach-timestamp"].encode() + b"." + request.body
    secret = (await in_db(endpoint.current_secret)).encode()
    assert request.body == BODY
    assert (
        request.headers["x-ultrareach-signature"]
        == "v1=" + hmac.new(secret, signed, hashlib.sha256).hexdigest()
    )
    assert [tuple(pair) for pair in attempt.request_headers] == request.pairs
    assert (await fresh(delivery)).status == "succeeded"
    assert (attempt.status_code, bytes(attempt.response_body)) == (200, b'{"received":true}')


async def test_500_500_200_is_one_event_in_three_attempts_each_signed_anew(engine, endpoint, receiver):
    receiver.answer(500, 500, 200)
    delivery = await sent(endpoint)
    await engine.drain()
    one, two, three = receiver.requests
    assert [r.headers["x-ultrareach-attempt"] for r in receiver.requests] == ["1", "2", "3"]
    assert len({r.headers["x-ultrareach-event-id"] for r in receiver.requests}) == 1
    assert len({r.headers["x-ultrareach-delivery-id"] for r in receiver.requests}) == 1
    assert 2 * 0.02 <= two.at - one.at < 2 * 0.02 + 0.3
    assert 4 * 0.02 <= three.at - two.at < 4 * 0.02 + 0.3
    made = await attempts(delivery)
    assert [(a.status, a.status_code, a.error) for a in made] == [
        ("failed", 500, "status"),
        ("failed", 500, "status"),
        ("succeeded", 200, None),
    ]


async def test_six_failures_end_the_delivery_as_failed(engine, endpoint, receiver):
    receiver.answer(503)
    delivery = await sent(endpoint)
    await engine.drain()
    ended = await fresh(delivery)
    assert (ended.status, ended.attempt_count, ended.due_at) == ("failed", 6, None)
    assert len(receiver.requests) == 6


async def test_a_closed_port_is_refused_and_says_so(engine, endpoint, receiver):
    receiver.stop()
    await in_db(lambda: endpoint.change(retry_delays=[]))
    delivery = await sent(endpoint)
    await engine.drain()
    (attempt,) = await attempts(delivery)
    assert (attempt.status, attempt.error, attempt.status_code) == ("failed", "refused", None)
    assert str(receiver.port) in attempt.error_message


async def test_a_manual_attempt_that_fails_leaves_the_timetable_as_it_was(engine, endpoint, receiver):
    await in_db(lambda: endpoint.change(retry_delays=[1000, 1000]))
    receiver.answer(500)
    delivery = await sent(endpoint)
    before = await waiting(delivery, 1)
    await in_db((await fresh(delivery)).retry)
    after = await waiting(delivery, 2)
    assert (after.status, after.due_at, after.failed_count) == ("pending", before.due_at, 1)
    assert [a.trigger for a in await attempts(delivery)] == ["automatic", "manual"]


async def test_a_manual_attempt_after_the_last_failure_can_still_succeed(engine, endpoint, receiver):
    await in_db(lambda: endpoint.change(retry_delays=[]))
    receiver.answer(500, 200)
    delivery = await sent(endpoint)
    failed = await ends(delivery, "failed")
    await in_db(failed.retry)
    ended = await ends(delivery, "succeeded")
    assert (ended.attempt_count, ended.failed_count) == (2, 1)


async def test_cancel_lets_the_attempt_in_flight_end_and_makes_no_other(engine, endpoint, receiver):
    receiver.answer(Answer(500, delay=0.3), 200)
    delivery = await sent(endpoint)
    await receiver.received(1)
    await in_db(delivery.cancel)
    ended = await ends(delivery, "cancelled")
    assert (ended.last_status_code, ended.due_at) == (500, None)
    assert len(receiver.requests) == 1


@pytest.mark.alone
async def test_a_slow_receiver_does_not_hold_up_another(engine, endpoint, receiver):
    slow = Receiver().start()
    slow.delay = 30
    hung = await in_db(lambda: Endpoint.register(url=slow.url, events=[]))
    await asyncio.gather(*[sent(hung, trigger="api") for _ in range(12)])
    await until(lambda: len(slow.requests) == 10)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await sent(endpoint)
    await receiver.received(1)
    assert loop.time() - began < 0.5
    assert len(slow.requests) == 10, "max_in_flight was not respected"
    slow.stop()


async def test_an_endpoint_that_may_have_everything_and_hangs_leaves_room_for_the_others(endpoint, receiver):
    slow = Receiver().start()
    slow.delay = 30
    greedy = await in_db(lambda: Endpoint.register(url=slow.url, events=[], max_in_flight=1000))
    await in_db(lambda: [accept(greedy, trigger="api") for _ in range(40)])
    running = Engine(concurrency=20)
    await running.start()
    await until(lambda: len(slow.requests) == 18)
    await sent(endpoint, trigger="api")
    await receiver.received(1, within=1)
    await running.stop(grace=0)
    assert len(slow.requests) == 18
    slow.stop()


async def test_clicks_on_an_endpoint_that_hangs_go_beyond_its_share_and_hold_up_no_other(endpoint, receiver):
    slow = Receiver().start()
    slow.delay = 30
    greedy = await in_db(lambda: Endpoint.register(url=slow.url, events=[], max_in_flight=1000))
    running = Engine(concurrency=20)
    await running.start()
    await in_db(lambda: [accept(greedy, trigger="api") for _ in range(40)])
    await until(lambda: len(slow.requests) == 18)
    await in_db(lambda: [accept(greedy) for _ in range(12)])
    await until(lambda: len(slow.requests) == 23)
    await sent(endpoint, trigger="api")
    await receiver.received(1, within=1)
    await sent(endpoint)
    await receiver.received(2, within=1)
    await running.stop(grace=0)
    assert len(slow.requests) == 23
    slow.stop()


async def test_a_410_pauses_the_endpoint_and_resuming_sends_what_it_held(engine, endpoint, receiver):
    receiver.answer(410, 200)
    delivery = await sent(endpoint)
    await until(lambda: len(receiver.requests) == 1)
    held = await waiting(delivery, 1)
    assert held.held and held.next_attempt_at is None
    paused = await in_db(lambda: Endpoint.objects.get(pk=endpoint.pk))
    assert paused.paused
    assert await in_db(lambda: Activity.objects.filter(actor="engine", detail__contains="410").exists())
    await in_db(paused.resume)
    await ends(delivery, "succeeded")


async def test_a_paused_endpoint_keeps_its_deliveries_until_it_is_resumed(engine, endpoint, receiver):
    await in_db(endpoint.pause)
    delivery = await sent(endpoint)
    await engine.drain()
    assert (await fresh(delivery)).status == "pending"
    assert receiver.requests == []
    await in_db(endpoint.resume)
    await ends(delivery, "succeeded")


async def test_a_bug_hits_one_delivery_and_ends_it_after_three_internal_errors(engine, endpoint, receiver):
    poisoned = await in_db(lambda: Endpoint.register(url="http://127.0.0.1:99999/", events=[]))
    bad, good = await sent(poisoned), await sent(endpoint)
    assert (await ends(good, "succeeded")).attempt_count == 1
    assert (await ends(bad, "failed")).attempt_count == 3
    assert {a.error for a in await attempts(bad)} == {"internal_error"}


async def test_e25_without_a_descriptor_to_send_with_it_waits_and_says_so(
    engine, endpoint, receiver, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as exhausted:
        exhausted.setattr(engine._lines.files, "free", lambda: 0)
        delivery = await sent(endpoint, trigger="api")
        await asyncio.shield(engine._turned)
        (trouble,) = engine.troubles()
        assert "ulimit -n" in trouble and not receiver.requests
    await ends(delivery, "succeeded")
    assert engine.troubles() == []


async def test_every_step_of_a_delivery_has_a_higher_seq(engine, endpoint):
    delivery = await sent(endpoint)
    before = delivery.seq
    await engine.drain()
    assert (await fresh(delivery)).seq == before + 2, "one for sending, one for succeeded"


async def test_claims_made_ahead_are_given_back_when_the_endpoint_becomes_slow(engine, endpoint, receiver):
    await in_db(lambda: endpoint.change(max_in_flight=2))
    deliveries = await in_db(lambda: [accept(endpoint, trigger="api") for _ in range(60)])
    await (
        engine.drain()
    )  # not only received: the last one must have been answered before the receiver slows down
    receiver.delay = 30
    await in_db(lambda: [accept(endpoint, trigger="api") for _ in range(60)])

    async def settled() -> bool:
        sending = await in_db(lambda: Delivery.objects.filter(status="sending").count())
        return sending == 2 and len(receiver.requests) == 62

    deadline = asyncio.get_running_loop().time() + 5
    while not await settled():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)
    numbers = await in_db(
        lambda: set(Delivery.objects.filter(status="pending").values_list("attempt_count", flat=True))
    )
    assert numbers == {0}, "an attempt that never was must not be counted"
    assert len(deliveries) == 60


async def test_what_is_shown_of_an_attempt_is_json_that_was_on_the_wire(engine, endpoint, receiver):
    await in_db(lambda: endpoint.change(headers={"X-Mine": "yes"}, extras=False))
    delivery = await sent(endpoint)
    await engine.drain()
    (request,) = receiver.requests
    (attempt,) = await attempts(delivery)
    assert request.pairs[-1] == ("X-Mine", "yes")
    assert "x-ultrareach-event" not in request.headers
    assert json.loads(json.dumps(attempt.request_headers)) == [list(pair) for pair in request.pairs]


async def test_a_slot_that_is_cancelled_before_its_first_step_leaves_its_claim_to_be_recorded(
    engine, endpoint, receiver, monkeypatch
):
    pump = engine._pump

    def pump_and_cancel(line: Line) -> None:
        pump(line)
        if line.attempts:
            monkeypatch.setattr(engine, "_pump", pump)
            for slot in line.attempts:
                slot.cancel()

    monkeypatch.setattr(engine, "_pump", pump_and_cancel)
    delivery = await sent(endpoint)
    await engine.drain()
    assert [a.status for a in await in_db(lambda: list(delivery.attempts.order_by("number")))] == [
        "interrupted",
        "succeeded",
    ]
    assert engine._lines.in_flight == 0 and not engine._lines.out


async def test_after_a_deletion_nothing_is_sent_although_a_claim_was_on_its_way(engine, endpoint, receiver):
    """However the deletion falls into a turn of the engine, and whatever the batch has ready."""
    receiver.delay = 0.2
    for moment in range(8):
        one = await in_db(lambda: Endpoint.register(url=receiver.url, events=["*"]))
        number = ids.decode("ep", one.pk)
        await in_db(lambda one=one: Batch.start("lead.qualified", 100, [one.pk]))
        await asyncio.sleep(moment * 0.003)  # no condition: any moment will do
        await in_db(one.remove)
        async with asyncio.timeout(2):
            await engine.abandon(number)
        sent = len(receiver.requests)
        for _ in range(5):
            engine._bell.set()
            await asyncio.shield(engine._turned)
        assert len(receiver.requests) == sent and engine._lines.in_flight == 0
        assert number not in engine._lines and number not in engine._ledger._targets._known


@pytest.mark.parametrize("known", [True, False])
async def test_what_was_claimed_before_an_edit_and_arrives_after_it_is_claimed_again(
    engine, endpoint, receiver, monkeypatch, known
):
    """The loop goes on while a long turn is under way: the edit is told before the claims are there."""
    if known:
        await ends(await sent(endpoint), "succeeded")
    at_once = engine._at_once

    async def and_then_an_edit(step: Callable[[], Any]) -> Any:
        turn = await at_once(step)
        if turn.claims:
            monkeypatch.setattr(engine, "_at_once", at_once)
            await in_db(lambda: Endpoint.objects.get(pk=endpoint.pk).change(headers={"x-new": "1"}))
            await asyncio.sleep(0)  # for what the edit asked the loop to do
        return turn

    monkeypatch.setattr(engine, "_at_once", and_then_an_edit)
    await ends(await sent(endpoint, trigger="api"), "succeeded")
    assert receiver.requests[-1].headers.get("x-new") == "1"
    assert len(receiver.requests) == 1 + known
