"""What an outcome makes of a delivery, as a table: every way an attempt can end, from every standing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.lifecycle import Ending, Standing, ending

NOW = datetime(2025, 2, 7, 2, 55, tzinfo=UTC)
LATER = NOW + timedelta(seconds=20)
FRESH = Standing(delays=(2, 4), failed_count=0, manual=False, resume_at=None)
SECOND, LAST = FRESH._replace(failed_count=1), FRESH._replace(failed_count=2)
CLICKED = SECOND._replace(manual=True, resume_at=LATER)  # while it waited for its second retry
CLICKED_AT_THE_END = Standing(delays=(2, 4), failed_count=3, manual=True, resume_at=None)


def within(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("standing", "outcome", "becomes"),
    [
        (FRESH, {"error": None}, Ending("succeeded", None, 0)),
        (LAST, {"error": None}, Ending("succeeded", None, 2)),
        (CLICKED, {"error": None}, Ending("succeeded", None, 1)),
        # An answer that is an error, and no answer at all, follow the timetable alike.
        (FRESH, {"error": "refused"}, Ending("pending", within(2), 1)),
        (SECOND, {"error": "status", "status_code": 500}, Ending("pending", within(4), 2)),
        (LAST, {"error": "no_response"}, Ending("failed", None, 3)),
        (FRESH._replace(delays=()), {"error": "refused"}, Ending("failed", None, 1)),
        (FRESH._replace(delays=(0,)), {"error": "refused"}, Ending("pending", NOW, 1)),
        (SECOND, {"error": "refused", "scale": 0.5}, Ending("pending", within(2), 2)),
        # What a person asked for leaves the timetable as it was.
        (CLICKED, {"error": "refused"}, Ending("pending", LATER, 1)),
        (
            CLICKED,
            {"error": "status", "status_code": 503, "retry_after": "60"},
            Ending("pending", LATER, 1, 60, None),
        ),
        (CLICKED_AT_THE_END, {"error": "refused"}, Ending("failed", None, 3)),
        # Retry-After lengthens the wait, at most to an hour, unscaled, and gives no retry that is not there.
        (
            FRESH,
            {"error": "status", "status_code": 503, "retry_after": "60"},
            Ending("pending", within(60), 1, 60, 60),
        ),
        (
            FRESH,
            {"error": "status", "status_code": 429, "retry_after": "60", "scale": 0.01},
            Ending("pending", within(60), 1, 60, 60),
        ),
        (
            FRESH,
            {"error": "status", "status_code": 503, "retry_after": "7200"},
            Ending("pending", within(3600), 1, 7200, 3600),
        ),
        (
            FRESH,
            {"error": "status", "status_code": 503, "retry_after": "1"},
            Ending("pending", within(2), 1, 1, 2),
        ),
        (
            LAST,
            {"error": "status", "status_code": 503, "retry_after": "60"},
            Ending("failed", None, 3, 60, None),
        ),
        (
            FRESH,
            {"error": "status", "status_code": 500, "retry_after": "60"},
            Ending("pending", within(2), 1),
        ),
        # A 410 pauses the endpoint, which decides nothing here: its delivery waits as any other.
        (FRESH, {"error": "status", "status_code": 410}, Ending("pending", within(2), 1)),
        (LAST, {"error": "status", "status_code": 410}, Ending("failed", None, 3)),
        (CLICKED, {"error": "status", "status_code": 410}, Ending("pending", LATER, 1)),
        # Poison ends at once, with retries left and also on a click.
        (FRESH, {"error": "internal_error", "braked": True}, Ending("failed", None, 0)),
        (CLICKED, {"error": "internal_error", "braked": True}, Ending("failed", None, 1)),
        (FRESH, {"error": "internal_error"}, Ending("pending", within(2), 1)),
    ],
)
def test_what_becomes_of_a_delivery(standing: Standing, outcome: dict[str, Any], becomes: Ending) -> None:
    assert ending(standing, ended_at=NOW, **outcome) == becomes


@given(
    standing=st.builds(
        Standing,
        delays=st.lists(st.floats(0, 86_400), max_size=5),
        failed_count=st.integers(0, 8),
        manual=st.booleans(),
        resume_at=st.none() | st.just(LATER),
    ),
    error=st.sampled_from([None, "refused", "status", "internal_error"]),
    status_code=st.none() | st.integers(300, 599),
    retry_after=st.none() | st.sampled_from(["5", "soon", "1e309"]),
    scale=st.floats(0, 1000),
    braked=st.booleans(),
)
def test_a_delivery_is_finished_exactly_when_nothing_is_due(standing: Standing, **outcome: Any) -> None:
    end = ending(standing, ended_at=NOW, **outcome)
    assert (end.due_at is None) == (end.status in ("succeeded", "failed"))
    assert end.due_at is None or end.due_at >= NOW
    assert end.failed_count - standing.failed_count in (0, 1)
