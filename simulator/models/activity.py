"""Who did what when: changes of configuration, manual actions, starts and stops."""

from django.db import models
from django.utils import timezone

from .. import ids
from ..ids import PublicId
from ..rows import change, written

_INSERT = """
INSERT INTO simulator_activity (id, created_at, actor, action, subject, detail) VALUES (%s, %s, %s, %s, %s, %s)"""


class Activity(models.Model):
    """One entry: `actor` (console, api, cli, engine) did `action` to `subject` (a public id, or empty)."""

    id = PublicId("act")
    created_at = models.DateTimeField(auto_now_add=True)
    actor = models.CharField(max_length=20)
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=40, blank=True)
    detail = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(fields=["subject", "-id"], name="activity_subject")]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.subject}".strip()

    @classmethod
    def note(cls, actor: str, action: str, subject: str = "", detail: str = "") -> None:
        """Write an entry, in the transaction of what it reports. Never put a secret into `detail`.

        Without the ORM, since a click waits for it.
        """
        now = written(timezone.now())
        change(_INSERT, [ids.new(), now, actor, action, subject, detail])
