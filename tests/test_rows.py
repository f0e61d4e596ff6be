"""Raw SQL for many rows at once, and moments spelled as Django spells them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import rows
from simulator.models import Activity, Event

moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC))
COUNT = 2 * rows.GROUP + 1
CHANGE = "UPDATE simulator_activity AS a SET detail = column2 FROM ({values}) AS v WHERE a.id = column1"


@pytest.mark.django_db
def test_one_call_changes_any_number_of_rows_and_says_how_many() -> None:
    made = Activity.objects.bulk_create(Activity(actor="test", action=str(n)) for n in range(COUNT))
    numbers = [n for (n,) in rows.query("SELECT id FROM simulator_activity ORDER BY id")]
    assert len(made) == len(numbers) == COUNT
    assert rows.change_many(CHANGE, ((n, f"of {n}") for n in numbers)) == COUNT
    assert rows.query("SELECT count(*) FROM simulator_activity WHERE detail = 'of ' || id") == [(COUNT,)]
    assert rows.change_many(CHANGE, [(-1, "nobody")]) == 0
    assert rows.change_many(CHANGE, []) == 0


@pytest.mark.django_db
@pytest.mark.parametrize("microsecond", [1, 120_000, 999_999])
def test_a_moment_is_spelled_as_django_spells_it(microsecond: int) -> None:
    moment = datetime(2025, 2, 7, 2, 55, 0, microsecond, tzinfo=UTC)
    Event.objects.create(type="lead.qualified", body=b"{}", created_at=moment)
    found = "SELECT created_at FROM simulator_event WHERE created_at = %s"
    assert [rows.read(at) for (at,) in rows.query(found, [rows.written(moment)])] == [moment]


@pytest.mark.django_db
def test_a_full_second_is_not_later_than_itself() -> None:
    # Django leaves out six zeros; as text that is less, which is what `due_at <= now` needs.
    moment = datetime(2025, 2, 7, 2, 55, tzinfo=UTC)
    Event.objects.create(type="lead.qualified", body=b"{}", created_at=moment)
    due = "SELECT count(*) FROM simulator_event WHERE created_at <= %s"
    assert rows.query(due, [rows.written(moment)]) == [(1,)]
    assert rows.query(due, [rows.written(moment - timedelta(microseconds=1))]) == [(0,)]


@given(moments)
def test_a_moment_survives_the_way_in_and_back(moment: datetime) -> None:
    assert rows.read(rows.written(moment)) == moment


@given(moments, moments)
def test_moments_sort_as_text(one: datetime, other: datetime) -> None:
    assert (rows.written(one) < rows.written(other)) == (one < other)


@given(st.floats(0, 4e9))
def test_unix_seconds_are_spelled_alike_to_the_microsecond(timestamp: float) -> None:
    spelled = rows.read(rows.written_at(timestamp))
    assert abs(spelled - datetime.fromtimestamp(timestamp, UTC)) <= timedelta(microseconds=1)
    assert spelled == rows.read(rows.written(spelled))


def test_no_moment_stays_none_and_one_without_a_zone_is_utc() -> None:
    assert (rows.written(None), rows.read(None)) == (None, None)
    assert rows.read("2025-02-07 02:55:00.5").tzinfo is UTC
    assert rows.read(datetime(2025, 2, 7)).tzinfo is UTC
    elsewhere = datetime(2025, 2, 7, tzinfo=timezone(timedelta(hours=1)))
    assert rows.read(elsewhere) is elsewhere
