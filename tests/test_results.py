"""What came of an attempt, as it is written down: each result once, only if its claim still stands."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError

from simulator import claims, feed, results
from simulator.claims import Claim, Claims, Room
from simulator.models import Activity, Attempt, Delivery, Endpoint, Event
from simulator.models.delivery import CLICK, HELD, NORMAL
from simulator.outcome import LateAnswer, Outcome
from simulator.results import Result
from simulator.rows import change
from simulator.transaction import writing

pytestmark = pytest.mark.django_db
STARTED = datetime(2025, 2, 7, 2, 55, 0, 250_000, tzinfo=UTC)
BRIEFLY = timedelta(seconds=1)  # what the steps of a test take at most


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint.register(url="http://127.0.0.1:3000/", events=["*"])


def accept(to: Endpoint) -> Delivery:
    return Event.accept("lead.qualified", b"{}", endpoints=[to], trigger="api")[1][0]


def claim(count: int = 1) -> list[Claim]:
    with writing():
        return Claims().claim(Room(count, count, {}), datetime.now(UTC) + BRIEFLY)


def answer(status: int = 200, **more: Any) -> Outcome:
    error = None if 200 <= status < 300 else "status"
    facts = {"started_at": STARTED.timestamp(), "duration_ms": 12.0, "reason": "As Told", "error": error}
    return Outcome(status_code=status, **{**facts, **more})


def refused() -> Outcome:
    return Outcome(
        STARTED.timestamp(), 1.0, error="refused", message="Nothing listens there.", phase="connect"
    )


def record(*pairs: tuple[Claim, Outcome], scale: float = 1.0, ago: float = 0.0) -> None:
    with writing():
        results.record([Result(one, out, time.monotonic() - ago) for one, out in pairs], scale)


def step(run: Callable[..., Any], *arguments: Any) -> None:
    with writing():
        run(*arguments)


def test_an_answer_is_kept_as_it_came(endpoint: Endpoint) -> None:
    delivery = accept(endpoint)
    [one] = claim()
    headers = [("Content-Type", "text/plain"), ("X-A", "1"), ("X-A", "caf\xe9")]
    facts = {
        "phases": {"connect": 0.12345, "wait": 3.0},
        "remote_address": "127.0.0.1:3000",
        "repeated": True,
    }
    body = {"body": b"\x00ok\xff", "size": 4, "declared": 9, "truncated": True, "headers_dropped": 2}
    record((one, answer(201, headers=headers, **facts, **body)))
    attempt = Attempt.objects.get()
    assert (attempt.status, attempt.status_code, attempt.reason) == ("succeeded", 201, "As Told")
    assert (attempt.started_at, attempt.duration_ms) == (STARTED, 12.0)
    assert [tuple(header) for header in attempt.response_headers] == headers
    assert attempt.phases == {"connect": 0.123, "wait": 3.0}
    assert (attempt.remote_address, attempt.repeated) == ("127.0.0.1:3000", True)
    assert (bytes(attempt.response_body), attempt.response_size, attempt.declared_size) == (
        b"\x00ok\xff",
        4,
        9,
    )
    assert (attempt.truncated, attempt.headers_dropped, attempt.error) == (True, 2, None)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.due_at, delivery.failed_count) == ("succeeded", None, 0)
    assert (delivery.last_number, delivery.last_status_code, delivery.last_duration_ms) == (1, 201, 12.0)


def test_an_error_without_an_answer_has_no_response(endpoint: Endpoint) -> None:
    accept(endpoint)
    record((claim()[0], refused()))
    attempt = Attempt.objects.get()
    assert (attempt.status, attempt.error, attempt.error_phase) == ("failed", "refused", "connect")
    assert attempt.error_message == "Nothing listens there."
    assert (attempt.status_code, attempt.reason, attempt.response_headers) == (None, None, None)
    assert (attempt.response_body, attempt.response_size) == (None, None)


@pytest.mark.parametrize(("scale", "wait"), [(1.0, 2.0), (0.05, 0.1)])
def test_the_wait_counts_from_the_answer_not_from_when_it_is_written(
    endpoint: Endpoint, scale: float, wait: float
) -> None:
    delivery = accept(endpoint)
    answered_at = datetime.now(UTC) - timedelta(seconds=20)
    record((claim()[0], answer(500)), scale=scale, ago=20)
    delivery.refresh_from_db()
    planned = answered_at + timedelta(seconds=wait)
    assert (delivery.status, delivery.failed_count) == ("pending", 1)
    assert abs(delivery.due_at - planned) < BRIEFLY
    assert (delivery.last_status_code, delivery.last_error) == (500, "status")


def test_a_retry_is_never_due_before_its_time_however_long_its_group_takes(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = [accept(endpoint), accept(endpoint)][1]
    row_of, never = results._answer, threading.Event()
    monkeypatch.setattr(results, "_answer", lambda *facts: (never.wait(0.02), row_of(*facts))[1])
    ended_at = datetime.now(UTC)
    record(*((one, answer(500)) for one in claim(2)))
    delivery.refresh_from_db()
    assert delivery.due_at >= ended_at + timedelta(seconds=2)


def test_what_retry_after_asked_for_and_what_of_it_counts_is_written_down(endpoint: Endpoint) -> None:
    accept(endpoint)
    record((claim()[0], answer(503, retry_after="7200")))
    attempt = Attempt.objects.get()
    assert (attempt.retry_after_asked, attempt.retry_after_used) == (7200, 3600)


def test_neither_a_click_nor_a_failure_leaves_a_trace_in_what_comes_after_it(endpoint: Endpoint) -> None:
    delivery = accept(endpoint)
    [first] = claim()
    record((first, refused()))
    delivery.retry()
    [second] = claim()
    record((second, refused()))
    Delivery.objects.update(due_at=datetime.now(UTC))
    [third] = claim()
    record((third, answer()))
    assert [(one.trigger, one.lane) for one in (first, second, third)] == [
        ("automatic", NORMAL),
        ("manual", CLICK),
        ("automatic", NORMAL),
    ]
    delivery.refresh_from_db()
    assert (delivery.status, delivery.last_error, delivery.failed_count) == ("succeeded", None, 1)


def test_the_last_failure_ends_the_delivery_at_that_moment(endpoint: Endpoint) -> None:
    delivery = accept(endpoint)
    Delivery.objects.update(failed_count=5)
    record((claim()[0], refused()), ago=20)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.due_at, delivery.failed_count) == ("failed", None, 6)
    assert abs(delivery.finished_at - (datetime.now(UTC) - timedelta(seconds=20))) < BRIEFLY


@pytest.mark.parametrize("outcome", [answer(), refused()], ids=["a success", "a failure"])
def test_of_a_group_a_late_result_changes_nothing_and_the_others_count(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture, outcome: Outcome
) -> None:
    slow, quick = accept(endpoint), accept(endpoint)
    late, fine = claim(2)
    step(results.interrupt_claims, [late], datetime.now(UTC))
    record((late, outcome), (fine, answer()))
    assert {d.pk: d.status for d in Delivery.objects.all()} == {slow.pk: "pending", quick.pk: "succeeded"}
    attempt = Attempt.objects.get(delivery=slow)
    assert (attempt.status, attempt.error, attempt.status_code) == ("interrupted", "interrupted", None)
    assert "1 late results changed nothing" in caplog.text


def test_a_result_written_twice_counts_once(endpoint: Endpoint) -> None:
    delivery = accept(endpoint)
    [one] = claim()
    for _ in range(2):
        record((one, refused()))
    delivery.refresh_from_db()
    assert (delivery.failed_count, delivery.attempts.count()) == (1, 1)


@pytest.mark.parametrize(
    "poison",
    [{"headers": [("x", object())]}, {"headers_dropped": -1}],
    ids=["no JSON", "against a constraint"],
)
def test_one_result_that_cannot_be_written_is_our_own_error_and_harms_no_other(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture, poison: dict[str, Any]
) -> None:
    odd, _ = accept(endpoint), accept(endpoint)
    one, other = claim(2)
    record((one, answer(**poison)), (other, answer()))
    for model, error in ((Delivery, "last_error"), (Attempt, "error")):
        assert list(model.objects.order_by("id").values_list(error, flat=True)) == ["internal_error", None]
    assert "could not be written" in Attempt.objects.get(delivery=odd).error_message
    assert "could not be written" in caplog.text


def test_a_database_that_cannot_be_written_is_nobodys_fault_and_the_group_can_be_tried_again(
    endpoint: Endpoint,
) -> None:
    delivery = accept(endpoint)
    [one] = claim()
    change("PRAGMA query_only = ON")
    try:
        with pytest.raises(OperationalError, match="readonly"):
            results.record([Result(one, answer())], 1.0)
    finally:
        change("PRAGMA query_only = OFF")
    record((one, answer()))
    delivery.refresh_from_db()
    assert (delivery.status, delivery.last_error) == ("succeeded", None)


def test_a_database_that_fails_only_for_a_moment_leaves_no_error_of_ours(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(endpoint)
    [one] = claim()
    with monkeypatch.context() as once, pytest.raises(OperationalError, match="locked"):
        once.setattr(feed, "take", lambda _: (once.undo(), _raise(OperationalError("database is locked"))))
        results.record([Result(one, answer())], 1.0)
    assert Attempt.objects.get().status == "sending", "the engine keeps the result and tries again"


def _raise(error: Exception) -> None:
    raise error


def test_an_attempt_that_was_cut_off_is_due_again_with_its_budget_untouched(endpoint: Endpoint) -> None:
    delivery = accept(endpoint)
    [one] = claim()
    one.claimed_at -= 0.8
    now = datetime.now(UTC)
    step(results.interrupt_claims, [one], now)
    delivery.refresh_from_db()
    attempt = Attempt.objects.get()
    assert (attempt.status, attempt.error, attempt.status_code) == ("interrupted", "interrupted", None)
    assert 800 <= attempt.duration_ms < 1800
    assert (delivery.status, delivery.due_at, delivery.failed_count) == ("pending", now, 0)
    assert [(again.number, again.trigger) for again in claim()] == [(2, "recovery")]


def test_ten_interruptions_with_an_answer_between_them_brake_nothing(endpoint: Endpoint) -> None:
    delivery = accept(endpoint)
    for attempt in range(1, 21):
        [one] = claim()
        if attempt == 10:
            record((one, refused()))
            Delivery.objects.update(due_at=datetime.now(UTC))
        else:
            step(results.interrupt_claims, [one], datetime.now(UTC))
        delivery.refresh_from_db()
        assert delivery.status == ("pending" if attempt < 20 else "failed"), attempt


def test_only_what_has_outlived_its_lease_is_reclaimed_and_a_restart_recovers_all(endpoint: Endpoint) -> None:
    accept(endpoint)
    accept(endpoint)
    outlived, _ = claim(2)
    now = datetime.now(UTC)
    Delivery.objects.filter(pk=Attempt.objects.get(number=1, id=_public(outlived)).delivery_id).update(
        due_at=now
    )
    step(results.reclaim, now, {outlived.delivery})
    assert set(Delivery.objects.values_list("status", flat=True)) == {"sending"}, (
        "its answer may still be unread"
    )
    step(results.reclaim, now)
    assert sorted(Delivery.objects.values_list("status", flat=True)) == ["pending", "sending"]
    step(results.recover, now)
    assert set(Delivery.objects.values_list("status", "due_at")) == {("pending", now)}
    assert set(Attempt.objects.values_list("status", "duration_ms")) == {("interrupted", None)}


def _public(one: Claim) -> str:
    return Attempt._meta.pk.from_db_value(one.attempt, None, None)


def test_a_410_pauses_the_endpoint_and_holds_what_waits_for_it(endpoint: Endpoint) -> None:
    other = Endpoint.register(url="http://127.0.0.1:4000/", events=["*"])
    accept(endpoint)
    [one] = claim()
    accept(endpoint)
    elsewhere = accept(other)
    record((one, answer(410)))
    endpoint.refresh_from_db()
    assert endpoint.paused
    assert set(endpoint.deliveries.values_list("status", "due_at")) == {("pending", HELD)}
    noted = Activity.objects.get(actor="engine")
    assert (noted.action, noted.detail) == ("paused endpoint", "the receiver answered 410 Gone")
    elsewhere.refresh_from_db()
    assert elsewhere.due_at < HELD


@pytest.mark.parametrize(
    ("outcome", "becomes"), [(answer(500), ("pending", HELD)), (answer(200), ("succeeded", None))]
)
def test_a_pause_while_an_attempt_is_in_flight_holds_its_retry(
    endpoint: Endpoint, outcome: Outcome, becomes: tuple[Any, ...]
) -> None:
    delivery = accept(endpoint)
    [one] = claim()
    endpoint.pause()
    record((one, outcome))
    delivery.refresh_from_db()
    assert (delivery.status, delivery.due_at) == becomes


@pytest.mark.parametrize(
    ("outcome", "status"), [(answer(500), "cancelled"), (answer(200), "succeeded"), (None, "cancelled")]
)
def test_a_cancel_while_an_attempt_is_in_flight_makes_it_the_last(
    endpoint: Endpoint, outcome: Outcome | None, status: str
) -> None:
    delivery = accept(endpoint)
    [one] = claim()
    delivery.cancel()
    if outcome:
        record((one, outcome))
    else:
        step(results.interrupt_claims, [one], datetime.now(UTC))
    delivery.refresh_from_db()
    assert (delivery.status, delivery.due_at, delivery.cancelling) == (status, None, False)
    assert delivery.finished_at is not None and not claims.unfinished()


def test_an_answer_after_the_deadline_is_noted_and_changes_no_outcome(endpoint: Endpoint) -> None:
    delivery = accept(endpoint)
    [one] = claim()
    record((one, Outcome(STARTED.timestamp(), 15_000.0, error="no_response")))
    before = feed.latest()
    step(results.note_late, [(one, LateAnswer(200, 15_800.1234))])
    attempt = Attempt.objects.get()
    assert (attempt.status, attempt.late_status_code, attempt.late_ms) == ("failed", 200, 15_800.123)
    assert [changed.pk for changed in Delivery.objects.since(before)] == [delivery.pk], "readers are told"


def test_every_result_of_a_group_gets_a_seq_of_its_own(endpoint: Endpoint) -> None:
    for _ in range(3):
        accept(endpoint)
    taken, before = claim(3), feed.latest()
    record(*[(one, out) for one, out in zip(taken, (answer(), refused(), answer()), strict=True)])
    assert [changed.seq - before for changed in Delivery.objects.since(before)] == [1, 2, 3]


def test_a_turn_in_which_nothing_ended_records_nothing(caplog: pytest.LogCaptureFixture) -> None:
    before = feed.latest()
    record()
    assert (feed.latest(), caplog.records) == (before, [])


def test_a_fault_that_hits_every_write_is_met_twice_and_no_more(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(endpoint)
    [one] = claim()
    tries = []

    def never(*args: object) -> None:
        tries.append(args)
        raise RuntimeError("a bug")

    monkeypatch.setattr(results, "_write", never)
    with pytest.raises(RuntimeError, match="a bug"):
        record((one, answer()))
    assert len(tries) == 2
