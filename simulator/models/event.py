"""What happened. Owns the bytes, made once and sent unchanged on every attempt."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import DEFAULT_DB_ALIAS, models
from django.utils import timezone

from .. import feed, ids, shortcut
from ..ids import PublicId
from ..rows import change_many, written
from ..transaction import writing
from . import delivery
from .delivery import CLICK, Delivery
from .endpoint import Endpoint

_INSERT = "INSERT INTO simulator_event (id, type, body, created_at, batch_id) {values}"


def insert(new: Iterable[Sequence[Any]]) -> None:
    """Insert (id, type, body, created_at, batch) rows, with ids as numbers and the time as its column holds it."""
    change_many(_INSERT, ((id, type, bytearray(body), *rest) for id, type, body, *rest in new))


class Event(models.Model):
    id = PublicId("evt")
    type = models.CharField(max_length=100)
    body = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now)
    batch = models.ForeignKey("Batch", models.SET_NULL, null=True, db_index=False, related_name="events")

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @classmethod
    def accept(
        cls,
        type: str,
        body: bytes,
        *,
        event_id: str | None = None,
        created_at: datetime | None = None,
        endpoints: Sequence[Endpoint],
        trigger: str,
    ) -> "tuple[Event, list[Delivery]]":
        """Event, deliveries and seq in one transaction; on commit the engine wakes and the doorbell rings."""
        with writing():
            event = cls(type=type, body=body, created_at=created_at or timezone.now())
            if event_id:
                event.pk = event_id
            insert([(ids.decode("evt", event.pk), type, body, written(event.created_at), None)])
            stored(event)
            deliveries = event.fan_out(endpoints, trigger)
        return event, deliveries

    def fan_out(self, endpoints: Sequence[Endpoint], trigger: str) -> list[Delivery]:
        """One delivery for each endpoint, due now (held while the endpoint is paused)."""
        if not endpoints:
            return []
        deliveries = [Delivery.new(self, endpoint, trigger=trigger) for endpoint in endpoints]
        claimed = shortcut.claim(deliveries) if deliveries[0].lane == CLICK else {}
        seqs = iter(feed.take(len(deliveries) + len(claimed)))
        for one in deliveries:
            one.seq = next(seqs)
        delivery.insert(
            one.row(next(seqs), *claimed[one]) if one in claimed else one.row() for one in deliveries
        )
        stored(*deliveries)
        feed.announce(due=len(claimed) < len(deliveries))
        return deliveries


def stored(*rows: models.Model) -> None:
    """Tell Django that these are in the database although it did not insert them."""
    for row in rows:
        row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS
