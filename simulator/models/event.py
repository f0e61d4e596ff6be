"""What happened. Owns the bytes, made once and sent unchanged on every attempt."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from django.db import models
from django.utils import timezone

from .. import feed
from ..ids import PublicId
from ..transaction import writing
from .delivery import Delivery
from .endpoint import Endpoint


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
            event.save(force_insert=True)
            deliveries = event.fan_out(endpoints, trigger)
        return event, deliveries

    def fan_out(self, endpoints: Sequence[Endpoint], trigger: str) -> list[Delivery]:
        """One delivery for each endpoint, due now (held while the endpoint is paused)."""
        if not endpoints:
            return []
        deliveries = [
            Delivery.new(self, endpoint, trigger=trigger, seq=seq)
            for endpoint, seq in zip(endpoints, feed.take(len(endpoints)), strict=True)
        ]
        Delivery.objects.bulk_create(deliveries)
        feed.announce(due=True)
        return deliveries
