"""Where attempts, gaps and coming retries lie on one axis, in percent. Pure geometry; draws nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from simulator.models import Attempt, Delivery
from simulator.models.attempt import PHASES

from .templatetags.ui import ms, seconds

MINUTES = (0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 14_400)
LETTER = 2.2  # percent of the narrowest axis that a letter of a label takes
THINNEST = 0.8  # percent: an attempt of 5 ms among waits of 32 s stays visible


@dataclass(frozen=True, slots=True)
class Bar:
    kind: str
    x: float
    width: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """One attempt. `at` is when it started or is due; `attempt` is None for one that is yet to come."""

    number: int
    at: datetime
    offset: str
    bar: Bar
    gap: Bar | None
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    lanes: list[Lane]
    ticks: list[tuple[float, str]]


def timeline(delivery: Delivery, attempts: Sequence[Attempt], *, scale: float, now: datetime) -> Timeline:
    """`attempts` oldest first; `scale` is that of the retry delays."""
    to_come = coming(delivery, scale=scale, now=now)
    if not attempts and not to_come:
        return Timeline([], [])
    start = attempts[0].started_at if attempts else to_come[0]
    ends = [_end(attempt, now) for attempt in attempts]
    span = max((max([*ends, *to_come]) - start).total_seconds(), 0.001)

    def percent(moment: datetime) -> float:
        return min(100 - THINNEST, max(0.0, (moment - start).total_seconds() / span * 100))

    lanes: list[Lane] = []
    moments = [(attempt.started_at, end, attempt) for attempt, end in zip(attempts, ends, strict=True)]
    moments += [(due, due, None) for due in to_come]
    number = 0
    for at, end, attempt in moments:
        number = attempt.number if attempt else number + 1
        x = percent(at)
        bar = Bar(
            attempt.status if attempt else "coming",
            round(x, 3),
            round(max(THINNEST, min(100.0, (end - start).total_seconds() / span * 100) - x), 3),
        )
        before = lanes[-1].bar.x + lanes[-1].bar.width if lanes else x
        gap = Bar("gap", round(before, 3), round(x - before, 3)) if x - before > THINNEST else None
        lanes.append(Lane(number, at, f"+{seconds((at - start).total_seconds())}", bar, gap, attempt))
    return Timeline(lanes, _ticks(span))


def _end(attempt: Attempt, now: datetime) -> datetime:
    if attempt.duration_ms is None:
        return max(attempt.started_at, now) if attempt.status == "sending" else attempt.started_at
    return attempt.started_at + timedelta(milliseconds=attempt.duration_ms)


def coming(delivery: Delivery, *, scale: float, now: datetime) -> list[datetime]:
    """When the next attempts are due if each fails at once; none for a delivery that is finished or held."""
    delays = [delay * scale for delay in delivery.endpoint.retry_delays][delivery.failed_count :]
    if delivery.status == "sending" and not delivery.cancelling:
        if delivery.manual:
            found = [delivery.resume_at] if delivery.resume_at else []
        else:
            found = [now + timedelta(seconds=delays.pop(0))] if delays else []
    elif delivery.next_attempt_at:
        found = [delivery.next_attempt_at]
        if delivery.manual:
            found += [delivery.resume_at] if delivery.resume_at else []
            delays = delays if delivery.resume_at else []
    else:
        return []
    for delay in delays if found else []:
        found.append(found[-1] + timedelta(seconds=delay))
    return found


def _ticks(span: float) -> list[tuple[float, str]]:
    """Two to six round moments: (percent, label)."""
    for minutes in MINUTES if span > 60 else ():  # beyond a minute, steps that are round on a clock
        if span / (minutes * 60) <= 6:
            return _steps(span, minutes * 60)
    step = 10.0**-4
    while span / step > 6:
        for factor in (2, 5, 10):
            if span / (step * factor) <= 6:
                return _steps(span, step * factor)
        step *= 10
    return _steps(span, step)


def _steps(span: float, step: float) -> list[tuple[float, str]]:
    """Made from last to first: a label that would touch the one after it is left out, its line is not."""
    ticks, free = [], float("inf")
    for index in range(int(span / step), -1, -1):
        x, label = index * step / span * 100, _label(index * step) if index else "0"
        start, end = _extent(x, label)
        label, free = (label, start) if end <= free else ("", free)
        ticks.append((round(x, 3), label))
    return ticks[::-1]


def _extent(x: float, label: str) -> tuple[float, float]:
    """Where a label begins and ends: as in the template, it ends at x far right, begins there far left."""
    width = LETTER * len(label)
    start = x - width if x > 92 else x - width / 2 if x > 3 else x
    return start, start + width


def _label(moment: float) -> str:
    """Exact, unlike a duration: rounding could make neighbours equal."""
    if moment < 1:
        return f"{moment * 1000:g} ms"
    return f"{moment:g} s" if moment < 60 else seconds(moment)


def waterfall(attempt: Attempt) -> list[Bar]:
    """The phases of one attempt, one after the other, on an axis of their own."""
    known = [(name, attempt.phases.get(name)) for name in PHASES]
    total = sum(took for _, took in known if took) or 1.0
    bars, x = [], 0.0
    for name, took in known:
        if took is None:
            continue
        width = took / total * 100
        bars.append(Bar(name, round(min(x, 99.0), 3), round(max(width, 1.0), 3), ms(took)))
        x += width
    return bars
