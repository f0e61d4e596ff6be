"""What is known of one attempt, and what an answer says of it. Knows no socket.

An answer and an error are two facts of an Outcome.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from .answer import HEADERS_KEPT, Answer
from .failures import message


@dataclass(slots=True)
class LateAnswer:
    """An answer that came after the deadline: its status, and milliseconds since the attempt began."""

    status_code: int
    after_ms: float


@dataclass(slots=True)
class Outcome:
    """All that is known about one attempt. `error` is a failure code, or None for a complete 2xx."""

    started_at: float  # epoch seconds
    duration_ms: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)  # ms of each that was reached
    remote_address: str | None = None
    status_code: int | None = None
    reason: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)  # latin-1, as spelled, the first 200
    headers_dropped: int = 0
    body: bytes = b""  # as received, ≤ 256 KiB; of an answer that is not HTTP its first 1 KiB
    size: int = 0
    declared: int | None = None
    truncated: bool = False
    error: str | None = None
    message: str = ""
    phase: str | None = None
    repeated: bool = False
    retry_after: str | None = None


def internal_error(detail: str) -> Outcome:
    """The outcome of an attempt that could not be made, or not be recorded, because of our own fault."""
    text = message("internal_error", detail=detail)
    return Outcome(time.time(), error="internal_error", message=text)


def record(outcome: Outcome, answer: Answer) -> None:
    """Put what came back into the Outcome, and name the error of a complete answer that is not a 2xx."""
    phases = outcome.phases
    sent = answer.sent_at or answer.answered_at or answer.ended_at
    phases["send"] = (sent - answer.started_at) * 1000
    if answer.sent_at:
        phases["wait"] = ((answer.answered_at or answer.ended_at) - sent) * 1000
    outcome.error, outcome.message, outcome.phase = answer.error, answer.message, answer.phase
    outcome.body = bytes(answer.body) or answer.first
    outcome.size = len(outcome.body)  # of bytes that are not HTTP; a parsed answer has its own size
    status = answer.status
    if status is None:
        return
    phases["receive"] = (answer.ended_at - answer.answered_at) * 1000
    outcome.status_code = status
    outcome.reason = answer.reason.decode("latin-1")
    pairs = answer.headers
    outcome.headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs[:HEADERS_KEPT]
    ]
    outcome.headers_dropped = answer.dropped + max(0, len(pairs) - HEADERS_KEPT)
    outcome.size, outcome.declared, outcome.truncated = answer.size, answer.declared, answer.truncated
    if status == 429 or status == 503:
        asked = {value.strip() for name, value in pairs if name.lower() == b"retry-after"}
        outcome.retry_after = asked.pop().decode("latin-1") if len(asked) == 1 else None
    if answer.error is None and not 200 <= status < 300:
        _name_status(outcome, pairs)


def _name_status(outcome: Outcome, pairs: Sequence[tuple[bytes, bytes]]) -> None:
    status = f"{outcome.status_code} {outcome.reason}".rstrip()
    outcome.phase = "receive"
    if 300 <= (outcome.status_code or 0) < 400:
        location = next((value for name, value in pairs if name.lower() == b"location"), b"nowhere")
        outcome.error = "redirect"
        outcome.message = message(
            "redirect",
            address=outcome.remote_address,
            status=status,
            location=location.strip(b" \t\r\n").decode("latin-1"),
        )
    else:
        outcome.error = "status"
        outcome.message = message("status", address=outcome.remote_address, status=status)
