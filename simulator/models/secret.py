"""A signing key of an endpoint, and until when it signs."""

from datetime import datetime

from django.db import models

from ..ids import PublicId
from .endpoint import Endpoint


class Secret(models.Model):
    """`expires_at` is null for the current one, and the end of the overlap for those it replaced."""

    id = PublicId("sec")
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="secrets")
    value = models.CharField(max_length=20_000)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return masked(self.value)

    def signs_at(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at


def masked(value: str) -> str:
    """`whsec_…ab12`: enough to recognise a secret, not enough to use it."""
    return f"whsec_…{value[-4:]}" if len(value) >= 16 else "whsec_…"
