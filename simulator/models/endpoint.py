"""Where deliveries go, with which keys, limits and timetable."""

import json
from datetime import datetime, timedelta
from typing import Any

from django.db import DEFAULT_DB_ALIAS, models
from django.utils import timezone

from .. import feed, ids, signing
from ..ids import PublicId
from ..rows import query
from ..transaction import writing
from .activity import Activity

ENABLED, PAUSED = "enabled", "paused"
DELAYS = (2, 4, 8, 16, 32)
_TO_SEND_TO = """
SELECT url, events, description, status, revision FROM simulator_endpoint WHERE id = %s AND deleted_at IS NULL"""


def default_delays() -> list[float]:
    return list(DELAYS)


def default_signature() -> dict[str, str | None]:
    return signing.as_dict(signing.DEFAULT)


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    def listed(self) -> "EndpointQuerySet":
        """What a person registered: not deleted, and not made ad hoc for a `send --to`."""
        return self.filter(deleted_at=None).exclude(origin=Endpoint.ADHOC)

    def alive(self) -> "EndpointQuerySet":
        return self.filter(deleted_at=None)

    def named(self) -> "EndpointQuerySet":
        """Only name, origin, subscriptions and status, which takes half the time."""
        return self.only("url", "events", "description", "status", "origin", "revision")


class Endpoint(models.Model):
    """An endpoint. Deleting one keeps the row for its history (`deleted_at`)."""

    REGISTERED, BUILTIN, ADHOC = "registered", "builtin", "adhoc"

    id = PublicId("ep")
    url = models.TextField()
    events = models.JSONField(default=list)
    description = models.TextField(blank=True)
    status = models.CharField(max_length=10, default=ENABLED)
    timeout = models.FloatField(default=15)
    retry_delays = models.JSONField(default=default_delays)
    headers = models.JSONField(default=dict)
    signature = models.JSONField(default=default_signature)
    extras = models.BooleanField(default=True)
    max_in_flight = models.PositiveIntegerField(default=10)
    tls_verify = models.BooleanField(default=True)
    origin = models.CharField(max_length=10, default=REGISTERED)
    revision = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    deleted_at = models.DateTimeField(null=True)

    objects = EndpointQuerySet.as_manager()

    def __str__(self) -> str:
        return self.description or self.url

    @classmethod
    def to_send_to(cls, pk: str) -> "Endpoint":
        """What a click needs of an endpoint, without the slow ORM. Raises DoesNotExist, also for a deleted one."""
        found = query(_TO_SEND_TO, [ids.decode("ep", pk)])
        if not found:
            raise cls.DoesNotExist(pk)
        url, events, *others = found[0]
        # In the order of the model's fields, as from_db expects.
        names = ["id", "url", "events", "description", "status", "revision"]
        return cls.from_db(DEFAULT_DB_ALIAS, names, [pk, url, json.loads(events), *others])

    @property
    def profile(self) -> signing.Profile:
        return signing.profile_from(self.signature)

    @property
    def paused(self) -> bool:
        return self.status == PAUSED

    def subscribes_to(self, type: str) -> bool:
        return "*" in self.events or type in self.events

    def valid_secrets(self, now: datetime | None = None) -> list[str]:
        """The secrets that sign now, newest first; two during the overlap of a rotation."""
        now = now or timezone.now()
        return [secret.value for secret in self.secrets.order_by("-id") if secret.signs_at(now)]

    def current_secret(self) -> str:
        return self.secrets.get(expires_at=None).value

    @classmethod
    def register(cls, *, secret: str | None = None, actor: str = "api", **fields: Any) -> "Endpoint":
        """Create an endpoint with its first secret. Fields are already validated."""
        with writing():
            endpoint = cls.objects.create(**fields)
            endpoint._give_secret(secret or signing.new_secret(endpoint.profile))
            if endpoint.origin == cls.REGISTERED:
                Activity.note(actor, "registered endpoint", endpoint.pk)
            feed.announce()
        return endpoint

    def change(self, *, actor: str = "api", why: str = "", **fields: Any) -> None:
        """Set fields; pausing holds its deliveries, resuming makes them due. `why` goes into the activity.

        Raises DoesNotExist when it was deleted meanwhile.
        """
        with writing():
            self._renew()
            was_paused = self.paused
            for name, value in fields.items():
                setattr(self, name, value)
            if "url" in fields and self.origin == self.BUILTIN:
                self.origin = self.REGISTERED
            if "signature" in fields:
                self._respell_secrets()
            self._save_revision(*fields, "origin")
            if self.paused and not was_paused:
                self.deliveries.hold()
            elif was_paused and not self.paused:
                self.deliveries.let_go(timezone.now())
                feed.announce(due=True)
            if set(fields) == {"status"} and self.paused != was_paused:
                Activity.note(actor, "paused endpoint" if self.paused else "resumed endpoint", self.pk, why)
            else:
                names = sorted("retry" if name == "retry_delays" else name for name in fields)
                Activity.note(actor, "changed endpoint", self.pk, ", ".join(names))

    def pause(self, *, actor: str = "console", why: str = "") -> None:
        """Does nothing if already paused. Raises DoesNotExist, as do `resume`, `rotate_secret` and `remove`."""
        with writing():
            self._renew()
            if not self.paused:
                self.change(actor=actor, why=why, status=PAUSED)

    def resume(self, *, actor: str = "console") -> None:
        with writing():
            self._renew()
            if self.paused:
                self.change(actor=actor, status=ENABLED)

    def rotate_secret(self, *, overlap_seconds: int = 86_400, actor: str = "api") -> tuple[str, datetime]:
        """Make a new secret; the old one signs as well during the overlap. Returns (new secret, end of the overlap)."""
        now = timezone.now()
        end = now + timedelta(seconds=overlap_seconds)
        with writing():
            self._renew()
            self.secrets.filter(expires_at__gt=now).update(expires_at=now)  # at most two sign at once
            self.secrets.filter(expires_at=None).update(expires_at=end)
            value = self._give_secret(signing.new_secret(self.profile))
            self._save_revision()
            Activity.note(actor, "rotated secret", self.pk)
        return value, end

    def remove(self, *, actor: str = "api") -> None:
        """Delete: nothing further is sent, pending deliveries are cancelled, history stays."""
        with writing():
            self._renew()
            self.deleted_at = timezone.now()
            self._save_revision("deleted_at")
            self.deliveries.cancel_all()
            Activity.note(actor, "deleted endpoint", self.pk, self.url)

    def _give_secret(self, value: str) -> str:
        self.secrets.create(value=value, created_at=timezone.now())
        return value

    def _respell_secrets(self) -> None:
        """Store keys that receivers will decode in a form that decodes: they may have been made as plain text."""
        if self.profile.key == "utf8":
            return
        for secret in self.secrets.all():
            if secret.signs_at(timezone.now()):
                secret.value = signing.standard_spelling(secret.value)
                secret.save(update_fields=["value"])

    def _renew(self) -> None:
        """Inside `writing()`, before any decision: another thread may have changed it since it was read."""
        self.refresh_from_db(
            fields=["status", "origin", "signature", "max_in_flight", "revision", "deleted_at"]
        )
        if self.deleted_at:
            raise self.DoesNotExist(self.pk)

    def _save_revision(self, *fields: str) -> None:
        self.revision, self.updated_at = self.revision + 1, timezone.now()
        self.save(update_fields=[*fields, "revision", "updated_at"])
        feed.edited(ids.decode("ep", self.pk) or 0, self.revision, self.max_in_flight)
        feed.announce()


def edition() -> tuple[Any, ...]:
    """A value that differs after any change to any endpoint, and in another data folder."""
    return query("SELECT count(*), sum(revision), max(id) FROM simulator_endpoint")[0]


def audience(type: str, chosen: list[str] | None = None) -> tuple[list[Endpoint], list[tuple[Endpoint, str]]]:
    """Who gets an event of this type, and who does not and why (`paused`, `not_subscribed`).

    `chosen` are endpoint ids named by the sender: only these count, subscribed or not.
    Raises Endpoint.DoesNotExist, with the id, for one that does not exist.
    """
    getting, skipped = [], []
    asked = Endpoint.objects.listed() if chosen is None else Endpoint.objects.alive().filter(pk__in=chosen)
    known = {endpoint.pk: endpoint for endpoint in asked.named().order_by("id")}
    for pk in known if chosen is None else dict.fromkeys(chosen):
        if pk not in known:
            raise Endpoint.DoesNotExist(pk)
        endpoint = known[pk]
        if chosen is None and not endpoint.subscribes_to(type):
            skipped.append((endpoint, "not_subscribed"))
        elif endpoint.paused:
            skipped.append((endpoint, "paused"))
        else:
            getting.append(endpoint)
    return getting, skipped
