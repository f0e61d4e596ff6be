"""Many events of one type, asked for at once and made as fast as they can be delivered."""

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from .. import feed, ids
from ..ids import PublicId
from ..rows import query
from ..transaction import writing
from .activity import Activity
from .delivery import BATCH, HELD, Delivery, DeliveryQuerySet
from .endpoint import PAUSED, Endpoint, audience

# In one statement, so that the number never goes backwards while events are made and sent. A delivery that was cancelled
# before its first attempt ended with neither status code nor error.
_SENT = f"""
SELECT made - (
    SELECT count(DISTINCT d.event_id) FROM simulator_delivery d JOIN simulator_event e ON e.id = d.event_id
    WHERE e.batch_id = b.id AND (
        d.lane = {BATCH} AND d.due_at IS NOT NULL
        OR d.due_at IS NULL AND d.ending = 'cancelled  ' AND d.type = b.type AND d.id > b.id
           AND d.attempt_count = 0))
FROM simulator_batch b WHERE b.id = %s"""


# SQL, because page and socket ask this all the time: the ORM takes ten times as long to build the query.
_ANY_PAUSED = f"SELECT 1 FROM simulator_endpoint WHERE status = '{PAUSED}' AND deleted_at IS NULL LIMIT 1"
_RUNNING = f"""
SELECT * FROM simulator_batch b WHERE stopped_at IS NULL AND (made < count OR id IN (
    SELECT e.batch_id FROM simulator_delivery d JOIN simulator_event e ON e.id = d.event_id
    WHERE d.lane = {BATCH} AND d.due_at IS NOT NULL AND e.batch_id IS NOT NULL))
ORDER BY id"""


class Batch(models.Model):
    """The promise behind a 202: `count` events, of which `made` exist. The engine makes the rest, even after a kill.

    `endpoints` are the chosen ids, or null for everyone who subscribes.
    """

    id = PublicId("bat")
    type = models.CharField(max_length=100)
    count = models.PositiveIntegerField()
    made = models.PositiveIntegerField(default=0)
    endpoints: Any = models.JSONField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    stopped_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["id"], name="open_batches", condition=Q(made__lt=F("count"), stopped_at=None)
            )
        ]

    def __str__(self) -> str:
        return f"{self.made} of {self.count} {self.type}"

    @classmethod
    def start(
        cls, type: str, count: int, endpoints: Sequence[str] | None = None, *, actor: str = "api"
    ) -> "Batch":
        """Accept a batch. Type and endpoints are already validated."""
        with writing():
            batch = cls.objects.create(type=type, count=count, endpoints=endpoints and list(endpoints))
            Activity.note(actor, "started batch", batch.pk, f"{count} × {type}")
            feed.announce(due=True)
        return batch

    @classmethod
    def running(cls) -> "list[Batch]":
        """Oldest first. Their events are made in turn, as far as an endpoint has room."""
        return list(cls.objects.raw(_RUNNING))

    @property
    def status(self) -> str:
        """`running`, `stopped`, or `finished` when every event is made and none of them waits for its first attempt."""
        if self.stopped_at:
            return "stopped"
        return "running" if self.made < self.count or self.waiting else "finished"

    @property
    def waiting(self) -> int:
        """How many of its deliveries wait for their first attempt or are in it."""
        return self._unfinished().count()

    @property
    def sent(self) -> int:
        """How many of its events have had their first attempt at all their endpoints."""
        number = ids.decode("bat", self.pk)
        return int(query(_SENT, [number])[0][0])

    def audience(self) -> tuple[list[Endpoint], list[tuple[Endpoint, str]]]:
        """Who would get it now, and who would not and why; chosen endpoints that were deleted are left out."""
        chosen = self.endpoints
        if chosen is not None:
            there = set(Endpoint.objects.alive().filter(pk__in=chosen).values_list("pk", flat=True))
            chosen = [pk for pk in chosen if pk in there]
        return audience(self.type, chosen)

    def held_by(self) -> list[Endpoint]:
        """The paused endpoints that all of the rest waits for; none while any of it is still being sent."""
        if not query(_ANY_PAUSED) or self._unfinished().filter(due_at__lt=HELD).exists():
            return []
        getting, skipped = self.audience()
        if getting and self.made < self.count:
            return []
        return [endpoint for endpoint, why in skipped if why == "paused"]

    def stop(self, *, actor: str = "api", why: str = "") -> None:
        """Make no more events, and cancel the deliveries that wait for their first attempt."""
        with writing():
            self.refresh_from_db()
            self.stopped_at = timezone.now()
            self.save(update_fields=["stopped_at"])
            self._unfinished().cancel_all()
            feed.announce()  # even if there was nothing to cancel
            Activity.note(actor, "stopped batch", self.pk, why or f"after {self.made} of {self.count}")

    def _unfinished(self) -> DeliveryQuerySet:
        return Delivery.objects.filter(lane=BATCH, due_at__isnull=False, event__batch=self)
