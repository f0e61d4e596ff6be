"""One delivery in full: verdict, timeline, what was sent and what came back. The same for page and push."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone

from simulator import signing
from simulator.api import shapes
from simulator.models import Attempt, Delivery
from simulator.models.secret import masked

from . import bodies, timeline, words

HEADERS = 40  # shown at once; the rest folds away


def find(pk: str) -> Delivery | None:
    """With event and endpoint, in one query."""
    return Delivery.objects.select_related("event", "endpoint").filter(pk=pk).first()


def render(pk: str, number: int = 0) -> str | None:
    """The detail's HTML; None when there is no such delivery. `number` picks an attempt, 0 the newest."""
    delivery = find(pk)
    return (
        None if delivery is None else render_to_string("deliveries/_detail.html", context(delivery, number))
    )


def context(delivery: Delivery, number: int = 0) -> dict[str, Any]:
    attempts = delivery.with_attempts("response_body")
    chosen = next((one for one in attempts if one.number == number), None)
    attempt = chosen or (attempts[-1] if attempts else None)
    now = timezone.now()
    return {
        "delivery": delivery,
        "endpoint": delivery.endpoint,
        "place": words.place(delivery.endpoint),
        "verdict": words.verdict(delivery, attempts),
        "attempts": attempts,
        "attempt": attempt,
        "chosen": chosen.number if chosen else 0,
        "timeline": timeline.timeline(delivery, attempts, scale=settings.SIM_RETRY_SCALE, now=now),
        "may": may(delivery),
        "request_body": bodies.show(bytes(delivery.event.body)),
        "request_size": len(delivery.event.body),
        **(_about(attempt, delivery) if attempt else {}),
    }


def may(delivery: Delivery) -> dict[str, bool]:
    """Which buttons are offered now; the verbs decide again when one is pressed."""
    there = delivery.endpoint.deleted_at is None
    idle = delivery.status not in ("sending", "succeeded")
    return {
        "retry": there and idle and not delivery.endpoint.paused,
        "cancel": not delivery.finished and not delivery.cancelling,
        "resend": there,
    }


def _about(attempt: Attempt, delivery: Delivery) -> dict[str, Any]:
    body = bytes(attempt.response_body or b"")
    headers = attempt.response_headers or []
    return {
        "outcome": words.outcome(attempt),
        "state": words.STATES[attempt.status],
        "took": words.took(attempt),
        "hint": shapes.hint(attempt) if _wants_hint(attempt) else "",
        "waterfall": timeline.waterfall(attempt),
        "request_headers": attempt.request_headers,
        "status_line": words.phrase(attempt.status_code, attempt.reason),
        "response_headers": headers[:HEADERS],
        "more_headers": headers[HEADERS:],
        "response_body": bodies.show(body, headers=headers) if body else None,
        "signature": signature(attempt, delivery),
    }


def _wants_hint(attempt: Attempt) -> bool:
    """Not for a late answer: the sentence about it already says what to do."""
    return attempt.error not in (None, "interrupted") and attempt.late_ms is None


def signature(attempt: Attempt, delivery: Delivery) -> dict[str, Any]:
    """The headers that carried it, and the bytes it was made of, split at the body.

    `changed`: scheme or secret of the endpoint have changed since, so it is no longer known what was signed.
    """
    profile = delivery.endpoint.profile
    names = {
        name.lower()
        for name in (profile.signature_header, profile.timestamp_header, profile.id_header)
        if name
    }
    sent = [(name, value) for name, value in attempt.request_headers if name.lower() in names]
    before, _, after = profile.content.partition("{body}")
    timestamp = _timestamp(sent, profile)
    used = [
        one
        for one in delivery.endpoint.secrets.order_by("-id")
        if _made(one.value, profile, sent, timestamp, delivery)
    ]
    values = {"{timestamp}": timestamp, "{id}": delivery.event.pk}
    for placeholder, value in values.items():
        before, after = before.replace(placeholder, value), after.replace(placeholder, value)
    return {
        "profile": profile,
        "sent": sent,
        "before": before,
        "body": bodies.show(bytes(delivery.event.body), "raw"),
        "after": after,
        "size": len(before) + len(delivery.event.body) + len(after),
        "secrets": [(masked(one.value), one.expires_at) for one in used],
        "changed": not used,
    }


def _made(
    secret: str, profile: Any, sent: Sequence[tuple[str, str]], timestamp: str, delivery: Delivery
) -> bool:
    """Whether this secret makes a signature that was sent."""
    facts: dict[str, Any] = {"timestamp": timestamp or None, "event_id": delivery.event.pk}
    facts |= {"body": bytes(delivery.event.body), "now": 0, "tolerance": float("inf")}
    headers = [value for name, value in sent if name.lower() == profile.signature_header.lower()]
    return any(signing.verify(profile, [secret], signature=header, **facts).valid for header in headers)


def _timestamp(sent: Sequence[tuple[str, str]], profile: Any) -> str:
    for name, value in sent:
        if profile.timestamp_header and name.lower() == profile.timestamp_header.lower():
            return value
        if profile.timestamp_prefix is not None and name.lower() == profile.signature_header.lower():
            return value.partition(profile.separator)[0].removeprefix(profile.timestamp_prefix)
    return ""
