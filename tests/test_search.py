"""Filters from text: what is meant, and what cannot be."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import failures, ids, search
from simulator.models import Endpoint, Event
from simulator.search import Filters
from simulator.sending import BadInput


def test_what_is_not_given_does_not_filter_and_other_names_are_not_ours() -> None:
    assert search.parsed({}) == search.parsed({"limit": "5", "q": None}) == Filters()


def test_times_are_read_in_any_zone_and_kept_in_utc() -> None:
    filters = search.parsed({"since": "2025-02-07T04:55:00+02:00", "until": "2025-02-07T02:55:00.5Z"})
    assert filters.since == datetime(2025, 2, 7, 2, 55, tzinfo=UTC)
    assert filters.until == filters.since + timedelta(seconds=0.5)


@pytest.mark.parametrize("code", ["404", "100", "999", "5xx", "1xx", "9xx", *failures.CODES])
def test_every_status_class_and_failure_code_is_a_filter(code: str) -> None:
    assert search.parsed({"code": code}).code == code


@given(st.sampled_from(Filters.__slots__), st.text(max_size=300))
def test_any_text_is_a_filter_or_refused_by_name(name: str, text: str) -> None:
    try:
        assert getattr(search.parsed({name: text}), name) is not None
    except BadInput as refused:
        assert refused.field == name and refused.message


@pytest.mark.django_db
@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_no_moment_is_too_far_away_for_the_query(since: datetime, until: datetime) -> None:
    assert list(search.matching(Filters(since=since, until=until))) == []


@pytest.mark.django_db
def test_e12_until_finds_what_was_made_after_the_clock_was_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(ids, "_last", ids.at(now + 3600))
    endpoint = Endpoint.register(url="http://127.0.0.1/", events=["*"])
    _, (delivery,) = Event.accept("lead.qualified", b"{}", endpoints=[endpoint], trigger="api")
    soon, before = datetime.fromtimestamp(now + 60, UTC), datetime.fromtimestamp(now - 60, UTC)
    assert list(search.matching(Filters(since=before, until=soon))) == [delivery]
    assert list(search.matching(Filters(until=before))) == []
