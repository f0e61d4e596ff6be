"""The line before one endpoint: its limit holds, and what is claimed ahead follows how fast it answers."""

import time

import pytest

from simulator.claims import Claim
from simulator.lifecycle import Standing
from simulator.line import AT_REST_S, STALE_S, Line
from simulator.models import Endpoint
from simulator.models.delivery import BATCH, CLICK, NORMAL
from simulator.target import Target

pytestmark = pytest.mark.django_db
LIMIT = 4


@pytest.fixture
def target() -> Target:
    return Target(Endpoint.register(url="http://127.0.0.1/", events=["*"], max_in_flight=LIMIT), 1)


def claim(target: Target, number: int = 1, *, age: float = 0.0, lane: int = NORMAL) -> Claim:
    standing = Standing(target.delays, 0, manual=False, resume_at=None)
    made_at = time.monotonic() - age
    return Claim(number, 1, number, 1, lane, "automatic", target, b"{}", standing, claimed_at=made_at)


def filled(target: Target, count: int) -> Line:
    line = Line()
    for number in range(count):
        line.add(claim(target, number))
    return line


def answers(line: Line, count: int, seconds: float) -> None:
    """So many attempts are sent and answered, one after the other."""
    for _ in range(count):
        assert line.next()
        line.ended(seconds)


def test_never_more_than_the_limit_is_in_flight(target: Target) -> None:
    line = filled(target, 10)
    assert [one.delivery for one in iter(line.next, None)] == [0, 1, 2, 3], "in the order they were claimed"
    assert (line.in_flight, line.out) == (LIMIT, 10)
    line.ended(0.1)
    assert line.next() and not line.next()


def test_an_endpoint_of_which_nothing_is_known_gets_no_more_than_its_limit(target: Target) -> None:
    line = filled(target, 1)
    assert line.room() == LIMIT - 1
    assert line.next() and line.room() == LIMIT - 1, "in flight or waiting, it counts the same"


@pytest.mark.parametrize(("seconds", "ahead"), [(1.0, 0), (0.02, LIMIT), (0.01, 2 * LIMIT), (0, 200 * LIMIT)])
def test_the_faster_it_answers_the_more_is_claimed_ahead(target: Target, seconds: float, ahead: int) -> None:
    line = filled(target, 3)
    answers(line, 3, seconds)
    assert line.idle and line.room() == LIMIT + ahead


def test_it_is_at_rest_when_nothing_is_out_nor_was_a_moment_ago(target: Target) -> None:
    line = Line()
    assert line.at_rest
    line.add(claim(target))
    assert not line.at_rest
    answers(line, 1, 0.001)
    assert line.idle and not line.at_rest
    line._ended_at -= AT_REST_S
    assert line.at_rest


def test_an_endpoint_that_becomes_slow_loses_what_it_had_ahead_step_by_step(target: Target) -> None:
    line = filled(target, 20)
    ahead = []
    answers(line, 1, 0.001)
    for seconds in (0.01, 0.01, 0.01, 0.5):
        answers(line, 1, seconds)
        ahead.append(line.room() + line.out - LIMIT)
    assert ahead[0] > ahead[1] > ahead[2] > 2 * LIMIT and ahead[3] == 0


def test_an_attempt_that_was_cut_off_frees_its_slot_and_says_nothing_about_the_pace(target: Target) -> None:
    line = filled(target, 2)
    answers(line, 1, 0.01)
    room = line.room() + line.out
    assert line.next()
    line.ended(None)
    assert (line.in_flight, line.room()) == (0, room)


def test_what_was_claimed_ahead_and_waits_too_long_is_given_back(target: Target) -> None:
    line = Line()
    for number in range(3):
        line.add(claim(target, number, age=2 * STALE_S))
    answers(line, 1, 0.001)
    assert line.next().delivery == 1
    line.add(claim(target, 3, lane=CLICK))
    assert [one.delivery for one in line.stale()] == [3, 2]
    assert (line.in_flight, line.out) == (1, 1), "what is in flight stays"
    assert line.room() == LIMIT - 1, "the pace is unlearned"
    assert line.stale() == []


def test_what_was_claimed_a_moment_ago_is_kept(target: Target) -> None:
    line = filled(target, 3)
    assert line.stale() == []
    assert line.out == 3


def test_after_an_edit_its_limit_holds_and_nothing_that_was_made_before(target: Target) -> None:
    endpoint = Endpoint.objects.get()
    endpoint.change(max_in_flight=1)
    edited = Target(endpoint, 1)
    line = filled(target, 6)
    assert line.next()
    assert [one.delivery for one in line.renew(edited.revision, edited.max_in_flight)] == [1, 2, 3, 4, 5]
    assert (line.out, line.room()) == (1, 0)
    assert not line.add(claim(target)), "a claim of the turn that was under way"
    assert line.add(claim(edited)) and not line.next()
    line.ended(None)
    assert line.next() and not line.next()


def test_a_limit_that_was_raised_makes_room_at_once(target: Target) -> None:
    line = filled(target, LIMIT)
    assert all(line.next() for _ in range(LIMIT)) and line.room() == 0
    line.renew(target.revision + 1, 10 * LIMIT)
    assert line.room() == 9 * LIMIT


def test_a_click_overtakes_what_was_claimed_before_it_and_bulk_lets_everything_pass(target: Target) -> None:
    line = Line()
    for number, lane in enumerate([BATCH, NORMAL, BATCH, CLICK]):
        line.add(claim(target, number, lane=lane))
    assert [line.next().delivery for _ in range(3)] == [3, 1, 0]


def test_bulk_waits_in_the_line_while_it_is_asked_to(target: Target) -> None:
    line = Line()
    line.add(claim(target, 0, lane=BATCH))
    assert line.next(bulk=False) is None and line.out == 1
    line.add(claim(target, 1, lane=CLICK))
    assert line.next(bulk=False).delivery == 1
    assert line.next().delivery == 0
