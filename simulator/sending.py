"""Requests to send: checked, made into bytes, fanned out. Knows neither HTTP nor pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from . import catalog, ids, targets
from .models import Activity, Batch, Delivery, Endpoint, Event
from .models.endpoint import audience
from .models.event_type import known_types, sample_of
from .payload import envelope
from .transaction import writing


class BadInput(ValueError):
    """Something that cannot be sent, set or searched for. `field` is a dotted path, `reason` for programs, `message` for people."""

    def __init__(self, field: str, reason: str, message: str, suggestions: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.field = field
        self.reason = reason
        self.message = message
        self.suggestions = list(suggestions)


@dataclass(frozen=True, slots=True)
class Content:
    """What is to be sent. `raw_body` replaces the whole envelope; without `data` it is a fresh sample."""

    type: str
    data: Mapping[str, Any] | None = None
    overrides: Mapping[str, Any] | None = None
    raw_body: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    event: Event
    deliveries: list[Delivery]
    skipped: list[tuple[Endpoint, str]]


def send(
    content: Content,
    *,
    endpoints: Sequence[str] | None = None,
    to: str | None = None,
    trigger: str = "api",
    actor: str = "",
) -> Sent:
    """One event to everyone who subscribes, to the named `endpoints`, or `to` a URL that needs no registration.

    `actor` is noted in the activity as who sent it by hand; a program passes none. Raises BadInput and BadOverride.
    """
    if to is not None and endpoints is not None:
        raise BadInput("to", "conflict", "Give either endpoints or to, not both.")
    url = None if to is None else checked_url(to, "to")
    draft = _draft(content)  # before taking the lock: a large body takes a while
    with writing():
        if url is not None:
            endpoints = [adhoc(url, actor=trigger).pk]
        getting, skipped = _audience(content.type, endpoints)
        event, deliveries = Event.accept(**draft, endpoints=getting, trigger=trigger)
        if actor:
            _note(actor, event)
    return Sent(event, deliveries, skipped)


def send_test(endpoint_id: str, content: Content, *, actor: str = "api") -> Delivery:
    """One event to this endpoint, whatever it subscribes to; held while it is paused.

    Raises as `send` does, and Endpoint.DoesNotExist.
    """
    draft = _draft(content)
    with writing():
        endpoint = Endpoint.to_send_to(endpoint_id)
        event, [delivery] = Event.accept(**draft, endpoints=[endpoint], trigger="test")
        _note(actor, event)
    return delivery


def _note(actor: str, event: Event) -> None:
    Activity.note(actor, "sent test event", event.pk, event.type)


def send_batch(type: str, count: int, endpoints: Sequence[str] | None = None, *, actor: str = "api") -> Batch:
    """`count` events of a type, each with a fresh sample; the engine makes them. Raises BadInput."""
    check_type(type)
    _audience(type, endpoints)
    _sample(type)  # the first one of a process takes 0.3 s: take it here, where nobody else has to wait
    return Batch.start(type, count, endpoints, actor=actor)


def check_type(type: str, field: str = "type") -> None:
    """Raise BadInput, with near names, when there is no such event type."""
    if type in catalog.BUILT_IN:
        return
    known = known_types()
    if type not in known:
        raise _unknown(type, field, known)


def _unknown(type: str, field: str, known: Sequence[str]) -> BadInput:
    near = catalog.near(type, known)
    rather = f"Did you mean {' or '.join(near)}?" if near else f"Use one of: {', '.join(known[:20])}."
    return BadInput(field, "unknown_event_type", f"There is no event type {type[:100]!r}. {rather}", near)


def _sample(type: str) -> dict[str, Any]:
    try:
        return sample_of(type)
    except KeyError:  # deleted since it was checked
        raise _unknown(type, "type", known_types()) from None


def checked_url(url: str, field: str = "url") -> str:
    """The URL as it will be used; BadInput when nothing may be sent there."""
    try:
        return targets.check_url(url)
    except targets.BadTarget as error:
        raise BadInput(field, error.reason, error.message) from None


def adhoc(url: str, *, actor: str = "api") -> Endpoint:
    """The endpoint behind a URL that nobody registered: the same one each time, resumed if it was paused."""
    endpoint = Endpoint.objects.alive().filter(origin=Endpoint.ADHOC, url=url).first()
    if endpoint is None:
        return Endpoint.register(url=url, events=["*"], origin=Endpoint.ADHOC)
    if endpoint.paused:
        endpoint.resume(actor=actor)
    return endpoint


def _audience(type: str, chosen: Sequence[str] | None) -> tuple[list[Endpoint], list[tuple[Endpoint, str]]]:
    try:
        return audience(type, None if chosen is None else list(chosen))
    except Endpoint.DoesNotExist as error:
        missing = str(error)
        place = list(chosen or ()).index(missing)
        raise BadInput(f"endpoints.{place}", "not_found", f"There is no endpoint {missing[:50]!r}.") from None


def _draft(content: Content) -> dict[str, Any]:
    event_id, created = ids.encode("evt", ids.new()), timezone.now()
    body = body_of(content, event_id, created)
    return {"type": content.type, "body": body, "event_id": event_id, "created_at": created}


def body_of(content: Content, event_id: str, created: datetime) -> bytes:
    """The bytes of the event. Raises BadInput and BadOverride."""
    check_type(content.type)
    if content.raw_body is not None:
        if content.data is not None or content.overrides is not None:
            raise BadInput(
                "raw_body", "conflict", "raw_body is the whole body: leave out data and overrides."
            )
        return content.raw_body.encode()
    data = _sample(content.type) if content.data is None else content.data
    return envelope(event_id, content.type, created, data, content.overrides)
