"""All attempts, gaps and coming retries lie on one axis, in order, and within it."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import timeline
from simulator.models import Attempt, Delivery, Endpoint

from .conftest import NOW, Make


def drawn(delivery: Delivery, scale: float = 1.0) -> timeline.Timeline:
    return timeline.timeline(delivery, list(delivery.attempts.order_by("number")), scale=scale, now=NOW)


def a_delivery(**fields: object) -> Delivery:
    endpoint = Endpoint(url="http://localhost:3000/", retry_delays=[2, 4, 8, 16, 32])
    return Delivery(**({"endpoint": endpoint, "type": "t", "status": "pending", "due_at": NOW} | fields))


def seconds(moments: list) -> list[float]:
    return [(moment - NOW).total_seconds() for moment in moments]


def test_coming_retries_follow_the_timetable() -> None:
    def come(**fields: object) -> list[float]:
        return seconds(timeline.coming(a_delivery(**fields), scale=1.0, now=NOW))

    assert come() == [0, 2, 6, 14, 30, 62]
    assert come(failed_count=4) == [0, 32]
    assert come(failed_count=5) == [0]
    assert come(status="sending", failed_count=1) == [4, 12, 28, 60]
    assert come(status="sending", cancelling=True) == []
    assert come(status="sending", manual=True) == []
    assert come(manual=True, resume_at=NOW + timedelta(seconds=9), failed_count=1) == [0, 9, 13, 21, 37, 69]
    assert come(status="failed", due_at=None) == []


def test_the_scale_shrinks_what_is_to_come() -> None:
    assert seconds(timeline.coming(a_delivery(), scale=0.5, now=NOW)) == [0, 1, 3, 7, 15, 31]


def test_nothing_is_drawn_for_what_never_starts() -> None:
    assert timeline.timeline(a_delivery(status="cancelled", due_at=None), [], scale=1, now=NOW).lanes == []


def test_a_lane_for_each_attempt_and_each_that_may_come(attempted: Make) -> None:
    lanes = drawn(attempted("pending", status_code=500, error="status")).lanes
    assert [lane.number for lane in lanes] == [1, 2, 3, 4, 5, 6]
    assert [lane.bar.kind for lane in lanes] == ["failed"] + ["coming"] * 5
    assert lanes[0].gap is None


@given(
    st.lists(st.tuples(st.floats(0, 5000), st.floats(0, 20_000)), min_size=1, max_size=8), st.integers(0, 5)
)
def test_no_bar_leaves_the_axis_and_none_overtakes_another(
    spans: list[tuple[float, float]], failed: int
) -> None:
    at, attempts = NOW, []
    for number, (wait, took) in enumerate(spans, 1):
        at += timedelta(seconds=wait)
        attempts.append(Attempt(number=number, status="failed", started_at=at, duration_ms=took))
    delivery = a_delivery(failed_count=failed, due_at=at + timedelta(seconds=30))
    made = timeline.timeline(delivery, attempts, scale=1, now=at)
    assert [lane.number for lane in made.lanes][: len(attempts)] == [one.number for one in attempts]
    for lane in made.lanes:
        assert 0 <= lane.bar.x <= 100 and lane.bar.width > 0 and lane.bar.x + lane.bar.width <= 101
    assert all(one.bar.x <= two.bar.x for one, two in pairwise(made.lanes))
    assert 1 <= len(made.ticks) <= 8 and all(0 <= x <= 100.01 for x, _ in made.ticks)


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        (0.003, ["0", "0.5 ms", "1 ms", "1.5 ms", "2 ms", "2.5 ms", "3 ms"]),
        (0.9, ["0", "200 ms", "400 ms", "600 ms", "800 ms"]),
        (10, ["0", "2 s", "4 s", "6 s", "8 s", "10 s"]),
        (62, ["0", "15 s", "30 s", "45 s", "1 min"]),
        (75, ["0", "15 s", "30 s", "45 s", "", "1 min 15 s"]),
        (130, ["0", "30 s", "1 min", "1 min 30 s", "2 min"]),
        (1100, ["0", "5 min", "10 min", "15 min"]),
        (7300, ["0", "30 min", "1 h", "1 h 30 min", "2 h"]),
        (200_000, ["0", "12 h", "24 h", "36 h", "48 h"]),
    ],
)
def test_ticks_are_round_and_their_labels_exact(span: float, labels: list[str]) -> None:
    delivery = a_delivery(due_at=NOW + timedelta(seconds=span), failed_count=5)
    attempt = Attempt(number=1, status="failed", started_at=NOW, duration_ms=0.0)
    ticks = timeline.timeline(delivery, [attempt], scale=1, now=NOW).ticks
    assert [label for _, label in ticks] == labels


@given(st.floats(0.001, 100_000) | st.floats(60, 100))
def test_no_label_touches_the_next_one(span: float) -> None:
    """On the narrowest axis, of 228 px, a letter of 10 px is 5 px wide on average."""
    delivery = a_delivery(due_at=NOW + timedelta(seconds=span), failed_count=5)
    attempt = Attempt(number=1, status="failed", started_at=NOW, duration_ms=0.0)
    ticks = timeline.timeline(delivery, [attempt], scale=1, now=NOW).ticks
    labels = [(228 * x / 100, 5 * len(label)) for x, label in ticks if label]
    lefts = [x - width * (1 if x > 228 * 0.92 else 0.5 if x > 228 * 0.03 else 0) for x, width in labels]
    ends = [left + width for left, (_, width) in zip(lefts, labels, strict=True)]
    assert all(end <= following + 0.1 for end, following in zip(ends, lefts[1:], strict=False))
    assert ticks[0] == (0, "0") and ticks[-1][1]


def test_the_waterfall_puts_phases_one_after_the_other() -> None:
    phases = {"dns": 1.0, "connect": 1.0, "tls": None, "send": 0.5, "wait": 7.0, "receive": 0.5}
    bars = timeline.waterfall(Attempt(phases=phases))
    assert [bar.kind for bar in bars] == ["dns", "connect", "send", "wait", "receive"]
    assert [bar.x for bar in bars] == [0, 10, 20, 25, 95]
    assert timeline.waterfall(Attempt(phases={})) == []
