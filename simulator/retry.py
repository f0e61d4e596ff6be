"""When the next attempt is due: the timetable and Retry-After. Pure arithmetic; knows no rows and no clock."""

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

LONGEST_ASKED = 3600.0  # seconds; what a receiver may ask for at most
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_DATE = re.compile(r"[A-Z][a-z]{2,8},? [0-9A-Za-z: -]{20,24}")  # the library allows text after it


class Wait(NamedTuple):
    """Seconds to the next attempt (None when none is left), and what Retry-After asked for."""

    seconds: float | None
    asked: float | None


def wait_after(failed: int, delays: Sequence[float], *, scale: float = 1.0) -> float | None:
    """Seconds from the `failed`-th failed automatic attempt (1, 2, …) to the next one; None when none is left."""
    return delays[failed - 1] * scale if failed <= len(delays) else None


def wait_asked(header: str | None, now: datetime) -> float | None:
    """Seconds a `Retry-After` asks for (RFC 9110 §10.2.3: delta-seconds or date), ≥ 0; None if unreadable.

    Fractions such as `120.6` are read too: the RFC has none, but some servers send them and mean them.
    """
    text = (header or "").strip(" \t")
    if _SECONDS.fullmatch(text):
        return min(float(text), sys.float_info.max)  # infinity has no JSON
    if not _DATE.fullmatch(text):
        return None
    try:
        date = parsedate_to_datetime(text)
        # Of the three date formats, asctime has no zone; all of them mean UTC.
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, (date - now).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def asked_by(status_code: int | None, retry_after: str | None, now: datetime) -> float | None:
    """Seconds that an answer asks for: its Retry-After counts on 429 and 503 only."""
    return wait_asked(retry_after, now) if status_code in (429, 503) else None


def next_wait(
    failed: int,
    delays: Sequence[float],
    *,
    scale: float = 1.0,
    status_code: int | None = None,
    retry_after: str | None = None,
    now: datetime,
) -> Wait:
    """The wait after the `failed`-th failed automatic attempt.

    `retry_after` lengthens the timetable, never shortens it, is not scaled, and ends at one hour.
    """
    planned = wait_after(failed, delays, scale=scale)
    asked = asked_by(status_code, retry_after, now)
    return Wait(None if planned is None else max(planned, min(asked or 0.0, LONGEST_ASKED)), asked)
