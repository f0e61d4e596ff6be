"""The built-in receiver: answers as its query asks, and remembers the last 100 requests. Knows nothing of the engine."""

import asyncio
import hashlib
import re
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from asgiref.sync import sync_to_async
from django.core.exceptions import RequestDataTooBig
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from . import ids, signing
from .api.errors import Problem, error_json, invalid
from .models import Endpoint

REMEMBERED = 100
BODY_KEPT = 256 * 1024
LONGEST_DELAY = 120.0
MOST_FAILURES = 1000
_EVENTS_COUNTED = 10_000
_WITHOUT_BODY = (204, 205, 304)


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came in; of a large body the first 256 KiB, `size` tells how long it was."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    size: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the query asks for; `delay` in seconds, `verify` an endpoint id."""

    status: int = 200
    delay: float = 0.0
    fail_first: int = 0
    body: str | None = None
    verify: str | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Behaviour":
        """Other parameters are ignored: they belong to whoever wrote the URL. Raises Problem."""
        return cls(
            status=int(_number(query, "status", "200", low=200, high=599, whole=True)),
            delay=_number(query, "delay", "0", low=0, high=LONGEST_DELAY),
            fail_first=int(_number(query, "fail_first", "0", low=0, high=MOST_FAILURES, whole=True)),
            body=query.get("body"),
            verify=query.get("verify"),
        )


_remembered: deque[Received] = deque(maxlen=REMEMBERED)
_failed: OrderedDict[tuple[str, str], int] = OrderedDict()


def recent() -> list[Received]:
    """The last 100 requests since the start, newest first."""
    return list(reversed(_remembered))


async def receive(request: HttpRequest) -> HttpResponse:
    """Any method, any path below /receiver/."""
    try:
        body = request.body
    except RequestDataTooBig:
        return _refused(
            Problem(413, "PAYLOAD_TOO_LARGE", "The built-in receiver takes bodies of up to 1 MiB.")
        )
    _remember(request, body)
    if not request.META.get("QUERY_STRING"):
        return _answer(200)
    try:
        asked = Behaviour.of(request.GET)
        verdict = await _verified(asked.verify, request, body) if asked.verify is not None else None
    except Problem as problem:
        return _refused(problem)
    fails = verdict is None and _has_to_fail(request, body, asked.fail_first)
    await asyncio.sleep(asked.delay)
    if verdict:
        reason = {"reason": verdict.reason}
        return _refused(Problem(401, "INVALID_SIGNATURE", verdict.message, details=reason))
    if fails:
        text = f"Fails the first {asked.fail_first} attempts, as the URL asks."
        return _refused(Problem(500, "FAIL_FIRST", text))
    return _answer(asked.status, asked.body)


def _remember(request: HttpRequest, body: bytes) -> None:
    _remembered.append(
        Received(
            method=request.method or "",
            path=request.get_full_path(),
            headers=list(request.headers.items()),
            body=body[:BODY_KEPT],
            size=len(body),
            received_at=datetime.now(UTC),
        )
    )


def _number(
    query: Mapping[str, str], name: str, default: str, *, low: float, high: float, whole: bool = False
) -> float:
    text = query.get(name, default)
    pattern = r"[0-9]{1,9}" if whole else r"[0-9]{1,9}(\.[0-9]{1,9})?"
    if not re.fullmatch(pattern, text) or not low <= float(text) <= high:
        kind = "whole number" if whole else "number"
        raise invalid(name, "invalid_value", f"{name} must be a {kind} from {low:g} to {high:g}.")
    return float(text)


def _has_to_fail(request: HttpRequest, body: bytes, fail_first: int) -> bool:
    """Whether this attempt is among the first of its event at this very URL; counts it.

    The attempt header counts as well: after a restart the count in memory is gone, but attempt numbers go on.
    Without the extra headers the body identifies the event: its bytes are the same in every attempt.
    """
    if not fail_first:
        return False
    event = request.headers.get("x-ultrareach-event-id") or hashlib.sha256(body).hexdigest()
    key = (request.get_full_path(), event)
    said = request.headers.get("x-ultrareach-attempt", "")
    earlier = int(said) - 1 if re.fullmatch(r"[1-9][0-9]{0,5}", said) else 0
    failed = max(_failed.get(key, 0), earlier)
    _failed[key] = failed + 1
    _failed.move_to_end(key)
    if len(_failed) > _EVENTS_COUNTED:
        _failed.popitem(last=False)
    return failed < fail_first


async def _verified(endpoint_id: str, request: HttpRequest, body: bytes) -> signing.Verdict | None:
    """None when the signature is right. Raises Problem when there is no such endpoint."""
    profile, secrets = await sync_to_async(_keys, thread_sensitive=False)(endpoint_id)
    headers = request.headers
    try:
        verdict = signing.verify(
            profile,
            secrets,
            signature=headers.get(profile.signature_header),
            timestamp=headers.get(profile.timestamp_header) if profile.timestamp_header else None,
            event_id=headers.get(profile.id_header or "x-ultrareach-event-id", ""),
            body=body,
            now=time.time(),
        )
    except signing.BadSecret as error:
        text = f"The secret of this endpoint does not fit its profile. {error}"
        raise invalid("verify", "invalid_value", text) from None
    return None if verdict.valid else verdict


def _keys(endpoint_id: str) -> tuple[signing.Profile, list[str]]:
    try:
        endpoint = Endpoint.objects.alive().get(pk=endpoint_id)
        return endpoint.profile, endpoint.valid_secrets()
    except Endpoint.DoesNotExist:
        text = "No endpoint has this id. An id looks like ep_… and is on the endpoint's page."
        raise invalid("verify", "invalid_value", text) from None
    finally:
        connection.close()  # a thread of the loop's pool: nobody else would close it


def _answer(status: int, body: str | None = None) -> HttpResponse:
    if status in _WITHOUT_BODY:
        response = HttpResponse(status=status)
        del response.headers["Content-Type"]
        return response
    # A body from the URL is sent as plain text, whatever it contains: nobody may run a page from here.
    kind = "application/json" if body is None else "text/plain; charset=utf-8"
    content = '{"received":true}' if body is None else body.encode(errors="replace")
    return HttpResponse(
        content, status=status, content_type=kind, headers={"X-Content-Type-Options": "nosniff"}
    )


def _refused(problem: Problem) -> JsonResponse:
    """In the envelope of the API."""
    error = error_json(problem, ids.encode("req", ids.new()))
    return JsonResponse(
        {"error": error}, status=problem.status, headers={"X-Content-Type-Options": "nosniff"}
    )
