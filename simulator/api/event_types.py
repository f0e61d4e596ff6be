"""`/event-types`: the four built-in ones, and those that users add."""

from typing import Annotated, Any

from django.db.models import F
from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import Field, WithJsonSchema

from .. import catalog
from ..models import Batch, CustomType, Endpoint
from ..models.event_type import known_types
from ..transaction import writing
from .errors import conflict, found
from .once import once
from .paging import CURSOR, LIMIT, Cursor, Limit, closed, listing, newest, opened
from .schemas import CHANGES, CREATES, In, Out, Page, optional, refused
from .shapes import Json, answer, nothing

router = Router(tags=["event types"], by_alias=True)

NAME = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"
MAX_TYPES = 1000
SchemaIn = Annotated[
    dict[str, Any] | None,
    WithJsonSchema({"type": ["object", "null"], "description": "JSON Schema of the data."}),
]


class TypePatch(In):
    description: str = optional(max_length=1000)
    example: dict[str, Any] = optional(description="Data for events sent without any.", examples=[{"id": 1}])
    schema_: SchemaIn = Field(None, alias="schema")


class TypeIn(TypePatch):
    type: str = Field(min_length=1, max_length=100, pattern=NAME, examples=["lead.lost"])
    example: dict[str, Any] = Field(
        description="Data for events sent without any.", examples=[{"lead_id": "lead_1"}]
    )


class TypeOut(Out):
    type: str
    description: str
    example: dict[str, Any]
    schema_: dict[str, Any] | None = Field(alias="schema")
    built_in: bool


@router.get("", response={200: Page[TypeOut], **refused()}, operation_id="listEventTypes", summary="List")
def index(request: HttpRequest, limit: Limit = LIMIT, cursor: Cursor = CURSOR) -> HttpResponse:
    """Newest first, the built-in ones last."""
    last = None if cursor is None else opened("customtype", cursor)
    rows = [(each.type, _json(each)) for each in catalog.BUILT_IN.values()]
    if last in catalog.BUILT_IN:
        rows = rows[list(catalog.BUILT_IN).index(last) + 1 :]
    else:  # by id, so that the list goes on even after one that was deleted meanwhile
        customs = newest(CustomType.objects.all(), last, limit + 1)
        rows = [(custom.pk, _json(custom)) for custom in customs] + rows
    shown = rows[:limit]
    next_cursor = closed("customtype", shown[-1][0]) if len(rows) > limit else None
    return answer(listing([row for _, row in shown], next_cursor))


@router.post(
    "",
    response={201: TypeOut, **refused(409, *CHANGES)},
    operation_id="createEventType",
    summary="Add an event type",
    openapi_extra=CREATES,
)
@once
def create(request: HttpRequest, body: TypeIn) -> HttpResponse:
    with writing():
        if body.type in known_types():
            raise conflict(f"The event type {body.type} already exists.", "exists")
        if CustomType.objects.count() >= MAX_TYPES:
            raise conflict(f"There are {MAX_TYPES:,} event types already. Delete some first.", "too_many")
        custom = CustomType.add(**body.given())
    return answer(_json(custom), 201)


@router.patch(
    "/{type}",
    response={200: TypeOut, **refused(404, 409, *CHANGES)},
    operation_id="changeEventType",
    summary="Change an event type",
)
def change(request: HttpRequest, type: str, body: TypePatch) -> HttpResponse:
    with writing():
        custom = _found(type)
        if body.given():
            custom.change(**body.given())
    return answer(_json(custom))


@router.delete(
    "/{type}",
    response={204: None, **refused(404, 409, *CHANGES)},
    operation_id="deleteEventType",
    summary="Delete an event type",
)
def remove(request: HttpRequest, type: str) -> HttpResponse:
    """Refused while an endpoint subscribes to it or a batch of it runs. Events of this type stay as they are."""
    with writing():
        custom = _found(type)
        subscribed = [each.pk for each in Endpoint.objects.alive() if custom.type in each.events]
        if subscribed:
            raise conflict(f"Unsubscribe {', '.join(subscribed[:5])} from it first.", "in_use")
        if Batch.objects.filter(type=custom.type, made__lt=F("count"), stopped_at=None).exists():
            raise conflict("A batch of this type is still running. Stop it, or wait.", "in_use")
        custom.remove()
    return nothing()


def _found(type: str) -> CustomType:
    if type in catalog.BUILT_IN:
        raise conflict("A built-in event type cannot be changed. Add one of your own.", "built_in")
    return found(CustomType.objects.filter(type=type), "event type")


def _json(each: CustomType | catalog.EventType) -> Json:
    return {
        "type": each.type,
        "description": each.description,
        "example": each.example,
        "schema": each.schema,
        "built_in": isinstance(each, catalog.EventType),
    }
