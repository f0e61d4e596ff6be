"""How far a batch has come, as the send panel and the socket say it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.template.loader import render_to_string
from django.utils import timezone

from simulator.models import Batch, Endpoint

RECENT = timedelta(days=1)  # an older one is history: the line is for who waits for it


@dataclass(frozen=True, slots=True)
class Standing:
    """`status` is the batch's; `others` counts the other ones that run; `held_by` are endpoints."""

    id: str
    type: str
    count: int
    sent: int
    status: str
    others: int = 0
    held_by: Sequence[Endpoint] = ()


def at_hand() -> Standing | None:
    """The oldest that runs and is not held, else the oldest that is; when none runs, how the newest one ended."""
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
    """Counted after the status is known, so that what is called finished is counted to its end."""
    return Standing(batch.pk, batch.type, batch.count, batch.sent, status, others, held_by)


def render() -> str:
    return render_to_string("send/_batch.html", {"batch": at_hand()})
