"""Ids: sortable, rising whatever the clock does, and never taken for those of another kind."""

import sys
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import ids
from simulator.models import Delivery, Endpoint, Event

numbers = st.integers(0, 2**63 - 1)


@given(numbers)
def test_every_number_survives_the_way_out_and_back(number: int) -> None:
    assert ids.decode("evt", ids.encode("evt", number)) == number


@given(numbers, numbers)
def test_text_sorts_as_the_numbers_do(one: int, other: int) -> None:
    assert (ids.encode("evt", one) < ids.encode("evt", other)) == (one < other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "evt",
        "evt_",
        "00000000005",
        "dlv_00000000005",
        "EVT_00000000005",
        "evt_0000000005",
        "evt_000000000005",
        "evt_0000000000-",
        "evt_0000000000é",
        "evt_0000000000٥",
        "evt__0000000005",
        " evt_00000000005",
        "evt_00000000005\n",
        "evt_AzL8n0Y58m8",  # 2**63
        "evt_zzzzzzzzzzz",
    ],
)
def test_what_is_no_id_of_this_kind_is_nothing(text: str) -> None:
    assert ids.decode("evt", text) is None


def test_the_largest_id_is_the_last_one_that_fits_into_a_column() -> None:
    assert ids.decode("evt", "evt_AzL8n0Y58m7") == 2**63 - 1


def test_ids_rise_even_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    made = [ids.new()]
    for hours in (1, 24, 24 * 365, 0):
        monkeypatch.setattr(time, "time", lambda earlier=now - hours * 3600: earlier)
        made += [ids.new(), *ids.new_many(3)]
    assert made == sorted(set(made))


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns after every few instructions instead of every 5 ms."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_threads_that_make_ids_at_once_share_none(restless: None) -> None:
    made: list[int] = []
    together = threading.Barrier(8)

    def make() -> None:
        together.wait(5)
        for _ in range(200):
            made.extend(ids.new_many(7))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8 * 200 * 7


def test_two_processes_that_start_in_one_millisecond_do_not_begin_with_the_same_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    firsts = set()
    for _ in range(100):
        monkeypatch.setattr(ids, "_last", 0)  # what a new process knows of the others
        firsts.add(ids.new())
    assert len(firsts) > 95


def test_a_moment_divides_the_ids_made_before_it_from_those_made_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ids, "_last", 0)  # other tests may have been in the future
    assert ids.at(time.time()) <= ids.new() < ids.at(time.time() + 1)
    assert ids.at(0) == 0, "before 2024 there are none"


@pytest.mark.django_db
def test_a_look_up_by_an_id_that_is_none_finds_nothing_instead_of_failing() -> None:
    endpoint = Endpoint.register(url="http://127.0.0.1/", events=["*"])
    event, [delivery] = Event.accept("lead.qualified", b"{}", endpoints=[endpoint], trigger="api")
    assert Delivery.objects.get(pk=delivery.pk).pk == delivery.pk
    number = ids.decode("dlv", delivery.pk)
    for other in (ids.encode("evt", number or 0), event.pk, "dlv_", "dlv_zzzzzzzzzzz", "'; --", ""):
        assert not Delivery.objects.filter(pk=other).exists(), other
    assert [Delivery(pk=one).pk for one in (delivery.pk, None)] == [delivery.pk, None]
