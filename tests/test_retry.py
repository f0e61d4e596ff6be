"""The timetable and Retry-After, as tables."""

import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.retry import next_wait, wait_after, wait_asked

DELAYS = (2, 4, 8, 16, 32)
NOW = datetime(2025, 2, 7, 2, 55, tzinfo=UTC)


@pytest.mark.parametrize(
    ("failed", "seconds"), [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (6, None), (7, None)]
)
def test_the_timetable_doubles_and_ends_after_five_retries(failed: int, seconds: float | None) -> None:
    assert wait_after(failed, DELAYS) == seconds


def test_an_endpoint_without_delays_gets_no_retry() -> None:
    assert wait_after(1, []) is None


def test_the_scale_makes_the_timetable_faster() -> None:
    assert [wait_after(n, DELAYS, scale=0.05) for n in (1, 5, 6)] == [
        pytest.approx(0.1),
        pytest.approx(1.6),
        None,
    ]
    assert wait_after(1, DELAYS, scale=0) == 0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5),
        ("0", 0),
        (" 5\t", 5),
        ("120.6", 120.6),
        ("1000000000000000", 1e15),
        ("Fri, 07 Feb 2025 02:55:30 GMT", 30),
        ("Friday, 07-Feb-25 02:55:30 GMT", 30),
        ("Fri Feb  7 02:55:30 2025", 30),
        ("Thu, 06 Feb 2025 21:55:30 EST", 30),
        ("Fri, 07 Feb 2025 01:00:00 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        (None, None),
        ("", None),
        ("-1", None),
        ("+5", None),
        ("NaN", None),
        ("inf", None),
        ("1e309", None),
        ("1e3", None),
        ("9" * 400, sys.float_info.max),
        ("0x10", None),
        ("1_000", None),
        ("٥", None),
        ("5 s", None),
        ("5.", None),
        (".5", None),
        ("soon", None),
        ("5, 10", None),
        ("5, 5", None),
        ("Fri, 07 Feb 2025 02:55:30 GMT, 5", None),
        ("Fri, 31 Feb 2025 02:55:30 GMT", None),
        ("Fri, 07 Feb 10000 02:55:30 GMT", None),
        ("Fri, 7 Feb 99999999999 0:0:0", None),
        ("Fri, 07 Feb 2025 02:55:30 +9999", None),
        ("2025-02-07T02:55:30Z", None),
        ("\x00", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_unreadable(header: str | None, seconds: float | None) -> None:
    assert wait_asked(header, NOW) == seconds


@given(
    st.text(max_size=60)
    | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{1,5} [0-9:]{1,8} .{0,5}")
)
def test_no_retry_after_whatsoever_makes_it_stumble(header: str) -> None:
    asked = wait_asked(header, NOW)
    assert asked is None or 0 <= asked < float("inf")


@given(st.integers(-86_400, 86_400))
def test_a_date_means_the_seconds_until_then(offset: int) -> None:
    header = format_datetime(NOW + timedelta(seconds=offset), usegmt=True)
    assert wait_asked(header, NOW) == max(0, offset)


@pytest.mark.parametrize(
    ("failed", "status_code", "retry_after", "wait", "asked"),
    [
        (1, 503, "5", 5, 5),
        (1, 429, "5", 5, 5),
        (3, 503, "5", 8, 5),
        (1, 503, "120.6", 120.6, 120.6),
        (1, 503, "1000000000000000", 3600, 1e15),
        (1, 503, "Fri, 07 Feb 2025 02:55:30 GMT", 30, 30),
        (1, 503, "Fri, 07 Feb 2025 04:55:00 GMT", 3600, 7200),
        (1, 503, "Fri, 07 Feb 2025 01:00:00 GMT", 2, 0),
        (1, 503, "soon", 2, None),
        (1, 503, None, 2, None),
        (1, 500, "5", 2, None),
        (1, 404, "5", 2, None),
        (1, 301, "5", 2, None),
        (1, None, None, 2, None),
        (6, 503, "5", None, 5),
    ],
)
def test_retry_after_lengthens_the_wait_and_never_shortens_it(
    failed: int, status_code: int | None, retry_after: str | None, wait: float | None, asked: float | None
) -> None:
    found = next_wait(failed, DELAYS, status_code=status_code, retry_after=retry_after, now=NOW)
    assert found == (wait, asked)


def test_what_a_receiver_asks_for_is_not_scaled() -> None:
    assert next_wait(1, DELAYS, scale=0.01, status_code=503, retry_after="5", now=NOW) == (5, 5)


def test_a_timetable_longer_than_an_hour_stays_as_it_is() -> None:
    assert next_wait(1, [86_400], status_code=503, retry_after="7200", now=NOW).seconds == 86_400


@given(
    st.integers(1, 8),
    st.lists(st.floats(0, 86_400), max_size=6),
    st.floats(0, 1000),
    st.none() | st.integers(0, 10**9).map(str),
)
def test_a_wait_is_never_shorter_than_the_timetable_and_at_most_an_hour_beyond(
    failed: int, delays: list[float], scale: float, header: str | None
) -> None:
    planned = wait_after(failed, delays, scale=scale)
    found = next_wait(failed, delays, scale=scale, status_code=503, retry_after=header, now=NOW).seconds
    if planned is None:
        assert found is None
    else:
        assert found is not None
        assert planned <= found <= max(planned, 3600)
