"""How far a batch has come, as the send panel and the socket show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.template.loader import render_to_string
from django.utils import timezone

from simulator.models import Batch, Endpoint

RECENT = timedelta(days=1)  # an older one is not shown: nobody is waiting for it any more


@dataclass(frozen=True, slots=True)
class Standing:
    """`others` counts the other running batches; `held_by` are the paused endpoints that it waits for."""

    id: str
    type: str
    count: int
    sent: int
    status: str
    others: int = 0
    held_by: Sequence[Endpoint] = ()


def at_hand() -> Standing | None:
    """The oldest running batch that is not held, else the oldest held one; if none runs, how the newest ended."""
    if running := Batch.running():
        for batch in running:
            if not (held_by := batch.held_by()):
                break
        else:
            batch, held_by = running[0], running[0].held_by()
        return _standing(batch, "running", held_by, len(running) - 1)
    newest = Batch.objects.order_by("-pk").first()
    return standing(newest) if newest and newest.created_at > timezone.now() - RECENT else None


def standing(batch: Batch) -> Standing:
    status = batch.status
    return _standing(batch, status, batch.held_by() if status == "running" else ())


def _standing(batch: Batch, status: str, held_by: Sequence[Endpoint], others: int = 0) -> Standing:
    """Counts after the status was read, so that a batch called finished has its final count."""
    return Standing(batch.pk, batch.type, batch.count, batch.sent, status, others, held_by)


def render() -> str:
    return render_to_string("send/_batch.html", {"batch": at_hand()})
