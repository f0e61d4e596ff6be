"""One request: what was sent, what came back, and what went wrong. Two facts, kept apart."""

from django.db import models

from ..ids import PublicId
from .delivery import Delivery

SENDING, SUCCEEDED, FAILED, INTERRUPTED = "sending", "succeeded", "failed", "interrupted"
AUTOMATIC, MANUAL, RECOVERY = "automatic", "manual", "recovery"
PHASES = ("dns", "connect", "tls", "send", "wait", "receive")


class Attempt(models.Model):
    """Written before the first byte leaves; what came back is filled in by the engine's ledger.

    The request body is the event's, so it is not stored again. Durations are in ms. `response_headers` is a list
    of [name, value] in the receiver's order and case; `response_size` counts the body bytes that came,
    `declared_size` is its Content-Length. `late_…` is an answer that came after the deadline.
    """

    id = PublicId("att")
    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="attempts", db_index=False)
    number = models.PositiveIntegerField()
    trigger = models.CharField(max_length=10, default=AUTOMATIC)
    status = models.CharField(max_length=12, default=SENDING)
    started_at = models.DateTimeField()
    duration_ms = models.FloatField(null=True)
    phases = models.JSONField(default=dict)
    remote_address = models.CharField(max_length=64, null=True)
    repeated = models.BooleanField(default=False)

    url = models.TextField()
    request_headers = models.JSONField()

    status_code = models.PositiveIntegerField(null=True)
    reason = models.TextField(null=True)
    response_headers = models.JSONField(null=True)
    headers_dropped = models.PositiveIntegerField(default=0)
    response_body = models.BinaryField(null=True)
    response_size = models.BigIntegerField(null=True)
    declared_size = models.BigIntegerField(null=True)
    truncated = models.BooleanField(default=False)

    error = models.CharField(max_length=24, null=True)
    error_message = models.TextField(null=True)
    error_phase = models.CharField(max_length=10, null=True)
    retry_after_asked = models.FloatField(null=True)
    retry_after_used = models.FloatField(null=True)
    late_status_code = models.PositiveIntegerField(null=True)
    late_ms = models.FloatField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="one_attempt_a_number")]

    def __str__(self) -> str:
        return f"attempt {self.number} {self.status}"

    @property
    def last(self) -> bool:
        """Its delivery ended with it."""
        return self.delivery.finished and self.number == self.delivery.attempt_count

    @property
    def answered(self) -> bool:
        """Something came back, even if only a part."""
        return self.status_code is not None or bool(self.response_body)
