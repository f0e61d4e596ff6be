"""`/deliveries`: one event to one endpoint, and what was tried."""

from typing import Any, Literal

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from ninja import Router
from ninja.params.models import Query

from .. import search
from ..models import Activity, Delivery
from ..transaction import writing
from .delivery_schemas import DeliveryOut, DeliveryWithAttempts, Status
from .errors import found
from .export import exported
from .once import once
from .paging import CURSOR, LIMIT, Cursor, Limit, page
from .schemas import CHANGES, CREATES, In, Page, Time, optional, refused
from .shapes import Json, answer, delivery_answer, delivery_json

router = Router(tags=["deliveries"])


def _text(description: str) -> Any:
    return Query(None, min_length=1, max_length=search.MAX_TEXT, description=description)


TYPE = _text("Event type.")
ENDPOINT: Any = Query(None, pattern="^ep_[0-9A-Za-z]{11}$")
CODE = _text("404, 5xx, or a failure code.")
Q = _text("Text in the first 524,288 characters of bodies and headers.")
SINCE = _text("ISO 8601, inclusive.")
UNTIL = _text("ISO 8601, inclusive.")


class ResendIn(In):
    raw_body: str = optional(description="An edited body: it becomes a new event.")


def _shaped(deliveries: list[Delivery]) -> list[Json]:
    return [delivery_json(each) for each in deliveries]


@router.get("", response={200: Page[DeliveryOut], **refused()}, operation_id="listDeliveries", summary="List")
def index(
    request: HttpRequest,
    limit: Limit = LIMIT,
    cursor: Cursor = CURSOR,
    status: Status | None = None,
    type: str | None = TYPE,
    endpoint: str | None = ENDPOINT,
    code: str | None = CODE,
    q: str | None = Q,
    since: Time | None = SINCE,
    until: Time | None = UNTIL,
) -> HttpResponse:
    """Newest first; a delivery must match every filter."""
    filters = search.parsed(request.GET.dict())
    rows = search.matching(filters).rows()

    def find(rows: QuerySet[Delivery], cursor: str | None, count: int) -> list[Delivery]:
        return search.newest(rows, filters, cursor, count)

    return answer(page(rows, limit, cursor, _shaped, find=find))


@router.get(
    "/{id}",
    response={200: DeliveryWithAttempts, **refused(404)},
    operation_id="getDelivery",
    summary="Get a delivery with its attempts",
)
def show(request: HttpRequest, id: str) -> HttpResponseBase:
    return delivery_answer(_found(id))


@router.post(
    "/{id}/retry",
    response={202: DeliveryOut, **refused(404, 409, *CHANGES)},
    operation_id="retryDelivery",
    summary="Attempt now",
    openapi_extra=CREATES,
)
@once
def retry(request: HttpRequest, id: str) -> HttpResponse:
    """Whatever the timetable says; if it fails, the timetable stays as it was."""
    delivery = _found(id)
    with writing():
        delivery.retry()
        Activity.note("api", "retried delivery", delivery.pk)
    return answer(delivery_json(delivery), 202)


@router.post(
    "/{id}/cancel",
    response={200: DeliveryOut, **refused(404, 409, *CHANGES)},
    operation_id="cancelDelivery",
    summary="Cancel further attempts",
)
def cancel(request: HttpRequest, id: str) -> HttpResponse:
    """An attempt in flight still ends and is recorded."""
    delivery = _found(id)
    with writing():
        delivery.cancel()
        Activity.note("api", "cancelled delivery", delivery.pk)
    return answer(delivery_json(delivery))


@router.post(
    "/{id}/resend",
    response={202: DeliveryOut, **refused(404, 409, *CHANGES)},
    operation_id="resendDelivery",
    summary="Send once more, as a new delivery",
    openapi_extra=CREATES,
)
@once
def resend(request: HttpRequest, id: str, body: ResendIn = ResendIn()) -> HttpResponse:  # noqa: B008
    """Sends the same event, or a new one if `raw_body` differs."""
    delivery = _found(id)
    edited = None if body.raw_body is None else body.raw_body.encode()
    with writing():
        again = delivery.resend(edited)
        Activity.note("api", "resent delivery", delivery.pk, again.pk)
    return answer(delivery_json(again), 202)


@router.get(
    "/{id}/export",
    response={200: None, **refused(404)},  # described below, text first: generators of clients read the first
    operation_id="exportDelivery",
    summary="Export as a curl command, HAR or JSON",
    openapi_extra={
        "responses": {
            200: {
                "content": {
                    "text/plain": {"schema": {"type": "string"}},
                    "application/json": {"schema": {"type": "object"}},
                }
            }
        }
    },
)
def export(request: HttpRequest, id: str, format: Literal["curl", "har", "json"]) -> HttpResponseBase:
    return exported(_found(id), format)


def _found(id: str) -> Delivery:
    return found(Delivery.objects.select_related("event", "endpoint").filter(pk=id), "delivery")
