"""All lines together: how much may be out, and that no endpoint and no click takes what is not there."""

import pytest

from simulator.claims import FOR_CLICKS, Claim
from simulator.lifecycle import Standing
from simulator.lines import Lines
from simulator.models import Endpoint
from simulator.models.delivery import BATCH, CLICK
from simulator.target import Target

pytestmark = pytest.mark.django_db
CONCURRENCY = 40
SHARE = 36  # a tenth is left to the others


@pytest.fixture
def target() -> Target:
    return Target(Endpoint.register(url="http://127.0.0.1/", events=["*"], max_in_flight=1000), 1)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    lines = Lines(CONCURRENCY, lambda: len(lines.out))  # each has its connection
    monkeypatch.setattr(lines.files, "free", lambda: 500)
    return lines


def claim(target: Target, number: int, lane: int = BATCH) -> Claim:
    standing = Standing(target.delays, 0, manual=False, resume_at=None)
    return Claim(number, 1, number, 1, lane, "automatic", target, b"{}", standing)


def sends(lines: Lines, target: Target, count: int, lane: int = BATCH) -> list[Claim]:
    """So many are claimed and on their way."""
    claims = [claim(target, number, lane) for number in range(count)]
    for one in claims:
        assert lines.add(one)
        assert lines.next(lines[target.id], bulk=True) is one
    return claims


def test_when_nothing_is_out_all_but_the_share_of_the_others_may_go_to_one_endpoint(
    lines: Lines, target: Target
) -> None:
    room = lines.room(0)
    assert (room.free, room.clicks, room.of(target, BATCH)) == (CONCURRENCY, CONCURRENCY + FOR_CLICKS, SHARE)


def test_what_is_out_counts_until_it_is_recorded_and_not_only_until_it_ends(
    lines: Lines, target: Target
) -> None:
    sent = sends(lines, target, 10)
    for _ in sent:
        lines.ended(lines[target.id], 0.001)
    assert (lines.in_flight, lines.room(0).free, lines.room(10).free) == (0, 30, 40)
    lines.out.difference_update(sent)
    assert lines.room(0).free == CONCURRENCY


def test_clicks_beyond_the_share_of_a_full_endpoint_leave_the_others_what_was_theirs(
    lines: Lines, target: Target
) -> None:
    sends(lines, target, SHARE)
    sends(lines, target, 4, CLICK)
    room = lines.room(0)
    assert (room.free, room.clicks, room.of(target, BATCH)) == (4, FOR_CLICKS, -4)


def test_descriptors_bound_everything_and_those_of_open_connections_are_not_asked_for_twice(
    lines: Lines, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    sends(lines, target, 5)
    monkeypatch.setattr(lines.files, "free", lambda: 3)
    room = lines.room(0)
    assert (room.free, room.clicks, lines.starved) == (3, 3, False)
    monkeypatch.setattr(lines.files, "free", lambda: 0)
    assert (lines.room(0).clicks, lines.starved) == (0, True)


def test_after_a_stumble_nothing_is_out(lines: Lines, target: Target) -> None:
    sends(lines, target, 3)
    lines.add(claim(target, 9))
    lines.start_again()
    assert (len(lines), len(lines.out), lines.in_flight, lines.withdraw()) == (0, 0, 0, [])
    assert lines.room(0).of(target, BATCH) == SHARE
