"""The engine's group commits: nothing is opened for nothing, and what did not commit counts as not done."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.db import OperationalError, connection
from django.utils import timezone

from simulator import feed, ledger
from simulator.claims import Claim, Room
from simulator.ledger import Ledger, Turn, Waiting
from simulator.models import Attempt, Batch, Delivery, Endpoint, Event
from simulator.models.delivery import insert
from simulator.outcome import LateAnswer, Outcome
from simulator.results import Result
from simulator.transaction import refused, writing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def book() -> Ledger:
    return Ledger(Path(connection.settings_dict["NAME"]), 1.0)


def turn(book: Ledger, bulk: int = 0) -> Turn:
    return book.turn(Waiting(), Room(10, 10, {}), bulk)()


@contextmanager
def locked() -> Iterator[None]:
    raise OperationalError("database is locked")
    yield


def accept() -> Delivery:
    to = Endpoint.register(url="http://127.0.0.1:9/", events=["*"])
    return Event.accept("lead.qualified", b"{}", endpoints=[to], trigger="api")[1][0]


def test_a_turn_that_finds_nothing_due_opens_no_transaction(book, monkeypatch):
    monkeypatch.setattr(ledger, "writing", locked)
    assert turn(book) == turn(book, bulk=1) == Turn([], None)
    accept()
    with pytest.raises(OperationalError):
        turn(book)


def test_after_a_refused_write_a_turn_finds_out_by_writing_something(book, monkeypatch):
    """On a full disk a transaction that holds nothing succeeds."""
    monkeypatch.setattr("simulator.transaction._refused", "database or disk is full")
    before = feed.latest()
    assert turn(book) == Turn([], None)
    assert feed.latest() > before and refused() is None


def test_a_batch_that_may_not_go_on_is_nothing_due(book, monkeypatch):
    accept().cancel()
    Batch.start("lead.qualified", 10)
    monkeypatch.setattr(ledger, "writing", locked)
    assert turn(book) == Turn([], None)
    with pytest.raises(OperationalError):
        turn(book, bulk=1)


def test_after_a_turn_nothing_is_new_until_somebody_writes(book):
    turn(book)  # opens the connection, which touches the file
    turn(book)
    assert book.untouched
    accept()
    assert not book.untouched


def test_clicks_that_come_while_a_turn_is_prepared_are_taken_off_its_room(book):
    to = Endpoint.register(url="http://127.0.0.1:9/", events=["*"], max_in_flight=1000)
    for _ in range(40):
        Event.accept("lead.qualified", b"{}", endpoints=[to], trigger="api")
    book.taking = True
    book.turn(Waiting(), Room(0, 10, {}), 0)()
    step = book.turn(Waiting(), Room(20, 30, {}), 0)
    clicked = click(book, to, 8)
    assert len(clicked) == 8
    taken = step().claims
    assert len(taken) + len(clicked) == 20
    assert len(click(book, to, 30)) == 10, "ten more are kept for clicks"
    more = book.turn(Waiting(), Room(40, 100, {}), 0, {*taken, *clicked})().claims
    assert len(more) == 40 - 10, "the last ten are not among those out yet"


@pytest.mark.parametrize(
    "step",
    [
        lambda book, given: book.turn(given, Room(0, 0, {}), 0)(),
        Ledger.start_again,
        lambda book, given: book.close(given, []),
    ],
    ids=["a turn", "after a bug", "at the end"],
)
@pytest.mark.parametrize("late", [False, True])
def test_what_came_back_is_recorded_whatever_comes_next(book, step, late):
    accept()
    [one] = book.turn(Waiting(), Room(1, 1, {}), 0)().claims
    result = Result(one, Outcome(0.0, status_code=200))
    step(book, Waiting(late=[(one, LateAnswer(200, 15_800))]) if late else Waiting(results=[result]))
    attempt = Attempt.objects.get()
    assert (attempt.late_status_code if late else attempt.status_code) == 200


def click(book: Ledger, to: Endpoint, count: int) -> list[Claim]:
    """The claims of that many clicks, as far as there was room for them."""
    claimed: list[Claim] = []
    for _ in range(count):
        with writing():
            event = Event(type="lead.qualified", body=b"{}")
            event.save()
            delivery = Delivery.new(event, to, trigger="test")
            states = book.claim_new([delivery], claimed.extend)
            delivery.seq = feed.take()[0]
            insert([delivery.row(delivery.seq, *states[delivery]) if states else delivery.row()])
    return claimed


def test_a_jump_of_the_clock_is_told_once_what_waits_was_moved(book, monkeypatch):
    delivery = accept()
    Delivery.objects.filter(pk=delivery.pk).update(due_at=timezone.now() + timedelta(seconds=30))
    with time_machine.travel(timezone.now() + timedelta(hours=1), tick=True):
        with monkeypatch.context() as full, pytest.raises(OperationalError):
            full.setattr(ledger, "writing", locked)
            turn(book)
        assert book.clock_set == 0.0
        turn(book)
        assert book.clock_set == pytest.approx(3600, abs=5)
        delivery.refresh_from_db()
        left = delivery.due_at - timezone.now()
        assert timedelta(seconds=20) < left <= timedelta(seconds=30)
        turn(book)
        delivery.refresh_from_db()
        assert delivery.due_at - timezone.now() <= left, "moved once"
