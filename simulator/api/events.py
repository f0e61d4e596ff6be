"""`/events`: what happened, with the bytes that were sent."""

from operator import attrgetter
from typing import Annotated, Any, Literal

from django.db.models import Count, OuterRef, Prefetch, QuerySet, Subquery
from django.db.models.functions import Coalesce, Length
from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import Field

from .. import sending
from ..models import Delivery, Event
from .delivery_schemas import DeliveryOut
from .errors import found
from .once import once
from .paging import CURSOR, LIMIT, Cursor, Limit, page
from .schemas import CHANGES, CREATES, In, Out, Page, Time, optional, refused
from .shapes import Json, answer, delivery_json, event_json, sent_json

router = Router(tags=["events"])

# Bytes that a delivery counts for in a page: several times its length, since what takes the time is not copying. So a
# page of 8 MiB has at most some 5,000, and writing its JSON, during which nothing else runs, takes less than 0.1 s.
DELIVERY = 1600

TypeName = Annotated[str, Field(min_length=1, max_length=100, examples=["lead.qualified"])]
ENDPOINTS = optional(
    max_length=1000,
    description="Endpoint ids; if left out, all subscribers. With an empty list, it is stored and sent to nobody.",
    examples=[["ep_0Ab1Cd2Ef3G"]],
)


class ContentIn(In):
    """What to send. Without `data`, it is a fresh, believable sample of the type."""

    type: TypeName
    data: dict[str, Any] = optional(
        description="The event's data.", examples=[{"lead_id": "lead_1", "score": 87}]
    )
    overrides: dict[str, Any] = optional(
        max_length=100, description="Fields to set in the data, by dotted path.", examples=[{"score": 90}]
    )
    raw_body: str = optional(
        description="Exactly these bytes instead of an envelope.", examples=['{"id":"evt_1"}']
    )

    def content(self) -> sending.Content:
        return sending.Content(self.type, self.data, self.overrides, self.raw_body)


class EventIn(ContentIn):
    endpoints: list[str] = ENDPOINTS
    to: str = optional(
        description="A URL to send to; it needs no registration.", examples=["http://localhost:3000/webhook"]
    )
    trigger: str = optional(
        pattern="^(api|cli)$", description="Who sends it: api (default) or cli.", examples=["api"]
    )


class EventOut(Out):
    id: str
    type: str
    created: Time
    body: str = Field(description="Exactly as sent.")
    size: int
    sha256: str


class EventWithDeliveries(EventOut):
    deliveries: list[DeliveryOut]


class Skipped(Out):
    endpoint: str
    reason: Literal["paused", "not_subscribed"]


class SentOut(Out):
    event: EventOut
    deliveries: list[DeliveryOut]
    skipped: list[Skipped]


@router.post(
    "",
    response={202: SentOut, **refused(409, *CHANGES)},
    operation_id="sendEvent",
    summary="Send one event",
    openapi_extra=CREATES,
)
@once
def create(request: HttpRequest, body: EventIn) -> HttpResponse:
    """Sends one event to its endpoints. Answers once it is stored; deliveries follow by themselves."""
    trigger = body.trigger or "api"
    by_hand = "" if trigger == "api" else trigger
    sent = sending.send(body.content(), endpoints=body.endpoints, to=body.to, trigger=trigger, actor=by_hand)
    return answer(sent_json(sent), 202)


@router.get(
    "", response={200: Page[EventWithDeliveries], **refused()}, operation_id="listEvents", summary="List"
)
def index(request: HttpRequest, limit: Limit = LIMIT, cursor: Cursor = CURSOR) -> HttpResponse:
    """Newest first. A page ends early when its bodies reach 8 MiB, or its deliveries 5,000."""
    made = Delivery.objects.filter(event=OuterRef("pk")).order_by().values("event").annotate(n=Count("pk"))
    weight = Length("body") + DELIVERY * Coalesce(Subquery(made.values("n")), 0)
    rows: QuerySet[Event] = Event.objects.defer("body").annotate(weight=weight)
    return answer(page(rows, limit, cursor, _with_deliveries, attrgetter("weight")))


@router.get(
    "/{id}",
    response={200: EventWithDeliveries, **refused(404)},
    operation_id="getEvent",
    summary="Get an event with its deliveries",
)
def show(request: HttpRequest, id: str) -> HttpResponse:
    return answer(_with_deliveries([found(Event.objects.filter(pk=id), "event")])[0])


def _with_deliveries(events: list[Event]) -> list[Json]:
    """Two queries for any number of events."""
    deliveries = Prefetch("deliveries", Delivery.objects.select_related("endpoint").order_by("id"))
    rows = Event.objects.filter(pk__in=[event.pk for event in events]).prefetch_related(deliveries)
    return [_event_with_deliveries(event) for event in rows.order_by("-pk")]


def _event_with_deliveries(event: Event) -> Json:
    return event_json(event) | {
        "deliveries": [delivery_json(delivery) for delivery in event.deliveries.all()]
    }
