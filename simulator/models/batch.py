"""Many events of one type, asked for at once and made as fast as they can be delivered."""

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from .. import feed
from ..ids import PublicId
from ..transaction import writing
from .activity import Activity
from .delivery import BATCH, Delivery


class Batch(models.Model):
    """The promise behind a 202: `count` events, of which `made` exist. The engine makes the rest, also after a kill.

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

    @property
    def status(self) -> str:
        """`running`, `stopped`, or `finished` when every event is made and none of them waits for its first attempt."""
        if self.stopped_at:
            return "stopped"
        return "running" if self.made < self.count or self.waiting else "finished"

    @property
    def waiting(self) -> int:
        """How many deliveries of it wait for, or are in, their first attempt."""
        waiting: int = self._unfinished().count()
        return waiting

    def stop(self, *, actor: str = "api", why: str = "") -> None:
        """Make no more events, and cancel the deliveries that wait for their first attempt."""
        with writing():
            self.refresh_from_db()
            self.stopped_at = timezone.now()
            self.save(update_fields=["stopped_at"])
            self._unfinished().cancel_all()
            Activity.note(actor, "stopped batch", self.pk, why or f"after {self.made} of {self.count}")

    def _unfinished(self) -> Any:
        return Delivery.objects.filter(lane=BATCH, due_at__isnull=False, event__batch=self)
