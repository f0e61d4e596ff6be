"""What happened to a delivery, in words: the row's few, and the verdict's sentence. Knows no HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from django.conf import settings

from simulator.failures import DELETED, FAILURES
from simulator.models import Attempt, Delivery, Endpoint

from .templatetags.ui import ms, seconds

NOTICEABLE_MS = 3  # of our own work in an attempt; less is not worth a sentence
# state → (icon, word): what a row and a badge show beside the colour
STATES = {
    "pending": ("circle-dashed", "waiting"),
    "held": ("pause", "held"),
    "retrying": ("rotate-cw", "retrying"),
    "sending": ("loader-circle", "sending"),
    "succeeded": ("circle-check", "succeeded"),
    "failed": ("circle-x", "failed"),
    "cancelled": ("circle-slash", "cancelled"),
    "interrupted": ("unplug", "interrupted"),
}


def state(delivery: Delivery) -> str:
    """The stored status, with the two that are derived: held and retrying."""
    if delivery.status == "pending":
        return "held" if delivery.held else "retrying" if delivery.attempt_count else "pending"
    return delivery.status


def place(endpoint: Endpoint) -> str:
    """What an endpoint is called in a list: its description, else host and path."""
    return endpoint.description or endpoint.url.partition("://")[2]


def attempts_left(delivery: Delivery) -> int:
    """Automatic attempts left in the timetable and not cancelled, not counting one in flight."""
    if delivery.finished or delivery.cancelling:
        return 0
    left = len(delivery.endpoint.retry_delays) + 1 - delivery.failed_count
    return max(0, left - (delivery.status == "sending" and not delivery.manual))


def result(delivery: Delivery) -> str:
    """The last answer in a word or two: "200", "Connection refused", "" while there is none."""
    if delivery.last_error and delivery.last_error != "status":
        if delivery.last_error == "redirect" and delivery.last_status_code:
            return str(delivery.last_status_code)
        failure = FAILURES.get(delivery.last_error)
        return failure.title if failure else delivery.last_error
    return str(delivery.last_status_code or "")


def phrase(status_code: int | None, reason: str | None) -> str:
    """ "404 Not Found"; the receiver's own phrase wins."""
    if status_code is None:
        return ""
    try:
        return f"{status_code} {reason or HTTPStatus(status_code).phrase}"
    except ValueError:
        return f"{status_code} {reason or ''}".strip()


@dataclass(frozen=True, slots=True)
class Verdict:
    """`state` is a key of STATES; `next` says what happens next, "" when nothing does."""

    state: str
    sentence: str
    next: str = ""

    @property
    def icon(self) -> str:
        return STATES[self.state][0]


def verdict(delivery: Delivery, attempts: Sequence[Attempt]) -> Verdict:
    """`attempts` oldest first."""
    now_state = state(delivery)
    ended = [attempt for attempt in attempts if attempt.status != "sending"]
    last = ended[-1] if ended else None
    if now_state == "held":
        since = " since your receiver answered 410" if last and last.status_code == 410 else ""
        held = f"Held back: the endpoint is paused{since}."
        return Verdict("held", held, "It is sent when you resume the endpoint.")
    if now_state == "sending":
        number = delivery.attempt_count
        after = "It is the last one: you cancelled the retries." if delivery.cancelling else ""
        return Verdict("sending", f"Attempt {number} is under way: waiting for your receiver.", after)
    if now_state == "cancelled":
        return Verdict("cancelled", f"Cancelled after {_attempts(delivery)}.", "Nothing further is sent.")
    if last is None:
        return Verdict("pending", "Waiting for its first attempt.")
    what = outcome(last)
    if now_state == "succeeded":
        return Verdict("succeeded", what, "" if last.number == 1 else f"Delivered on attempt {last.number}.")
    if now_state == "failed":
        spent = delivery.failed_count > len(delivery.endpoint.retry_delays)
        return Verdict(
            "failed",
            what,
            f"No retries left after {_attempts(delivery)}." if spent else "Nothing further is sent.",
        )
    left = attempts_left(delivery)
    if left == 0:  # a person asked for it, or the timetable was made shorter meanwhile
        return Verdict("retrying", what, "The next attempt is the last one.")
    return Verdict("retrying", what, "1 retry left." if left == 1 else f"{left} retries left.")


def _attempts(delivery: Delivery) -> str:
    count = delivery.attempt_count
    return "no attempt" if not count else "1 attempt" if count == 1 else f"{count} attempts"


def outcome(attempt: Attempt) -> str:
    """How one attempt ended, as a sentence about the receiver."""
    if attempt.status == "sending":
        return "Under way."
    if attempt.status == "interrupted":
        return interruption(attempt)
    if attempt.error in (None, "status"):
        return f"Your receiver answered {attempt.status_code}{_after(attempt)}."
    what = attempt.error_message or FAILURES[attempt.error].title + "."
    return f"{what} {late(attempt)}".rstrip()


def took(attempt: Attempt) -> float | None:
    """Milliseconds of the exchange with the receiver; `duration_ms` counts our own waiting between its phases, too."""
    return sum(filter(None, attempt.phases.values())) or attempt.duration_ms


def _after(attempt: Attempt) -> str:
    """The receiver's own time, and the attempt's where it is noticeably longer, because the list shows that one."""
    its, whole = took(attempt), attempt.duration_ms
    if its is None or whole is None:
        return ""
    if whole - its < NOTICEABLE_MS:
        return f" after {ms(whole)}"
    return f" after {ms(its)}; including our own work, the attempt took {ms(whole)}"


def interruption(attempt: Attempt) -> str:
    cause = "The endpoint was deleted" if attempt.error_message == DELETED else "The simulator stopped"
    into = f"{seconds(attempt.duration_ms / 1000)} into" if attempt.duration_ms else "during"
    further = (
        "Nothing further is sent."
        if attempt.last
        else f"Sent again as attempt {attempt.number + 1} with the same event id; a receiver that de-duplicates is safe."
    )
    return f"{cause} {into} this attempt. Your receiver may or may not have processed it. {further}"


def late(attempt: Attempt) -> str:
    """What came after the deadline, and what to do about it; "" when nothing did."""
    if attempt.late_ms is None:
        return ""
    status = f" {attempt.late_status_code}" if attempt.late_status_code else ""
    return (
        f"It answered{status} at {ms(attempt.late_ms)}, after the deadline: answer first and do the work"
        " afterwards, or raise the endpoint's timeout."
    )


def banners(troubles: Sequence[str], notices: Sequence[str] = ()) -> list[tuple[str, str]]:
    """(kind, sentence) of what a person must know before reading anything else on the page."""
    found = [("trouble", trouble) for trouble in troubles]
    found += [("notice", notice) for notice in notices]
    if settings.SIM_RETRY_SCALE != 1:
        scale = f"Retry delays are multiplied by {settings.SIM_RETRY_SCALE:g} (SIM_RETRY_SCALE): this is not the timetable "
        found.append(("scale", scale + "your receiver meets in production."))
    return found
