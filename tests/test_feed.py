"""What changed, told by numbers: no gap, in commit order, and a ring only when there is something to read."""

import contextlib
import threading
from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from simulator import feed, ids
from simulator.models import Delivery, Endpoint, Event
from simulator.transaction import writing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rings() -> Iterator[list[str]]:
    """What was rung so far: "change" and "due"."""
    heard: list[str] = []
    listeners = [
        feed.on_change(lambda: heard.append("change")),
        feed.on_due(lambda: heard.append("due")),
    ]
    yield heard
    for listener in listeners:
        feed.off(listener)


@pytest.fixture
def deliveries() -> list[Delivery]:
    endpoint = Endpoint.register(url="http://127.0.0.1/", events=["*"])
    return [
        Event.accept("lead.qualified", b"{}", endpoints=[endpoint], trigger="api")[1][0] for _ in range(3)
    ]


def test_in_a_new_folder_the_numbers_begin_at_one() -> None:
    assert feed.latest() == 0
    with writing():
        assert [feed.take(), feed.take(3), feed.take()] == [range(1, 2), range(2, 5), range(5, 6)]
    assert feed.latest() == 5


def test_numbers_of_a_change_that_failed_are_given_to_the_next() -> None:
    with pytest.raises(ZeroDivisionError), writing():
        feed.take(10)
        1 / 0  # noqa: B018
    with writing():
        assert feed.take() == range(1, 2)


def test_a_reader_in_the_midst_of_many_writers_sees_no_number_before_a_smaller_one() -> None:
    committed: list[int] = []

    def write() -> None:
        for _ in range(10):
            with writing():
                mine = feed.take(3)
                transaction.on_commit(lambda numbers=mine: committed.extend(numbers))
        connection.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert committed == list(range(1, 4 * 10 * 3 + 1))


def test_a_stamp_gives_each_delivery_a_number_of_its_own_beyond_all_before(
    deliveries: list[Delivery], rings: list[str]
) -> None:
    before = feed.latest()
    one, two, three = (delivery.pk for delivery in deliveries)
    with writing():
        feed.stamp([three, ids.decode("dlv", one)])  # as the models name them, and as the engine does
    now = {delivery.pk: delivery.seq for delivery in Delivery.objects.all()}
    assert (now[three], now[one], now[two]) == (before + 1, before + 2, deliveries[1].seq)
    assert [delivery.pk for delivery in Delivery.objects.since(before)] == [three, one]
    assert rings == ["change"]


def test_where_nothing_changed_nothing_is_rung(rings: list[str]) -> None:
    with writing():
        feed.stamp([])
    assert (rings, feed.latest()) == ([], 0)


def test_the_ring_comes_after_the_commit_when_others_can_read_it(rings: list[str]) -> None:
    with writing():
        feed.announce()
        assert rings == []
    assert rings == ["change"]


def test_what_is_due_also_wakes_the_engine(rings: list[str]) -> None:
    with writing():
        feed.announce(due=True)
    assert rings == ["change", "due"]


def test_a_change_that_was_rolled_back_rings_nobody(rings: list[str]) -> None:
    with pytest.raises(ZeroDivisionError), writing():
        feed.announce(due=True)
        1 / 0  # noqa: B018
    assert rings == []


def test_an_edit_is_told_with_its_facts_once_it_is_committed() -> None:
    told: list[tuple[int, int, int]] = []
    listener = feed.on_edit(lambda *facts: told.append(facts))
    with writing():
        feed.edited(1, 2, 3)
        assert told == []
    with contextlib.suppress(ZeroDivisionError), writing():
        feed.edited(4, 5, 6)
        1 / 0  # noqa: B018
    feed.off(listener)
    with writing():
        feed.edited(7, 8, 9)
    assert told == [(1, 2, 3)]


def test_who_has_gone_off_hears_nothing_and_may_go_twice(rings: list[str]) -> None:
    heard: list[str] = []
    listener = feed.on_change(lambda: heard.append("mine"))
    feed.ring()
    feed.off(listener)
    feed.off(listener)
    feed.ring()
    assert (heard, rings) == (["mine"], ["change", "change"])


def test_a_listener_may_go_off_while_it_is_being_called(rings: list[str]) -> None:
    heard: list[str] = []

    def once() -> None:
        heard.append("once")
        feed.off(once)

    feed.on_change(once)
    after: list[str] = []
    last = feed.on_change(lambda: after.append("after"))
    feed.ring()
    feed.ring()
    feed.off(last)
    assert (heard, after) == (["once"], ["after", "after"])
