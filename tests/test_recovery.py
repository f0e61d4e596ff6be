"""What was under way when a process ended: found by the next one, interrupted, made again, and never counted twice."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from simulator import claims, results
from simulator import engine as engine_module
from simulator.claims import Claims, Room
from simulator.engine import Engine
from simulator.ledger import Ledger
from simulator.models import Attempt, Delivery, Endpoint
from simulator.transaction import writing

from .engines import accept, attempts, ends, fresh, in_db, sent
from .receiving import Answer

pytestmark = pytest.mark.django_db(transaction=True)


def claimed(delivery: Delivery) -> claims.Claim:
    """What a process does just before it is killed: the claim is committed, and nothing came of it."""
    with writing():
        (claim,) = Claims().claim(Room(free=1, clicks=1, endpoints={}), timezone.now())
    return claim


async def test_an_attempt_cut_off_by_a_kill_is_interrupted_and_made_again(endpoint, receiver):
    delivery = await sent(endpoint)
    await in_db(lambda: claimed(delivery))
    after = Engine()
    await after.start()
    await after.drain()
    await after.stop()
    made = await attempts(delivery)
    assert [(a.status, a.trigger, a.error) for a in made] == [
        ("interrupted", "automatic", "interrupted"),
        ("succeeded", "recovery", None),
    ]
    assert [r.headers["x-ultrareach-attempt"] for r in receiver.requests] == ["2"]
    assert (await fresh(delivery)).failed_count == 0


async def test_ten_interruptions_in_a_row_brake_a_poison_event(endpoint):
    delivery = await sent(endpoint)
    for _ in range(10):
        await in_db(lambda: claimed(delivery))
        await in_db(lambda: _recover())
    assert (await fresh(delivery)).status == "failed"


async def test_e12_a_clock_set_back_while_nobody_ran_leaves_a_manual_attempts_timetable_no_further_off(
    endpoint: Endpoint,
) -> None:
    """The attempt was in flight when its process was killed: it goes back to the timetable when it fails."""
    delivery = await sent(endpoint)

    def killed_with_it_in_flight() -> None:
        claimed(delivery)
        later = timezone.now() + timedelta(hours=1)
        Delivery.objects.filter(pk=delivery.pk).update(manual=True, failed_count=1, resume_at=later)
        Attempt.objects.update(started_at=later)  # by a clock that was an hour ahead

    await in_db(killed_with_it_in_flight)
    await in_db(Ledger(Path(connection.settings_dict["NAME"]), 1.0).recover)
    found = await fresh(delivery)
    assert (found.status, found.manual) == ("pending", True)
    assert found.resume_at - timezone.now() <= timedelta(seconds=endpoint.retry_delays[0])


def _recover() -> None:
    with writing():
        results.recover(timezone.now())


async def test_a_lease_that_has_ended_makes_the_delivery_due_again(engine, endpoint, receiver):
    receiver.answer(200)
    delivery = await in_db(lambda: accept_quietly(endpoint))
    await in_db(
        lambda: Delivery.objects.filter(pk=delivery.pk).update(due_at=timezone.now() - timedelta(hours=1))
    )
    await ends(delivery, "succeeded", within=10)
    assert [(a.number, a.status) for a in await attempts(delivery)][-1] == (2, "succeeded")


def accept_quietly(endpoint: Endpoint) -> Delivery:
    """A delivery that some other process claimed: `sending`, with an open attempt."""
    with writing():
        delivery = accept(endpoint, trigger="api")
        claimed(delivery)
    return delivery


async def test_a_result_whose_delivery_went_on_without_it_changes_nothing(endpoint, receiver):
    delivery = await sent(endpoint)
    claim = await in_db(lambda: claimed(delivery))
    await in_db(_recover)
    outcome = engine_module.Outcome(started_at=timezone.now().timestamp(), status_code=200)

    def late() -> None:
        with writing():
            results.record([results.Result(claim, outcome)], 1.0)

    await in_db(late)
    assert (await fresh(delivery)).status == "pending"
    assert [a.status for a in await attempts(delivery)] == ["interrupted"]


async def test_stopping_waits_for_an_answer_that_comes_in_time(endpoint, receiver):
    receiver.answer(Answer(delay=0.4))
    running = Engine()
    await running.start()
    delivery = await sent(endpoint)
    await receiver.received(1)
    await running.stop(grace=5)
    assert (await fresh(delivery)).status == "succeeded"


async def test_stopping_interrupts_what_would_not_end(endpoint, receiver):
    receiver.answer(Answer(delay=30))
    running = Engine()
    await running.start()
    delivery = await sent(endpoint)
    await receiver.received(1)
    await running.stop(grace=0.2)
    (attempt,) = await attempts(delivery)
    assert (attempt.status, (await fresh(delivery)).status) == ("interrupted", "pending")
    assert attempt.duration_ms >= 200
