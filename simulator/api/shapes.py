"""How rows look outside: one function for each noun, used by the API, the commands and the JSON stream."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from .. import hints
from ..ids import encode
from ..models import Activity, Attempt, Delivery, Endpoint, Event
from ..models.attempt import PHASES
from ..models.delivery import HELD, PENDING
from ..rows import query, read, written
from ..sending import Sent

Json = dict[str, Any]


def answer(data: object, status: int = 200) -> HttpResponse:
    """JSON as it leaves. Half surrogate pairs of a receiver's bytes become escapes, so that it is always UTF-8."""
    return HttpResponse(_as_json(data), status=status, content_type="application/json")


def _as_json(data: object) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def nothing() -> HttpResponse:
    """204; Django would describe its body as HTML, which it does not have."""
    response = HttpResponse(status=204)
    del response.headers["Content-Type"]
    return response


def iso(moment: datetime | None) -> str | None:
    """`2025-02-07T02:55:00.123Z`; the moment is aware and in UTC, as every column is."""
    return None if moment is None else moment.isoformat(timespec="milliseconds")[:23] + "Z"


def whole(value: Any) -> Any:
    """5.0 → 5: JSON knows only numbers, and many languages write a whole one with its point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def endpoint_json(endpoint: Endpoint) -> Json:
    return {
        "id": endpoint.pk,
        "url": endpoint.url,
        "events": endpoint.events,
        "description": endpoint.description,
        "status": endpoint.status,
        "timeout": whole(endpoint.timeout),
        "retry": {"delays": endpoint.retry_delays},
        "headers": endpoint.headers,
        "signature": endpoint.signature,
        "extras": endpoint.extras,
        "max_in_flight": endpoint.max_in_flight,
        "tls_verify": endpoint.tls_verify,
        "created": iso(endpoint.created_at),
        "updated": iso(endpoint.updated_at),
    }


def event_json(event: Event) -> Json:
    """With `body` as sent; it is text because everything accepted is UTF-8."""
    body = bytes(event.body)
    return {
        "id": event.pk,
        "type": event.type,
        "created": iso(event.created_at),
        "body": body.decode("utf-8", "replace"),
        "size": len(body),
        "sha256": event.sha256,
    }


def sent_json(sent: Sent) -> Json:
    return {
        "event": event_json(sent.event),
        "deliveries": [delivery_json(delivery) for delivery in sent.deliveries],
        "skipped": [{"endpoint": endpoint.pk, "reason": reason} for endpoint, reason in sent.skipped],
    }


def delivery_json(delivery: Delivery) -> Json:
    """Wants `event` and `endpoint` selected along (`Delivery.objects.rows()`); reads no body."""
    event, endpoint = delivery.event, delivery.endpoint
    last = (delivery.last_number, delivery.last_status_code, delivery.last_error, delivery.last_duration_ms)
    next_at, created, finished = map(
        iso, (delivery.next_attempt_at, delivery.created_at, delivery.finished_at)
    )
    return _delivery(
        (delivery.pk, event.pk, endpoint.pk),
        (delivery.seq, event.type, iso(event.created_at), endpoint.url, delivery.status, delivery.trigger),
        (delivery.attempt_count, next_at, created, finished),
        last,
    )


def newer_deliveries(seq: int, limit: int) -> list[Json]:
    """What changed after `seq`, oldest change first. Without models, and as one row: a burst is read thousands of
    deliveries a second, and the GIL changes hands at each row that SQLite finds."""
    found = []
    for delivery, event, endpoint, due_at, *fields in json.loads(query(_NEWER, [seq, limit])[0][0]):
        ids_ = (encode("dlv", delivery), encode("evt", event), encode("ep", endpoint))
        seq, type, event_created, url, status, trigger, attempts, created, finished_at, *last = fields
        waits = status == PENDING and due_at < _HELD
        what = (seq, type, _iso(event_created), url, status, trigger)
        times = (attempts, _iso(due_at) if waits else None, _iso(created), _iso(finished_at))
        found.append(_delivery(ids_, what, times, last))
    return found


_NEWER = """
SELECT json_group_array(json_array(id, event_id, endpoint_id, due_at, seq, type, event_created, url, status, trigger,
                        attempt_count, created_at, finished_at, last_number, last_status_code, last_error, last_duration_ms))
FROM (SELECT d.*, e.created_at AS event_created, p.url FROM simulator_delivery d
      JOIN simulator_event e ON e.id = d.event_id JOIN simulator_endpoint p ON p.id = d.endpoint_id
      WHERE d.seq > %s ORDER BY d.seq LIMIT %s)"""
_HELD = written(HELD) or ""


def _iso(column: str | None) -> str | None:
    """A moment as its column holds it, in the form of `iso`."""
    if column is None or len(column) != 26:  # without its microseconds, when they are 0
        return iso(read(column))
    return f"{column[:10]}T{column[11:23]}Z"


def _delivery(ids: Any, what: Any, progress: Any, last: Any) -> Json:
    seq, type, event_created, url, status, trigger = what
    attempt_count, next_attempt_at, created, finished_at = progress
    return {
        "id": ids[0],
        "seq": seq,
        "event": {"id": ids[1], "type": type, "created": event_created},
        "endpoint": {"id": ids[2], "url": url},
        "status": status,
        "trigger": trigger,
        "attempt_count": attempt_count,
        "next_attempt_at": next_attempt_at,
        "created": created,
        "finished_at": finished_at,
        "last_attempt": None if last[0] is None else dict(zip(_LAST, last, strict=True)),
    }


_LAST = ("number", "status_code", "error", "duration_ms")


def delivery_with_attempts(delivery: Delivery) -> Json:
    attempts = delivery.with_attempts()
    event = event_json(delivery.event)
    return delivery_json(delivery) | {"attempts": [attempt_json(attempt, event) for attempt in attempts]}


AT_ONCE = 1024 * 1024  # bytes of bodies


def delivery_answer(delivery: Delivery) -> HttpResponseBase:
    """`delivery_with_attempts`, as it leaves."""
    attempts = delivery.with_attempts()
    return with_attempts(delivery_json(delivery) | {"attempts": []}, delivery.event, attempts)


def with_attempts(
    whole: Json,
    event: Event,
    attempts: Sequence[Attempt],
    shaped: Callable[[Json], Json] = lambda attempt: attempt,
) -> HttpResponseBase:
    """The `whole`, whose last and empty list is filled with these attempts, each as `shaped` makes it.

    Where they carry much they are written one at a time, while they leave: fifty with all that is kept of an answer
    are 150 MB, and nothing else runs while JSON is being written.
    """
    sent = event_json(event)
    before, _, after = _as_json(whole).rpartition(b"[]")

    def piece(attempt: Attempt) -> bytes:
        return _as_json(shaped(attempt_json(attempt, sent)))

    bodies = len(attempts) * sent["size"] + sum(len(each.response_body or b"") for each in attempts)
    if bodies <= AT_ONCE:
        content = b"".join((before, b"[", b",".join(map(piece, attempts)), b"]", after))
        return HttpResponse(content, content_type="application/json")

    async def pieces() -> AsyncIterator[bytes]:
        yield before + b"["
        for place, attempt in enumerate(attempts):
            yield (b"," if place else b"") + await asyncio.to_thread(piece, attempt)
        yield b"]" + after

    return StreamingHttpResponse(pieces(), content_type="application/json")


def attempt_json(attempt: Attempt, event: Json) -> Json:
    """`event` is the `event_json` of what was sent, made once for all of its attempts."""
    return {
        "id": attempt.pk,
        "number": attempt.number,
        "trigger": attempt.trigger,
        "status": attempt.status,
        "started_at": iso(attempt.started_at),
        "duration_ms": attempt.duration_ms,
        "phases": {phase: attempt.phases.get(phase) for phase in PHASES},
        "remote_address": attempt.remote_address,
        "repeated": attempt.repeated,
        "request": {
            "method": "POST",
            "url": attempt.url,
            "headers": attempt.request_headers,
            "body": event["body"],
            "size": event["size"],
            "sha256": event["sha256"],
        },
        "response": _response(attempt),
        "error": _error(attempt),
        "retry_after": _retry_after(attempt),
        "late": _late(attempt),
    }


def _response(attempt: Attempt) -> Json | None:
    """None when nothing came. Without a `status_code` the body is the first KiB of what is no HTTP."""
    if not attempt.answered:
        return None
    body = bytes(attempt.response_body or b"")
    return {
        "status_code": attempt.status_code,
        "reason": attempt.reason,
        "headers": attempt.response_headers or [],
        "headers_dropped": attempt.headers_dropped,
        "body": body.decode("utf-8", "replace"),
        "body_base64": base64.b64encode(body).decode(),
        "size": attempt.response_size if attempt.response_size is not None else len(body),
        "declared_size": attempt.declared_size,
        "truncated": attempt.truncated,
    }


def _error(attempt: Attempt) -> Json | None:
    if attempt.error is None:
        return None
    return {
        "code": attempt.error,
        "message": attempt.error_message or "",
        "hint": hint(attempt),
        "phase": attempt.error_phase,
    }


def hint(attempt: Attempt) -> str:
    """What to change, for an attempt with an error."""
    return hints.hint_for(
        attempt.error or "",
        status_code=attempt.status_code,
        headers=[(name, value) for name, value in attempt.response_headers or []],
        body=bytes(attempt.response_body or b""),
        url=attempt.url,
        message=attempt.error_message or "",
        last=attempt.last,
    )


def _retry_after(attempt: Attempt) -> Json | None:
    if attempt.retry_after_asked is None:
        return None
    return {"asked": attempt.retry_after_asked, "used": attempt.retry_after_used}


def _late(attempt: Attempt) -> Json | None:
    if attempt.late_ms is None:
        return None
    return {"status_code": attempt.late_status_code, "after_ms": attempt.late_ms}


def activity_json(activity: Activity) -> Json:
    return {
        "id": activity.pk,
        "created": iso(activity.created_at),
        "actor": activity.actor,
        "action": activity.action,
        "subject": activity.subject,
        "detail": activity.detail,
    }
