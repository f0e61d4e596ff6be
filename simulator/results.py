"""What came of the attempts: recorded in groups, each result only if its claim still stands. Knows no loop.

Everything here runs inside `writing()`, in the engine's own thread. The attempt number is the fence: a result
whose delivery has gone on without it changes nothing.
"""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import DatabaseError, transaction

from . import failures, feed
from .claims import Claim
from .lifecycle import INTERNAL_ERRORS_IN_A_ROW, INTERRUPTIONS_IN_A_ROW, Ending, ending
from .models import Endpoint
from .models.delivery import HELD, NORMAL
from .rows import Rows, change_many, query, read, written
from .wire import LateAnswer, Outcome, internal_error

log = logging.getLogger(__name__)

_ANSWER = """
UPDATE simulator_attempt SET status = %s, started_at = %s, duration_ms = %s, phases = %s, remote_address = %s,
  repeated = %s, status_code = %s, reason = %s, response_headers = %s, headers_dropped = %s, response_body = %s,
  response_size = %s, declared_size = %s, truncated = %s, error = %s, error_message = %s, error_phase = %s,
  retry_after_asked = %s, retry_after_used = %s
WHERE id = %s AND status = 'sending'"""
_WON = """
UPDATE simulator_delivery SET seq = %s, status = 'succeeded', due_at = NULL, resume_at = NULL, manual = FALSE,
  cancelling = FALSE, last_number = attempt_count, last_status_code = %s, last_error = NULL, last_duration_ms = %s,
  finished_at = %s
WHERE id = %s AND status = 'sending' AND attempt_count = %s"""
# The endpoint may have been paused, and the delivery cancelled, while the attempt was in flight.
_LOST = f"""
UPDATE simulator_delivery SET seq = %s,
  status = CASE WHEN cancelling THEN 'cancelled' ELSE %s END,
  finished_at = CASE WHEN cancelling THEN %s ELSE %s END,
  due_at = CASE WHEN cancelling THEN NULL ELSE %s END,
  lane = {NORMAL}, resume_at = NULL, manual = FALSE, cancelling = FALSE, failed_count = %s,
  last_number = attempt_count, last_status_code = %s, last_error = %s, last_duration_ms = %s
WHERE id = %s AND status = 'sending' AND attempt_count = %s"""
_HOLD = """
UPDATE simulator_delivery SET due_at = %s WHERE id = %s AND status = 'pending'
  AND (SELECT status FROM simulator_endpoint e WHERE e.id = endpoint_id) = 'paused'"""
_INTERRUPTED_ATTEMPT = """
UPDATE simulator_attempt SET status = 'interrupted', duration_ms = %s, error = 'interrupted', error_message = %s
WHERE id = %s AND status = 'sending'"""
_INTERRUPTED = """
UPDATE simulator_delivery SET seq = %s, status = CASE WHEN cancelling THEN 'cancelled' ELSE %s END,
  due_at = CASE WHEN cancelling THEN NULL ELSE %s END, finished_at = CASE WHEN cancelling THEN %s ELSE %s END,
  cancelling = FALSE, last_number = attempt_count, last_status_code = NULL, last_error = 'interrupted',
  last_duration_ms = NULL
WHERE id = %s AND status = 'sending'"""
_LATE = "UPDATE simulator_attempt SET late_status_code = %s, late_ms = %s WHERE id = %s"
_OPEN = """
SELECT d.id, a.id, a.started_at FROM simulator_delivery d
LEFT JOIN simulator_attempt a ON a.delivery_id = d.id AND a.number = d.attempt_count
WHERE d.status = 'sending'"""


@dataclass(slots=True, eq=False)
class Result:
    """What came of a claim."""

    claim: Claim
    outcome: Outcome


def record(results: Sequence[Result], scale: float) -> None:
    """Write a group of results. One that cannot be written is recorded as our own error, alone."""
    if not results:
        return
    try:
        with transaction.atomic():
            _record(results, scale)
    except DatabaseError:
        raise  # locked, full, gone: nobody's fault here; the engine keeps the group and tries again
    except Exception as flaw:
        log.exception("A group of %d results could not be written", len(results))
        if len(results) > 1:
            for result in results:
                record([result], scale)
        else:
            claim = results[0].claim
            _record([Result(claim, internal_error(f"its result could not be written: {flaw}"))], scale)


def _record(results: Sequence[Result], scale: float) -> None:
    answers, won, lost, held = [], [], [], []
    for result, seq in zip(results, feed.take(len(results)), strict=True):
        ended_at = _ended_at(result.outcome)
        end = _ending(result, ended_at, scale)
        answers.append(_answer(result, end))
        if end.status == "succeeded":
            won.append(_won(result, seq, ended_at))
        else:
            lost.append(_lost(result, end, seq, ended_at))
            held.append((written(HELD), result.claim.delivery))
    counted = change_many(_WON, won) + change_many(_LOST, lost)
    change_many(_ANSWER, answers)
    change_many(_HOLD, held)
    for target in {result.claim.target for result in results if result.outcome.status_code == 410}:
        _pause(target.id)
    if counted < len(results):
        log.warning("%d late results changed nothing: their deliveries had gone on", len(results) - counted)
    feed.announce(due=bool(lost))


def _ending(result: Result, ended_at: datetime, scale: float) -> Ending:
    outcome, claim = result.outcome, result.claim
    return ending(
        claim.standing,
        error=outcome.error,
        status_code=outcome.status_code,
        retry_after=outcome.retry_after,
        ended_at=ended_at,
        scale=scale,
        braked=outcome.error == "internal_error"
        and _last_ones(claim.delivery, claim.number) == "internal_error",
    )


def _last_ones(delivery: int, number: int) -> str | None:
    """The error that the attempts just before this one share, if there were enough of them to brake."""
    wanted = INTERNAL_ERRORS_IN_A_ROW - 1
    found = query(
        "SELECT error FROM simulator_attempt WHERE delivery_id = %s AND number < %s ORDER BY number DESC LIMIT %s",
        [delivery, number, wanted],
    )
    errors = {error for (error,) in found}
    return errors.pop() if len(found) == wanted and len(errors) == 1 else None


def _ended_at(outcome: Outcome) -> datetime:
    return datetime.fromtimestamp(outcome.started_at, UTC) + timedelta(milliseconds=outcome.duration_ms)


def _answer(result: Result, end: Ending) -> tuple[Any, ...]:
    out = result.outcome
    answered = out.status_code is not None or bool(out.body)
    return (
        "failed" if out.error else "succeeded",
        written(datetime.fromtimestamp(out.started_at, UTC)),
        round(out.duration_ms, 3),
        json.dumps({name: round(ms, 3) for name, ms in out.phases.items()}),
        out.remote_address,
        out.repeated,
        out.status_code,
        out.reason if answered else None,
        json.dumps(out.headers) if answered else None,
        out.headers_dropped,
        out.body if answered else None,
        out.size if answered else None,
        out.declared,
        out.truncated,
        out.error,
        out.message or None,
        out.phase,
        end.asked,
        end.used,
        result.claim.attempt,
    )


def _won(result: Result, seq: int, ended_at: datetime) -> tuple[Any, ...]:
    out, claim = result.outcome, result.claim
    return seq, out.status_code, round(out.duration_ms, 3), written(ended_at), claim.delivery, claim.number


def _lost(result: Result, end: Ending, seq: int, ended_at: datetime) -> tuple[Any, ...]:
    out, claim = result.outcome, result.claim
    finished_at = None if end.due_at else written(ended_at)
    last = (out.status_code, out.error, round(out.duration_ms, 3))
    return (
        *(seq, end.status, written(ended_at), finished_at, written(end.due_at), end.failed_count),
        *last,
        *(claim.delivery, claim.number),
    )


def _pause(number: int) -> None:
    """A 410: the receiver is gone for good, as far as it says. What waits is held, nothing is lost."""
    endpoint = Endpoint.objects.get(pk=number)
    if not endpoint.paused:
        endpoint.pause(actor="engine", why="the receiver answered 410 Gone")


def note_late(answers: Sequence[tuple[Claim, LateAnswer]]) -> None:
    """Answers that came after their attempt's deadline had passed: they explain, they change no outcome."""
    change_many(
        _LATE, ((late.status_code, round(late.after_ms, 3), claim.attempt) for claim, late in answers)
    )
    feed.stamp(claim.delivery for claim, _ in answers)


def interrupt(cut_off: Sequence[tuple[int, int | None, float | None]], now: datetime) -> None:
    """Attempts cut off by our own end: (delivery, attempt, ms into it if known). Due again now, budget untouched."""
    if not cut_off:
        return
    change_many(
        _INTERRUPTED_ATTEMPT, ((ms, failures.message("interrupted"), attempt) for _, attempt, ms in cut_off)
    )
    rows = []
    for (delivery, _, _), seq in zip(cut_off, feed.take(len(cut_off)), strict=True):
        status, due_at, at = "pending", written(now), written(now)
        if _interrupted_too_often(delivery):
            status, due_at = "failed", None
        rows.append((seq, status, due_at, at, None if due_at else at, delivery))
    change_many(_INTERRUPTED, rows)
    change_many(_HOLD, ((written(HELD), delivery) for delivery, _, _ in cut_off))
    feed.announce(due=True)


def interrupt_claims(claims: Sequence[Claim], now: datetime) -> None:
    """The same for claims of ours that are cut off now."""
    elapsed = {claim: (time.monotonic() - claim.claimed_at) * 1000 for claim in claims}
    interrupt([(claim.delivery, claim.attempt, ms) for claim, ms in elapsed.items()], now)


def _interrupted_too_often(delivery: int) -> bool:
    found: Rows = query(
        "SELECT status FROM simulator_attempt WHERE delivery_id = %s ORDER BY number DESC LIMIT %s",
        [delivery, INTERRUPTIONS_IN_A_ROW],
    )
    return len(found) == INTERRUPTIONS_IN_A_ROW and {status for (status,) in found} == {"interrupted"}


def recover(now: datetime, *, stopping: bool = False) -> None:
    """Under the engine lock nobody else owns a `sending` row: all of them were cut off.

    `stopping` says that they are cut off right now, so that how far each had come is known.
    """
    _interrupt_open(query(_OPEN), now, stopping=stopping)


def reclaim(now: datetime) -> None:
    """The same for rows whose lease has ended: no state is a dead end."""
    _interrupt_open(query(_OPEN + " AND d.due_at <= %s", [written(now)]), now)


def _interrupt_open(found: Rows, now: datetime, *, stopping: bool = False) -> None:
    def into(started_at: Any) -> float | None:
        started = read(started_at)
        return (now - started).total_seconds() * 1000 if stopping and started else None

    interrupt([(delivery, attempt, into(started_at)) for delivery, attempt, started_at in found], now)
