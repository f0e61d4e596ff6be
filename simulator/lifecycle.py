"""What an outcome makes of a delivery: the state machine's one decision. Pure; knows no rows, no clock, no network.

pending ─ claim ─▶ sending ─ 2xx ─▶ succeeded
                      ├─ failed, retries left ─▶ pending, due after the wait
                      ├─ failed, none left ────▶ failed
                      └─ the process died ─────▶ pending, due now (the attempt is `interrupted`)
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from . import retry

INTERNAL_ERRORS_IN_A_ROW = 3
INTERRUPTIONS_IN_A_ROW = 10


class Standing(NamedTuple):
    """Where a delivery stands when its attempt starts: what decides about the next one."""

    delays: Sequence[float]
    failed_count: int  # failed automatic attempts so far: only they use up the timetable
    manual: bool  # a person asked for this attempt
    resume_at: datetime | None  # where the timetable stood when they asked; None when it had ended


class Ending(NamedTuple):
    """What becomes of it. `due_at` is None exactly when the delivery is finished."""

    status: str
    due_at: datetime | None
    failed_count: int
    asked: float | None = None  # seconds that Retry-After asked for
    used: float | None = None  # seconds actually waited, if Retry-After asked for some


def ending(
    standing: Standing,
    *,
    error: str | None,
    status_code: int | None = None,
    retry_after: str | None = None,
    ended_at: datetime,
    scale: float = 1.0,
    braked: bool = False,
) -> Ending:
    """The delivery after an attempt that ended at `ended_at` with `error` (None: success).

    `braked` says that this was the last of too many internal errors in a row: the event itself is poison.
    """
    failed = standing.failed_count
    if error is None:
        return Ending("succeeded", None, failed)
    if braked:
        return Ending("failed", None, failed)
    if standing.manual:  # leaves the timetable as it was
        due_at, asked = standing.resume_at, retry.asked_by(status_code, retry_after, ended_at)
        return Ending("pending" if due_at else "failed", due_at, failed, asked)
    wait = retry.next_wait(
        failed + 1,
        standing.delays,
        scale=scale,
        status_code=status_code,
        retry_after=retry_after,
        now=ended_at,
    )
    if wait.seconds is None:
        return Ending("failed", None, failed + 1, wait.asked)
    due_at = ended_at + timedelta(seconds=wait.seconds)
    used = None if wait.asked is None else wait.seconds
    return Ending("pending", due_at, failed + 1, wait.asked, used)
