"""What is written along with the engine's commits: told when it is committed, undone alone, and never left hanging."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection

from simulator import ledger
from simulator.claims import Room
from simulator.entries import enter
from simulator.ledger import Ledger, Waiting
from simulator.models import Activity, Delivery, Endpoint, Event, IdempotencyKey
from simulator.surroundings import Replaced
from simulator.transaction import Shut, writing

from .test_engine import endpoint, engine, in_db  # noqa: F401 - fixtures
from .waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def book() -> Iterator[Ledger]:
    """A ledger that keeps the books of this process, as the engine's does."""
    book = Ledger(Path(connection.settings_dict["NAME"]), 1.0)
    book.entries.open()
    yield book
    with book.entries.taken(close=True):
        pass


@pytest.fixture
def asking() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def turn(book: Ledger) -> Any:
    return book.turn(Waiting(), Room(10, 10, {}), 0)()


def note(action: str) -> str:
    Activity.note("test", action)
    return action


def noted() -> list[str]:
    return sorted(Activity.objects.filter(actor="test").values_list("action", flat=True))


def duplicate() -> None:
    note("before the duplicate")
    for _ in range(2):
        IdempotencyKey.objects.create(key="k", path="/", sha256="", status_code=200, answer="")


def locked() -> None:
    raise OperationalError("database is locked")


def entered(book: Ledger, asking: ThreadPoolExecutor, *writes: Callable[[], Any]) -> list[Any]:
    """Futures of entries that all wait for the next turn."""
    asked = [asking.submit(enter, write) for write in writes]
    wait_until(lambda: len(book.entries._waiting) == len(writes), what="entries")
    return asked


def test_where_no_engine_runs_everybody_writes_for_himself() -> None:
    assert enter(lambda: note("alone")) == "alone"
    assert noted() == ["alone"]
    with pytest.raises(ZeroDivisionError):
        enter(lambda: (note("undone"), 1 / 0))
    assert noted() == ["alone"]


def test_within_a_transaction_it_is_a_part_of_that(book: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), writing():
        enter(lambda: note("undone"))
        raise ZeroDivisionError
    assert noted() == []


def test_several_are_written_with_one_commit_and_all_are_told(
    book: Ledger, asking: ThreadPoolExecutor
) -> None:
    first, second = entered(book, asking, lambda: note("first"), lambda: note("second"))
    assert not first.done() and not second.done() and noted() == []
    turn(book)
    assert {first.result(5), second.result(5)} == {"first", "second"}
    assert noted() == ["first", "second"]


def test_what_one_of_them_makes_due_is_claimed_with_the_same_commit(
    book: Ledger, asking: ThreadPoolExecutor
) -> None:
    to = Endpoint.register(url="http://127.0.0.1:9/", events=["*"])
    [accepted] = entered(
        book, asking, lambda: Event.accept("lead.qualified", b"{}", endpoints=[to], trigger="test")
    )
    [claim] = turn(book).claims
    [delivery] = accepted.result(5)[1]
    assert claim.number == 1
    assert Delivery.objects.get().pk == delivery.pk and Delivery.objects.get().status == "sending"


@pytest.mark.parametrize("flaw, error", [(lambda: 1 / 0, ZeroDivisionError), (duplicate, IntegrityError)])
def test_an_error_undoes_that_entry_alone(
    book: Ledger, asking: ThreadPoolExecutor, flaw: Callable[[], Any], error: type[Exception]
) -> None:
    good, bad, late = entered(
        book, asking, lambda: note("good"), lambda: (note("bad"), flaw()), lambda: note("late")
    )
    turn(book)
    with pytest.raises(error):
        bad.result(5)
    assert {good.result(5), late.result(5)} == {"good", "late"}
    assert noted() == ["good", "late"]


def test_when_the_database_is_at_fault_all_hear_of_it_and_nothing_is_written(
    book: Ledger, asking: ThreadPoolExecutor
) -> None:
    asked = entered(book, asking, lambda: note("one"), locked, lambda: note("another"))
    with pytest.raises(OperationalError):
        turn(book)
    for one in asked:
        with pytest.raises(OperationalError, match="locked"):
            one.result(5)
    assert noted() == []
    turn(book)
    assert noted() == [], "nothing of it comes later"


def test_when_the_file_is_gone_they_hear_of_it_as_of_a_database_that_fails(
    book: Ledger, asking: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise Replaced("The database file was deleted.")

    monkeypatch.setattr(book._file, "check", gone)
    [asked] = entered(book, asking, lambda: note("nowhere"))
    with pytest.raises(Replaced):
        turn(book)
    with pytest.raises(OperationalError, match="deleted"):
        asked.result(5)


def test_the_last_commit_takes_those_who_still_wait_and_then_nobody(
    book: Ledger, asking: ThreadPoolExecutor
) -> None:
    [asked] = entered(book, asking, lambda: note("just in time"))
    add = book.entries.add
    book.close(Waiting(), [])
    assert asked.result(5) == "just in time"
    with pytest.raises(Shut, match="stopping"):
        add(lambda: note("too late"))
    assert enter(lambda: note("for himself")) == "for himself"
    assert noted() == ["for himself", "just in time"]


async def test_the_engine_writes_what_is_entered_and_goes_on_after_one_that_failed(engine) -> None:  # noqa: F811
    with pytest.raises(ZeroDivisionError):
        await in_db(lambda: enter(lambda: 1 / 0))
    assert not engine.troubles()
    assert await in_db(lambda: enter(lambda: note("entered"))) == "entered"
    assert await in_db(noted) == ["entered"]


def test_a_turn_with_an_entry_opens_its_transaction_at_once(
    book: Ledger, asking: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It need not look first whether there is anything to do."""
    monkeypatch.setattr(ledger.claims, "anything", lambda now: pytest.fail("it looked"))
    [asked] = entered(book, asking, lambda: note("at once"))
    turn(book)
    assert asked.result(5) == "at once"
