"""Rows in every state a page can show, made as the engine would leave them."""

import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from simulator import catalog, feed, ids, payload, signing
from simulator.models import Attempt, Delivery, Endpoint, Event

NOW = datetime.now(UTC)
Make = Callable[..., Delivery]


@pytest.fixture
def endpoint(db: None) -> Endpoint:
    return Endpoint.register(url="http://localhost:3000/webhook", events=["*"], description="Mine")


@pytest.fixture
def deliver(endpoint: Endpoint) -> Make:
    """A pending delivery to `endpoint`, or to another one."""

    def make(type: str = "lead.qualified", to: Endpoint | None = None, body: bytes | None = None) -> Delivery:
        event_id = ids.encode("evt", ids.new())
        body = body or payload.envelope(event_id, type, NOW, catalog.sample(type))
        _, (delivery,) = Event.accept(
            type, body, event_id=event_id, endpoints=[to or endpoint], trigger="test"
        )
        return delivery

    return make


@pytest.fixture
def attempted(deliver: Make) -> Make:
    """A delivery whose one attempt ended: fields of the attempt, and the delivery's status after it."""

    def make(
        after: str = "succeeded",
        *,
        delivery: Delivery | None = None,
        signed_at: int = 1738896900,
        **fields: Any,
    ) -> Delivery:
        delivery = delivery or deliver()
        fields = {"status": "succeeded" if after == "succeeded" else "failed", "status_code": 200} | fields
        number = delivery.attempt_count + 1
        known: dict[str, Any] = {
            "started_at": NOW,
            "duration_ms": 12.4,
            "phases": {"connect": 0.4, "send": 0.1, "wait": 11.9},
        }
        signed = signing.signer(delivery.endpoint.profile, [delivery.endpoint.current_secret()])(
            timestamp=signed_at,
            event_id=delivery.event.pk,
            body=bytes(delivery.event.body),
        )
        known["request_headers"] = [["host", "localhost:3000"], *map(list, signed)]
        Attempt.objects.create(
            delivery=delivery, number=number, url=delivery.endpoint.url, **(known | fields)
        )
        delivery.attempt_count = delivery.last_number = number
        delivery.failed_count += fields["status"] == "failed"
        delivery.status, delivery.last_error = after, fields.get("error")
        delivery.last_status_code, delivery.last_duration_ms = fields["status_code"], 12.4
        delivery.due_at = NOW + timedelta(seconds=3600) if after == "pending" else None
        delivery.seq = feed.take()[0]
        delivery.save()
        return delivery

    return make


@pytest.fixture
def dead_url() -> str:
    """Where nothing listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}/webhook"


@pytest.fixture
def htmx(client: Client) -> Client:
    """The client as the page's own requests are made."""
    client.defaults["HTTP_HX_REQUEST"] = "true"
    return client
