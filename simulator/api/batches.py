"""`/events/batch`: many events of one type at once, with progress and stop."""

from typing import Literal

from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import Field

from .. import sending
from ..models import Batch
from ..transaction import writing
from .errors import conflict, found
from .events import ENDPOINTS, TypeName
from .once import once
from .schemas import CHANGES, CREATES, In, Out, Time, Whole, refused
from .shapes import Json, answer, iso

router = Router(tags=["events"])

MOST = 100_000


class BatchIn(In):
    type: TypeName
    count: Whole = Field(ge=1, le=MOST, examples=[1000])
    endpoints: list[str] = ENDPOINTS


class BatchAccepted(Out):
    batch_id: str
    count: int


class BatchOut(BatchAccepted):
    type: str
    status: Literal["running", "finished", "stopped"]
    made: int = Field(description="Events made so far.")
    waiting: int = Field(description="Deliveries before or in their first attempt.")
    created: Time


@router.post(
    "",
    response={202: BatchAccepted, **refused(409, *CHANGES)},
    operation_id="sendBatch",
    summary="Send many events",
    openapi_extra=CREATES,
)
@once
def create(request: HttpRequest, body: BatchIn) -> HttpResponse:
    """Each is its own event with a fresh sample. They are made as fast as they can be delivered."""
    batch = sending.send_batch(body.type, body.count, body.endpoints)
    return answer({"batch_id": batch.pk, "count": batch.count}, 202)


@router.get(
    "/{id}",
    response={200: BatchOut, **refused(404)},
    operation_id="getBatch",
    summary="Get the progress of a batch",
)
def show(request: HttpRequest, id: str) -> HttpResponse:
    return answer(_json(found(Batch.objects.filter(pk=id), "batch")))


@router.post(
    "/{id}/stop",
    response={200: BatchOut, **refused(404, 409, *CHANGES)},
    operation_id="stopBatch",
    summary="Stop a batch",
)
def stop(request: HttpRequest, id: str) -> HttpResponse:
    """Makes no more events, and cancels deliveries that wait for their first attempt."""
    with writing():
        batch = found(Batch.objects.filter(pk=id), "batch")
        if batch.status != "running":
            raise conflict(f"This batch is {batch.status}; there is nothing left to stop.", "not_running")
        batch.stop()
    return answer(_json(batch))


def _json(batch: Batch) -> Json:
    return {
        "batch_id": batch.pk,
        "count": batch.count,
        "type": batch.type,
        "status": batch.status,
        "made": batch.made,
        "waiting": batch.waiting,
        "created": iso(batch.created_at),
    }
