"""The one row that counts every visible change of a delivery."""

from django.db import models


class Seq(models.Model):
    """`n` is the last seq given out; only simulator.feed touches it."""

    n = models.BigIntegerField(default=0)
