"""What was answered to a POST with an Idempotency-Key, so that its repeat gets the same answer."""

from django.db import models


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
