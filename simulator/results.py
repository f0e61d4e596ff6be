"""Records what came of the attempts, in groups, each result only if its claim still stands. Knows no loop.

Everything here runs inside `writing()`, in the engine's own thread. The attempt number is the fence: a result
whose delivery has moved on without it changes nothing.
"""

import logging
import sys
import time
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, DataError, IntegrityError, transaction

from . import failures, feed
from .claims import Claim
from .lifecycle import INTERNAL_ERRORS_IN_A_ROW, INTERRUPTIONS_IN_A_ROW, Ending, ending
from .models import Endpoint
from .models.delivery import HELD, NORMAL
from .outcome import LateAnswer, Outcome, internal_error
from .rows import Rows, as_json, change_many, query, read, written, written_at

log = logging.getLogger(__name__)
Row = tuple[Any, ...]

_ERROR = """
UPDATE simulator_attempt AS a SET error = column2, error_message = column3, error_phase = column4,
  retry_after_asked = column5, retry_after_used = column6
FROM ({values}) AS v WHERE a.id = column1 AND a.status = 'sending'"""
# Runs after `_ERROR`, since it ends the attempt.
_ANSWER = """
UPDATE simulator_attempt AS a SET status = column2, started_at = column3, duration_ms = column4, phases = column5,
  remote_address = column6, repeated = column7, status_code = column8, reason = column9,
  response_headers = column10, headers_dropped = column11, response_body = column12, response_size = column13,
  declared_size = column14, truncated = column15
FROM ({values}) AS v WHERE a.id = column1 AND a.status = 'sending'"""
_WON = """
UPDATE simulator_delivery AS d SET seq = column3, status = 'succeeded', due_at = NULL, resume_at = NULL,
  manual = FALSE, cancelling = FALSE, last_number = d.attempt_count, last_status_code = column4, last_error = NULL,
  last_duration_ms = column5, finished_at = column6
FROM ({values}) AS v WHERE d.id = column1 AND d.status = 'sending' AND d.attempt_count = column2"""
# The endpoint may have been paused, and the delivery cancelled, while the attempt was in flight.
_LOST = f"""
UPDATE simulator_delivery AS d SET seq = column3,
  status = CASE WHEN d.cancelling THEN 'cancelled' ELSE column4 END,
  due_at = CASE WHEN d.cancelling THEN NULL ELSE column5 END,
  finished_at = CASE WHEN d.cancelling OR column5 IS NULL THEN column6 END,
  lane = {NORMAL}, resume_at = NULL, manual = FALSE, cancelling = FALSE, failed_count = column7,
  last_number = d.attempt_count, last_status_code = column8, last_error = column9, last_duration_ms = column10
FROM ({{values}}) AS v WHERE d.id = column1 AND d.status = 'sending' AND d.attempt_count = column2"""
_HOLD = """
UPDATE simulator_delivery AS d SET due_at = column2 FROM ({values}) AS v
WHERE d.id = column1 AND d.status = 'pending'
  AND (SELECT status FROM simulator_endpoint e WHERE e.id = d.endpoint_id) = 'paused'"""
_INTERRUPTED_ATTEMPT = """
UPDATE simulator_attempt AS a SET status = 'interrupted', duration_ms = column2, error = 'interrupted',
  error_message = column3
FROM ({values}) AS v WHERE a.id = column1 AND a.status = 'sending'"""
_INTERRUPTED = """
UPDATE simulator_delivery AS d SET seq = column2,
  status = CASE WHEN d.cancelling THEN 'cancelled' ELSE column3 END,
  due_at = CASE WHEN d.cancelling THEN NULL ELSE column4 END,
  finished_at = CASE WHEN d.cancelling OR column4 IS NULL THEN column5 END,
  cancelling = FALSE, last_number = d.attempt_count, last_status_code = NULL, last_error = 'interrupted',
  last_duration_ms = NULL
FROM ({values}) AS v WHERE d.id = column1 AND d.status = 'sending'"""
_LATE = """
UPDATE simulator_attempt AS a SET late_status_code = column2, late_ms = column3
FROM ({values}) AS v WHERE a.id = column1"""
_OPEN = """
SELECT d.id, a.id, a.started_at FROM simulator_delivery d
LEFT JOIN simulator_attempt a ON a.delivery_id = d.id AND a.number = d.attempt_count
WHERE d.status = 'sending' AND d.due_at IS NOT NULL"""


@dataclass(slots=True, eq=False)
class Result:
    """What came of a claim. `ended` is monotonic, because the wall clock may be set before it is recorded."""

    claim: Claim
    outcome: Outcome
    ended: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class Group:
    """Results drawn up but not written yet. Rows of `won` and `lost` hold their place in the group instead of a seq."""

    results: Sequence[Result]
    answers: list[Row] = field(default_factory=list)
    errors: list[Row] = field(default_factory=list)
    won: list[Row] = field(default_factory=list)
    lost: list[Row] = field(default_factory=list)
    unclear: list[tuple[int, Result]] = field(default_factory=list)  # with places; earlier attempts decide


def draw_up(results: Sequence[Result], scale: float) -> Group:
    """The rows to write for these results. Asks no database. One poisoned result must not hold up the others."""
    group, zero = Group(results), _zero()
    for place, result in enumerate(results):
        if result.outcome.error == "internal_error":
            group.unclear.append((place, result))
            continue
        try:
            _draw_up(group, result, place, zero, scale)
        except Exception as flaw:
            log.exception("A result could not be written")
            group.unclear.append((place, _unwritable(result, flaw)))
    return group


def _zero() -> float:
    """When the monotonic clock was at 0, in unix seconds. A delay between the two readings makes it too late, never too
    early: a retry must not be sent before its time."""
    monotonic = time.monotonic()
    return time.time() - monotonic


def _draw_up(
    group: Group, result: Result, place: int, zero: float, scale: float, *, braked: bool = False
) -> None:
    answer, ended = _answer(result), zero + result.ended
    if result.outcome.error is None:  # a success needs no decision about a retry
        group.won.append(_won(result, place, written_at(ended)))
    else:
        ended_at = datetime.fromtimestamp(ended, UTC)
        end = _ending(result, ended_at, scale, braked)
        group.lost.append(_lost(result, end, place, ended_at))
        group.errors.append(_error(result, end))
    group.answers.append(answer)


def record(results: Sequence[Result], scale: float) -> None:
    """Draw up and write a group of results."""
    write(draw_up(results, scale), scale)


def write(group: Group, scale: float) -> None:
    """Write a group. A result that cannot be written is recorded as our own error, alone."""
    if not group.results:
        return
    try:
        with transaction.atomic():
            _write(group, scale)
    except Exception as flaw:
        if isinstance(flaw, DatabaseError) and not isinstance(flaw, (DataError, IntegrityError)):
            raise  # locked, full, gone: no result's fault; the engine keeps the group and tries again
        log.exception("A group of %d results could not be written", len(group.results))
        if len(group.results) == 1:
            _write(draw_up([_unwritable(group.results[0], flaw)], scale), scale)
            return
        for result in group.results:
            write(draw_up([result], scale), scale)


def _unwritable(result: Result, flaw: Exception) -> Result:
    return Result(result.claim, internal_error(f"its result could not be written: {flaw}"), result.ended)


def _write(group: Group, scale: float) -> None:
    first = feed.take(len(group.results))[0]
    for place, result in group.unclear:
        claim = result.claim
        braked = _all_ended(claim.delivery, "internal_error", INTERNAL_ERRORS_IN_A_ROW - 1, claim.number)
        _draw_up(group, result, place, _zero(), scale, braked=braked)
    change_many(_ERROR, group.errors)
    change_many(_ANSWER, group.answers)
    counted = change_many(_WON, _numbered(group.won, first)) + change_many(
        _LOST, _numbered(group.lost, first)
    )
    change_many(_HOLD, ((row[0], written(HELD)) for row in group.lost))
    for target in {result.claim.target for result in group.results if result.outcome.status_code == 410}:
        _pause(target.id)
    if counted < len(group.results):
        log.warning(
            "%d late results changed nothing: their deliveries had moved on", len(group.results) - counted
        )
    feed.announce(due=bool(group.lost))


def _numbered(rows: Iterable[Row], first: int) -> Iterable[Row]:
    return ((delivery, number, first + place, *rest) for delivery, number, place, *rest in rows)


def _ending(result: Result, ended_at: datetime, scale: float, braked: bool) -> Ending:
    outcome, claim = result.outcome, result.claim
    return ending(
        claim.standing,
        error=outcome.error,
        status_code=outcome.status_code,
        retry_after=outcome.retry_after,
        ended_at=ended_at,
        scale=scale,
        braked=braked,
    )


def _all_ended(delivery: int, error: str, count: int, before: int) -> bool:
    """Whether so many attempts in a row, the last ones before number `before`, ended with this error."""
    found = query(
        "SELECT error FROM simulator_attempt WHERE delivery_id = %s AND number < %s ORDER BY number DESC LIMIT %s",
        [delivery, before, count],
    )
    return found == [(error,)] * count


def _answer(result: Result) -> Row:
    out = result.outcome
    answered = out.status_code is not None or bool(out.body)
    return (
        result.claim.attempt,
        "failed" if out.error else "succeeded",
        written_at(out.started_at),
        round(out.duration_ms, 3),
        as_json({name: round(ms, 3) for name, ms in out.phases.items()}),
        out.remote_address,
        int(out.repeated),
        out.status_code,
        out.reason if answered else None,
        as_json(out.headers) if answered else None,
        out.headers_dropped,
        bytearray(out.body) if answered else None,
        out.size if answered else None,
        out.declared,
        int(out.truncated),
    )


def _error(result: Result, end: Ending) -> Row:
    out = result.outcome
    return result.claim.attempt, out.error, out.message or None, out.phase, end.asked, end.used


def _won(result: Result, place: int, ended_at: str) -> Row:
    out, claim = result.outcome, result.claim
    return claim.delivery, claim.number, place, out.status_code, round(out.duration_ms, 3), ended_at


def _lost(result: Result, end: Ending, place: int, ended_at: datetime) -> Row:
    out, claim = result.outcome, result.claim
    last = (out.status_code, out.error, round(out.duration_ms, 3))
    due_at, at = written(end.due_at), written(ended_at)
    return (claim.delivery, claim.number, place, end.status, due_at, at, end.failed_count, *last)


def _pause(number: int) -> None:
    """A 410: the receiver says it is gone for good. What waits is held, nothing is lost."""
    endpoint = Endpoint.objects.get(pk=number)
    if endpoint.deleted_at is None:
        endpoint.pause(actor="engine", why="the receiver answered 410 Gone")


def note_late(answers: Sequence[tuple[Claim, LateAnswer]]) -> None:
    """Record answers that came after their attempt's deadline: for information, they change no outcome."""
    change_many(
        _LATE, ((claim.attempt, late.status_code, round(late.after_ms, 3)) for claim, late in answers)
    )
    feed.stamp(claim.delivery for claim, _ in answers)


def interrupt(
    cut_off: Sequence[tuple[int, int | None, float | None]], now: datetime, words: str = ""
) -> None:
    """Record attempts that we cut off: (delivery, attempt, ms into it if known). Due again now, budget untouched.

    `words` say why, if it is not that the process ended.
    """
    if not cut_off:
        return
    words = words or failures.message("interrupted")
    change_many(_INTERRUPTED_ATTEMPT, ((attempt, ms, words) for _, attempt, ms in cut_off if attempt))
    rows = []
    for (delivery, _, _), seq in zip(cut_off, feed.take(len(cut_off)), strict=True):
        too_often = _all_ended(delivery, "interrupted", INTERRUPTIONS_IN_A_ROW, sys.maxsize)
        status, due_at = ("failed", None) if too_often else ("pending", written(now))
        rows.append((delivery, seq, status, due_at, written(now)))
    change_many(_INTERRUPTED, rows)
    change_many(_HOLD, ((delivery, written(HELD)) for delivery, _, _ in cut_off))
    feed.announce(due=True)


def interrupt_claims(claims: Sequence[Claim], now: datetime) -> None:
    """The same for claims of ours that are cut off now, most often because their endpoint was deleted."""
    for endpoint in {claim.target.id for claim in claims}:
        cut_off = [
            (claim.delivery, claim.attempt, (time.monotonic() - claim.claimed_at) * 1000)
            for claim in claims
            if claim.target.id == endpoint
        ]
        interrupt(cut_off, now, failures.DELETED if _deleted(endpoint) else "")


def _deleted(endpoint: int) -> bool:
    return bool(
        query("SELECT 1 FROM simulator_endpoint WHERE id = %s AND deleted_at IS NOT NULL", [endpoint])
    )


def recover(now: datetime, *, stopping: bool = False) -> None:
    """Under the engine lock nobody else owns a `sending` row: all of them were cut off.

    `stopping`: they are cut off right now, so the duration of each is known.
    """
    _interrupt_open(query(_OPEN), now, stopping=stopping)


def reclaim(now: datetime, ours: Container[int] = ()) -> None:
    """The same for rows whose lease has ended, so that none stays `sending` for ever. Not for deliveries that are
    `ours`: after the process stood still, their answers may be here and are still to be read."""
    expired = query(_OPEN + " AND d.due_at <= %s", [written(now)])
    _interrupt_open([row for row in expired if row[0] not in ours], now)


def _interrupt_open(found: Rows, now: datetime, *, stopping: bool = False) -> None:
    def into(started_at: Any) -> float | None:
        started = read(started_at)
        return (now - started).total_seconds() * 1000 if stopping and started else None

    interrupt([(delivery, attempt, into(started_at)) for delivery, attempt, started_at in found], now)
