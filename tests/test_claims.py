"""Which deliveries are claimed: lane by lane, fairly between endpoints, never beyond the room, never twice."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulator import claims, feed, ids
from simulator.claims import LEASE_MARGIN_S, Claim, Claims, Room
from simulator.models import Attempt, Delivery, Endpoint, Event
from simulator.models.delivery import BATCH, CLICK, HELD, NORMAL
from simulator.transaction import writing

pytestmark = pytest.mark.django_db
MANY = 1000


def soon() -> datetime:
    """A moment at which everything that was accepted so far is due."""
    return datetime.now(UTC) + timedelta(seconds=1)


def endpoint(**fields: Any) -> Endpoint:
    return Endpoint.register(url="http://127.0.0.1:3000/", events=["*"], **{"max_in_flight": MANY, **fields})


def accept(to: Endpoint, count: int = 1, trigger: str = "api") -> list[Delivery]:
    return [
        Event.accept("lead.qualified", b'{"id":"evt_1"}', endpoints=[to], trigger=trigger)[1][0]
        for _ in range(count)
    ]


def room(free: int = MANY, clicks: int | None = None, **more: Any) -> Room:
    return Room(free, free if clicks is None else clicks, **{"endpoints": {}, **more})


def claim(into: Room | None = None, by: Claims | None = None, now: datetime | None = None) -> list[Claim]:
    with writing():
        return (by or Claims()).claim(into or room(), now or soon())


def owners(claimed: list[Claim]) -> Counter[str]:
    return Counter(ids.encode("ep", one.target.id) for one in claimed)


def number(of: Endpoint) -> int:
    return ids.decode("ep", of.pk) or 0


def test_a_claim_is_written_down_before_anything_is_sent() -> None:
    [delivery] = accept(endpoint(timeout=3))
    before, now = feed.latest(), soon()
    [one] = claim(now=now)
    delivery.refresh_from_db()
    attempt = Attempt.objects.get()
    assert (delivery.status, delivery.attempt_count) == ("sending", 1)
    assert delivery.due_at == now + timedelta(seconds=3 + LEASE_MARGIN_S), "the end of the lease"
    assert delivery.seq == feed.latest() == before + 1
    assert (attempt.delivery_id, attempt.number, attempt.status) == (delivery.pk, 1, "sending")
    assert (attempt.started_at, attempt.url) == (now, "http://127.0.0.1:3000/")
    assert [tuple(header) for header in attempt.request_headers] == one.headers
    assert (one.body, one.flaw) == (b'{"id":"evt_1"}', None)


def test_what_is_claimed_is_not_claimed_again_not_even_when_its_lease_is_over() -> None:
    accept(endpoint(), 3)
    assert len(claim()) == 3
    assert claim() == claim(now=soon() + timedelta(hours=1)) == [], "it must be reclaimed first"


def test_what_is_not_due_yet_waits_and_says_until_when() -> None:
    now = soon()
    accept(endpoint())
    Delivery.objects.update(due_at=now + timedelta(seconds=8))
    assert claim(now=now) == []
    assert claims.next_due(now) == now + timedelta(seconds=8)
    assert len(claim(now=now + timedelta(seconds=8))) == 1


def test_clicks_go_before_single_events_and_those_before_batches() -> None:
    to = endpoint()
    accept(to, 3)
    Delivery.objects.update(lane=BATCH)
    accept(to, 2)
    accept(to, 1, trigger="test")
    by, lanes = Claims(), []
    while one := claim(room(1), by):
        lanes += [claimed.lane for claimed in one]
    assert lanes == [CLICK, NORMAL, NORMAL, BATCH, BATCH, BATCH]


def test_when_everything_is_taken_there_is_still_room_for_a_click() -> None:
    to = endpoint()
    accept(to, 5)
    accept(to, 5, trigger="test")
    assert [one.lane for one in claim(room(0, clicks=3))] == [CLICK] * 3
    assert [one.lane for one in claim(room(0, clicks=3))] == [CLICK] * 2, "and for nothing else"


def test_the_room_is_shared_fairly_between_endpoints_and_what_one_leaves_the_others_use() -> None:
    one, other, third = endpoint(), endpoint(), endpoint()
    accept(one, 20)
    accept(other, 20)
    accept(third, 2)
    assert owners(claim(room(12))) == {one.pk: 5, other.pk: 5, third.pk: 2}


def test_with_room_for_one_only_the_endpoints_take_turns() -> None:
    many = [endpoint() for _ in range(3)]
    for to in many:
        accept(to, 4)
    by = Claims()
    taken = [owners(claim(room(1), by)) for _ in range(6)]
    assert sum(taken, Counter()) == {to.pk: 2 for to in many}


def test_no_endpoint_gets_more_than_its_own_limit_and_room() -> None:
    limited, busy, full = endpoint(max_in_flight=2), endpoint(), endpoint()
    for to in (limited, busy, full):
        accept(to, 5)
    out = {number(busy): 3, number(full): 0}
    assert owners(claim(room(endpoints=out))) == {limited.pk: 2, busy.pk: 3}


def test_an_endpoint_that_may_have_everything_leaves_some_to_the_others() -> None:
    greedy = endpoint()
    accept(greedy, 9)
    assert len(claim(room(9, share=7))) == 7


def test_but_not_of_what_a_person_clicked() -> None:
    greedy = endpoint()
    accept(greedy, 9, trigger="test")
    accept(greedy, 9)
    assert [one.lane for one in claim(room(12, share=7))] == [CLICK] * 9


def test_of_what_is_kept_for_clicks_one_endpoint_has_half_beyond_its_share() -> None:
    greedy = endpoint()
    accept(greedy, 9, trigger="test")
    accept(greedy, 9)
    there = room(2, 12, endpoints={number(greedy): 20}, shares={number(greedy): 1})
    assert [one.lane for one in claim(there)] == [CLICK] * 6
    assert (there.free, there.clicks) == (1, 6), "five of them are none of what is there for all"


def test_the_room_of_an_endpoint_is_one_for_all_its_lanes() -> None:
    to = endpoint(max_in_flight=3)
    accept(to, 2, trigger="test")
    accept(to, 5)
    assert [one.lane for one in claim()] == [CLICK, CLICK, NORMAL]


def test_a_paused_and_a_deleted_endpoint_are_left_out() -> None:
    paused, deleted, healthy = endpoint(), endpoint(), endpoint()
    for to in (paused, deleted, healthy):
        accept(to, 2)
    # Also when their deliveries look due, because they came in at the same moment.
    Endpoint.objects.filter(pk=paused.pk).update(status="paused")
    Endpoint.objects.filter(pk=deleted.pk).update(deleted_at=soon())
    assert owners(claim()) == {healthy.pk: 2}


def test_what_a_paused_endpoint_holds_is_nothing_to_wait_for() -> None:
    to = endpoint()
    accept(to)
    assert claims.unfinished()
    to.pause()
    assert not claims.unfinished()
    to.resume()
    assert claims.unfinished() and len(claim()) == 1


def test_a_change_of_the_endpoint_counts_from_the_next_claim_on() -> None:
    to, by = endpoint(), Claims()
    accept(to, 2)
    [before] = claim(room(1), by)
    to.change(url="http://127.0.0.1:4000/", timeout=1)
    [after] = claim(room(1), by)
    assert (before.target.url, after.target.url) == ("http://127.0.0.1:3000/", "http://127.0.0.1:4000/")
    assert Attempt.objects.get(pk=ids.encode("att", after.attempt)).url == "http://127.0.0.1:4000/"


def test_a_flaw_in_one_endpoint_hits_its_claims_alone(caplog: pytest.LogCaptureFixture) -> None:
    broken, healthy = endpoint(), endpoint()
    Endpoint.objects.filter(pk=broken.pk).update(url="http://[")
    accept(broken)
    accept(healthy)
    flaws = {ids.encode("ep", one.target.id): type(one.flaw) for one in claim()}
    assert flaws == {broken.pk: ValueError, healthy.pk: type(None)}
    assert Delivery.objects.filter(status="sending", attempts__status="sending").count() == 2
    assert "could not be prepared" in caplog.text


def test_a_claim_that_is_given_back_never_was() -> None:
    accept(endpoint(), 2)
    now = soon()
    with writing():
        claims.release(claim(), now)
    assert not Attempt.objects.exists()
    assert set(Delivery.objects.values_list("status", "due_at", "attempt_count")) == {("pending", now, 0)}
    assert [one.number for one in claim(now=now)] == [1, 1]


def test_what_is_given_back_respects_a_pause_and_a_cancel_that_came_meanwhile() -> None:
    paused, healthy = endpoint(), endpoint()
    [held], [cancelled] = accept(paused), accept(healthy)
    taken = claim()
    paused.pause()
    cancelled.cancel()
    with writing():
        claims.release(taken, soon())
    held.refresh_from_db()
    cancelled.refresh_from_db()
    assert (held.status, held.due_at) == ("pending", HELD)
    assert (cancelled.status, cancelled.due_at) == ("cancelled", None)
    assert cancelled.finished_at is not None and not claims.unfinished()


def test_a_claim_that_is_given_back_twice_leaves_the_next_one_alone() -> None:
    """A turn that the engine's end gave up may be committed all the same, and claim again what it gave back."""
    [delivery] = accept(endpoint())
    first = claim()
    with writing():
        claims.release(first, datetime.now(UTC))
    [second] = claim()
    with writing():
        claims.release(first, soon())
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempt_count) == ("sending", second.number)
    assert Attempt.objects.get().pk == ids.encode("att", second.attempt)


def test_a_claim_whose_delivery_went_on_cannot_be_given_back() -> None:
    [delivery] = accept(endpoint())
    taken = claim()
    Delivery.objects.update(attempt_count=2)
    with writing():
        claims.release(taken, soon())
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempt_count) == ("sending", 2)


@pytest.mark.parametrize(("asked", "wait"), [(None, 2), (1, 2), (600, 600)])
def test_e12_after_the_clock_was_set_back_nothing_waits_longer_than_its_delay_or_what_was_asked_for(
    asked: float | None, wait: float
) -> None:
    [delivery], now = accept(endpoint()), datetime.now(UTC)
    claim()
    Attempt.objects.update(status="failed", retry_after_used=asked)
    Delivery.objects.update(status="pending", failed_count=1, due_at=now + timedelta(hours=2))
    with writing():
        claims.pull_in(now, 1.0)
    delivery.refresh_from_db()
    assert delivery.due_at == now + timedelta(seconds=wait)


def test_of_endpoints_with_nothing_due_none_is_read() -> None:
    """With 3,000 that each had a retry waiting a turn took 36 ms, and the first one, which read them all, 2.7 s."""
    later, due = [endpoint() for _ in range(3)], endpoint()
    for to in later:
        accept(to)
    Delivery.objects.update(due_at=soon() + timedelta(hours=1))
    accept(due)
    by = Claims()
    assert owners(claim(by=by)) == {due.pk: 1}
    assert set(by._targets._known) == {number(due)}


@pytest.mark.parametrize("few", [100, 1])
def test_of_endpoints_with_something_due_no_more_are_read_than_there_is_room_for(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "FEW", few)
    for to in [endpoint() for _ in range(5)]:
        accept(to)
    by = Claims()
    assert len(claim(room(2), by)) == len(by._targets._known) == 2


@pytest.mark.parametrize("few", [100, 1])
def test_few_and_many_that_are_due_are_found_alike(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "FEW", few)
    one, other, later, paused = [endpoint() for _ in range(4)]
    accept(later)
    Delivery.objects.update(due_at=soon() + timedelta(hours=1))
    for to in (one, other, paused):
        accept(to, 2)
    accept(other, trigger="test")
    paused.pause()
    assert claims._busy(soon()) == [
        (CLICK, number(other), 1),
        (NORMAL, number(one), 1),
        (NORMAL, number(other), 1),
    ]
