"""One event to one endpoint. The rows are the queue: every one that is not finished has a `due_at`."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Concat
from django.utils import timezone

from .. import feed, ids, searchable
from ..ids import PublicId
from ..rows import change_many, written
from ..transaction import writing
from .endpoint import Endpoint

if TYPE_CHECKING:
    from .attempt import Attempt
    from .event import Event

PENDING, SENDING, SUCCEEDED, FAILED, CANCELLED = "pending", "sending", "succeeded", "failed", "cancelled"
FINISHED = (SUCCEEDED, FAILED, CANCELLED)
CLICK, NORMAL, BATCH = 0, 1, 2  # lanes: what a person waits for, single events and retries, bulk
# The due_at of a delivery whose endpoint is paused. With the microsecond, all code writes it in the same format.
HELD = datetime(9999, 1, 1, microsecond=1, tzinfo=UTC)
UNFINISHED, ENDED = Q(due_at__isnull=False), Q(due_at__isnull=True)
LANES = {"test": CLICK, "resend": CLICK, "cli": CLICK}
State = tuple[str, str | None, int]  # status, due_at, attempt_count, as columns hold them


_INSERT = """
INSERT INTO simulator_delivery (id, seq, event_id, endpoint_id, type, created_at, trigger, lane, status, due_at,
                                attempt_count, manual, cancelling, indexed, failed_count)
SELECT v.*, FALSE, FALSE, FALSE, 0 FROM ({values}) AS v"""


def insert(new: Iterable[Sequence[Any]]) -> None:
    """Insert (id, seq, event, endpoint, type, created_at, trigger, lane, status, due_at, attempt_count) rows, with ids
    as numbers and times as columns hold them: models would be too slow for clicks and batches."""
    change_many(_INSERT, new)


class NotNow(Exception):
    """The delivery's state does not allow this; the text says why and what to do instead."""


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def since(self, seq: int) -> "DeliveryQuerySet":
        """What changed after `seq`, oldest change first."""
        return self.filter(seq__gt=seq).order_by("seq")

    def rows(self) -> "DeliveryQuerySet":
        """With what a row shows, in one query: no bodies and no settings of endpoints."""
        return self.select_related("event", "endpoint").only(*_SHOWN)

    def unfinished(self) -> "DeliveryQuerySet":
        """For those of one endpoint. The lanes are all there are: with them, the index `due` is used and its history
        is not read."""
        return self.filter(UNFINISHED, lane__in=(CLICK, NORMAL, BATCH))

    def hold(self) -> None:
        """Their endpoint was paused: nothing waiting is due until it is resumed."""
        self.unfinished().filter(status=PENDING)._restamp(due_at=HELD)

    def let_go(self, now: datetime) -> None:
        self.unfinished().filter(status=PENDING, due_at=HELD)._restamp(due_at=now)

    def cancel_all(self) -> None:
        """No further attempt for any of them; those in flight end and are recorded."""
        self.unfinished().filter(status=SENDING).update(cancelling=True)
        self.unfinished().filter(status=PENDING)._restamp(
            status=CANCELLED, due_at=None, resume_at=None, finished_at=timezone.now()
        )

    def _restamp(self, **changes: object) -> None:
        """Change all of them in one UPDATE and give each its seq. Inside a transaction."""
        feed.stamp(self.values_list("pk", flat=True))
        self.update(**changes)


class Delivery(models.Model):
    """`failed_count` counts failed automatic attempts: only they use up the timetable.

    `manual` marks an attempt that a person asked for; if it fails, the delivery goes back to `resume_at`, where
    the timetable stood (null: it had ended). `cancelling` says that the attempt in flight is the last one.
    `type` and the last_… columns repeat the event and the last finished attempt, so that a row of the list and
    its filters need no join; `ending` is status, last_status_code and last_error in one text, for the indexes.
    `indexed` says that the full-text index holds it.
    """

    id = PublicId("dlv")
    seq = models.BigIntegerField(unique=True)
    event = models.ForeignKey("Event", models.CASCADE, related_name="deliveries")
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="deliveries", db_index=False)
    type = models.CharField(max_length=100)
    status = models.CharField(max_length=10, default=PENDING)
    trigger = models.CharField(max_length=10)
    lane = models.PositiveSmallIntegerField(default=NORMAL)
    due_at = models.DateTimeField(null=True)
    resume_at = models.DateTimeField(null=True)
    manual = models.BooleanField(default=False)
    cancelling = models.BooleanField(default=False)
    attempt_count = models.PositiveIntegerField(default=0)
    failed_count = models.PositiveIntegerField(default=0)
    indexed = models.BooleanField(default=False)
    last_number = models.PositiveIntegerField(null=True)
    last_status_code = models.PositiveIntegerField(null=True)
    last_error = models.CharField(max_length=24, null=True)
    last_duration_ms = models.FloatField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    ending = models.GeneratedField(
        expression=Concat("status", Value(" "), "last_status_code", Value(" "), "last_error"),
        output_field=models.TextField(),
        db_persist=False,
    )

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        # Each slows the hot path; partial ones do so least. Only finished rows are indexed by their ending: until then
        # it changes twice more. See simulator/endings.py.
        indexes = [
            models.Index(fields=["lane", "endpoint", "due_at"], name="due", condition=UNFINISHED),
            models.Index(fields=["due_at"], name="next_due", condition=UNFINISHED),
            models.Index(
                fields=["id", "endpoint", "type", "last_status_code", "last_error"],
                name="unfinished",
                condition=UNFINISHED,
            ),
            models.Index(fields=["id"], name="to_index", condition=ENDED & Q(indexed=False)),
            models.Index(fields=["endpoint", "id"], name="by_endpoint"),
            models.Index(fields=["type", "id"], name="by_type"),
            models.Index(fields=["ending", "type", "id"], name="by_ending", condition=ENDED),
            models.Index(
                fields=["endpoint", "ending", "type", "id"], name="by_endpoint_ending", condition=ENDED
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk} {self.status}"

    @classmethod
    def new(cls, event: "Event", endpoint: Endpoint, *, trigger: str) -> "Delivery":
        """Not saved yet, and without a seq. Due now, or held if the endpoint is paused."""
        now = timezone.now()
        return cls(
            event=event,
            endpoint=endpoint,
            type=event.type,
            trigger=trigger,
            lane=LANES.get(trigger, NORMAL),
            due_at=HELD if endpoint.paused else now,
            created_at=now,
        )

    def row(self, *state: Any) -> Sequence[Any]:
        """As `insert` takes it. `state` is (seq, *State) of one inserted as claimed, while this object is pending."""
        seq, *state_now = state or (self.seq, self.status, written(self.due_at), self.attempt_count)
        belongs = (ids.decode("evt", self.event_id), ids.decode("ep", self.endpoint_id), self.type)
        born = (written(self.created_at), self.trigger, self.lane)
        return (ids.decode("dlv", self.pk), seq, *belongs, *born, *state_now)

    @property
    def finished(self) -> bool:
        return self.status in FINISHED

    @property
    def held(self) -> bool:
        """Waiting for its endpoint to be resumed."""
        return self.due_at == HELD

    @property
    def next_attempt_at(self) -> datetime | None:
        """When the next attempt is due; None if there is none or the endpoint is paused."""
        return self.due_at if self.status == PENDING and not self.held else None

    def with_attempts(self, *unneeded: str) -> "Sequence[Attempt]":
        """Its attempts by number, without the `unneeded` columns; this object is refreshed to the same moment.

        Row and attempts are two queries, and a result may be committed between them. Each such commit gives the
        row a higher seq, so the attempts bring along the seq they belong to.
        """
        while True:
            found = self.attempts.annotate(then=F("delivery__seq")).defer(*unneeded).order_by("number")
            attempts = list(found)
            if all(attempt.then == self.seq for attempt in attempts):
                return attempts
            self.refresh_from_db()

    def retry(self) -> None:
        """Make an attempt now, whatever the timetable says; if it fails, the timetable goes on as before."""
        with writing():
            self.refresh_from_db()
            self._check_retry()
            searchable.forget(ids.decode("dlv", self.pk) or 0)
            self.indexed = False
            due_at = None if self.status != PENDING else self.resume_at if self.manual else self.due_at
            self._change(
                status=PENDING,
                due_at=timezone.now(),
                resume_at=due_at,
                manual=True,
                lane=CLICK,
                finished_at=None,
            )

    def cancel(self) -> None:
        """No further attempt; one in flight ends and is recorded."""
        with writing():
            self.refresh_from_db()
            if self.finished:
                raise NotNow(
                    f"This delivery has already {_ENDED[self.status]}; there is nothing left to cancel."
                )
            if self.status == SENDING:
                self._change(cancelling=True)
            else:
                self._change(status=CANCELLED, due_at=None, resume_at=None, finished_at=timezone.now())

    def resend(self, raw_body: bytes | None = None) -> "Delivery":
        """A new delivery to the same endpoint: the same event, or a new one when the body was edited."""
        from .event import Event

        with writing():
            self.refresh_from_db()
            if self.endpoint.deleted_at:
                raise NotNow("Its endpoint was deleted. Register it again and send a new event.")
            if raw_body is None or raw_body == bytes(self.event.body):
                return self.event.fan_out([self.endpoint], "resend")[0]
            return Event.accept(self.type, raw_body, endpoints=[self.endpoint], trigger="resend")[1][0]

    def _check_retry(self) -> None:
        if self.endpoint.deleted_at:
            raise NotNow("Its endpoint was deleted. Register it again and send a new event.")
        if self.status == SUCCEEDED:
            raise NotNow("This delivery has succeeded. Use resend to send the event once more.")
        if self.status == SENDING:
            raise NotNow("An attempt is in flight. Wait for it to end.")
        if self.endpoint.paused:
            then = "then what it holds is sent" if self.held else "then this one can be retried"
            raise NotNow(f"Its endpoint is paused. Resume the endpoint: {then}.")

    def _change(self, **fields: object) -> None:
        for name, value in fields.items():
            setattr(self, name, value)
        self.seq = feed.take()[0]
        self.save(update_fields=[*fields, "seq"])
        feed.announce(due=True)


_SHOWN = [field.name for field in Delivery._meta.concrete_fields if field.name not in ("indexed", "ending")]
_SHOWN += ["event__type", "event__created_at", "endpoint__url"]
_ENDED = {SUCCEEDED: "succeeded", FAILED: "failed", CANCELLED: "been cancelled"}
