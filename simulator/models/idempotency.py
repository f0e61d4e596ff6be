"""The answer to a POST with an Idempotency-Key, kept so that a repeat gets the same one."""

from datetime import timedelta

from django.db import models
from django.utils import timezone

from ..rows import change, query, written

_ANSWER = "SELECT answer FROM simulator_idempotencykey WHERE key = %s AND path = %s"
_FORGET = "DELETE FROM simulator_idempotencykey WHERE created_at < %s"
_KEEP = """
INSERT INTO simulator_idempotencykey (key, path, sha256, status_code, answer, created_at)
VALUES (%s, %s, %s, %s, %s, %s)"""

KEPT = timedelta(hours=24)


class IdempotencyKey(models.Model):
    """`sha256` is of the request's body; the answer is stored as it was sent."""

    key = models.CharField(max_length=200)
    path = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    status_code = models.PositiveSmallIntegerField()
    answer = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "path"], name="one_answer_a_key")]

    @classmethod
    def answer_to(cls, token: str, path: str) -> str | None:
        """What a console form made when it first came. Inside `writing()`, like `keep`; without the ORM, for speed."""
        found = query(_ANSWER, [token, path])
        return found[0][0] if found else None

    @classmethod
    def keep(cls, key: str, path: str, answer: str, *, sha256: str = "", status_code: int = 200) -> None:
        cls.forget_old()
        change(_KEEP, [key, path, sha256, status_code, answer, written(timezone.now())])

    @classmethod
    def forget_old(cls) -> None:
        """Delete those too old to be repeated. Called whenever one is kept, or they would stay for ever."""
        change(_FORGET, [written(timezone.now() - KEPT)])
