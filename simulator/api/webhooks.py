"""`/webhooks`: the vendor's word for endpoints."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import AfterValidator, Field, WithJsonSchema

from .. import engine, profiles, registration, sending, signing
from ..models import Activity, Endpoint
from ..reach import reach
from ..transaction import writing
from .delivery_schemas import DeliveryOut
from .errors import found, not_found
from .events import ContentIn, TypeName
from .once import once
from .paging import CURSOR, LIMIT, Cursor, Limit, page
from .schemas import CHANGES, CREATES, FailureOut, In, Out, Page, Time, Whole, optional, refused
from .shapes import answer, delivery_json, endpoint_json, iso, nothing, whole

router = Router(tags=["webhooks"])

Number = Annotated[float, Field(allow_inf_nan=False), AfterValidator(whole)]
# Not made of Number: bounds after a validator are checked, but described by names that JSON Schema does not know.
Delay = Annotated[float, Field(allow_inf_nan=False, ge=0, le=86_400), AfterValidator(whole)]
Events = Annotated[
    list[Annotated[str, Field(max_length=100)]],
    Field(
        min_length=1, max_length=200, examples=[["lead.qualified"]], description='Types, or ["*"] for all.'
    ),
]
Headers = Annotated[
    dict[str, str], Field(max_length=registration.MAX_HEADERS, examples=[{"x-tenant": "acme"}])
]
SignatureIn = Annotated[
    Any,
    WithJsonSchema(
        {
            "description": "A preset, or profile fields that override their preset.",
            "anyOf": [
                {"type": "string", "enum": list(profiles.PRESETS)},
                {
                    "type": "object",
                    "properties": profiles.fields_described(),
                    "additionalProperties": False,
                },
            ],
            "examples": ["stripe", {"digest": "sha512"}],
        }
    ),
]


SECRET: Any = {"minLength": 1, "maxLength": signing.MAX_SECRET_BYTES}


class RetryIn(In):
    delays: list[Delay] = Field(
        max_length=50, description="Seconds before each retry; [] for none.", examples=[[2, 4, 8, 16, 32]]
    )


class Settings(In):
    description: str = optional(max_length=1000, examples=["Lead sync"])
    status: Literal["enabled", "paused"] = optional()
    timeout: Number = optional(ge=0.1, le=120, description="Seconds for a whole attempt.", examples=[15])
    retry: RetryIn = optional()
    headers: Headers = optional(description="Sent with every request.")
    signature: SignatureIn = optional()
    extras: bool = optional(description="Send the x-ultrareach-event… headers too.")
    max_in_flight: Whole = optional(ge=1, le=1000, examples=[10])
    tls_verify: bool = optional(description="False for your own receiver with a self-signed certificate.")


class WebhookIn(Settings):
    url: str = Field(examples=["https://example.com/webhook", "http://localhost:3000/webhook"])
    events: Events
    secret: str = optional(description="Your own secret; if left out, one is made.", json_schema_extra=SECRET)


class WebhookPatch(Settings):
    url: str = optional(examples=["http://localhost:3000/webhook"])
    events: Events = optional()


class RotateIn(In):
    overlap_seconds: Whole = Field(
        default=86_400, ge=0, le=2_592_000, description="How long the old secret also signs."
    )


class TestIn(ContentIn):
    type: TypeName = optional()


class RetryOut(Out):
    delays: list[float]


class EndpointOut(Out):
    id: str = Field(examples=["ep_0Ab1Cd2Ef3G"])
    url: str
    events: list[str]
    description: str
    status: Literal["enabled", "paused"]
    timeout: float
    retry: RetryOut
    headers: dict[str, str]
    signature: signing.Profile
    extras: bool
    max_in_flight: int
    tls_verify: bool
    created: Time
    updated: Time


class NewEndpoint(EndpointOut):
    secret: str


class SecretOut(Out):
    secret: str


class RotatedOut(SecretOut):
    previous_secret_expires_at: Time


class CheckPhases(Out):
    dns: float | None
    connect: float | None
    tls: float | None


class CheckOut(Out):
    reachable: bool
    phases: CheckPhases
    remote_address: str | None
    error: FailureOut | None


@router.post(
    "",
    response={201: NewEndpoint, **refused(409, *CHANGES)},
    operation_id="createWebhook",
    summary="Register an endpoint",
    openapi_extra=CREATES,
)
@once
def create(request: HttpRequest, body: WebhookIn) -> HttpResponse:
    """The answer holds the secret."""
    with writing():
        endpoint = Endpoint.register(**registration.checked(body.given()))
    return answer(endpoint_json(endpoint) | {"secret": endpoint.current_secret()}, 201)


@router.get("", response={200: Page[EndpointOut], **refused()}, operation_id="listWebhooks", summary="List")
def index(request: HttpRequest, limit: Limit = LIMIT, cursor: Cursor = CURSOR) -> HttpResponse:
    rows = Endpoint.objects.listed()
    return answer(page(rows, limit, cursor, lambda endpoints: [endpoint_json(each) for each in endpoints]))


@router.get(
    "/{id}", response={200: EndpointOut, **refused(404)}, operation_id="getWebhook", summary="Get an endpoint"
)
def show(request: HttpRequest, id: str) -> HttpResponse:
    return answer(endpoint_json(_found(id)))


@router.patch(
    "/{id}",
    response={200: EndpointOut, **refused(404, *CHANGES)},
    operation_id="changeWebhook",
    summary="Change an endpoint",
)
def change(request: HttpRequest, id: str, body: WebhookPatch) -> HttpResponse:
    """Changes only the given fields. Pausing holds its deliveries, enabling makes them due."""
    with writing():  # what is checked is what is changed
        endpoint = _found(id)
        columns = registration.checked(body.given(), endpoint)
        if columns:
            endpoint.change(**columns)
    return answer(endpoint_json(endpoint))


@router.delete(
    "/{id}",
    response={204: None, **refused(404, *CHANGES)},
    operation_id="deleteWebhook",
    summary="Delete an endpoint",
)
def remove(request: HttpRequest, id: str) -> HttpResponse:
    """Once this is answered, nothing more is sent; pending deliveries are cancelled, history stays."""
    with writing():
        _found(id).remove()
    engine.abandon(id)
    return nothing()


@router.get(
    "/{id}/secret",
    response={200: SecretOut, **refused(404)},
    operation_id="getWebhookSecret",
    summary="Get the secret that signs now",
)
def secret(request: HttpRequest, id: str) -> HttpResponse:
    return answer({"secret": _found(id).current_secret()})


@router.post(
    "/{id}/rotate-secret",
    response={200: RotatedOut, **refused(404, 409, *CHANGES)},
    operation_id="rotateWebhookSecret",
    summary="Replace the secret",
    openapi_extra=CREATES,
)
@once
def rotate_secret(request: HttpRequest, id: str, body: RotateIn = RotateIn()) -> HttpResponse:  # noqa: B008
    """During the overlap every request carries both signatures, newest first."""
    with writing():
        value, expires_at = _found(id).rotate_secret(overlap_seconds=body.overlap_seconds)
    return answer({"secret": value, "previous_secret_expires_at": iso(expires_at)})


@router.post(
    "/{id}/test",
    response={202: DeliveryOut, **refused(404, 409, *CHANGES)},
    operation_id="testWebhook",
    summary="Send one event to this endpoint",
    openapi_extra=CREATES,
)
@once
def test(request: HttpRequest, id: str, body: TestIn = TestIn()) -> HttpResponse:  # noqa: B008
    """Whatever it subscribes to. Without `type`, the first type it subscribes to."""
    try:
        content = replace(body.content(), type=body.type or _usual_type(id))
        return answer(delivery_json(sending.send_test(id, content)), 202)
    except Endpoint.DoesNotExist:
        raise not_found("webhook") from None


def _usual_type(id: str) -> str:
    return next((each for each in Endpoint.to_send_to(id).events if each != "*"), "lead.qualified")


@router.post(
    "/{id}/check",
    response={200: CheckOut, **refused(404, *CHANGES)},
    operation_id="checkWebhook",
    summary="Check whether it can be reached now",
)
def check(request: HttpRequest, id: str) -> HttpResponse:
    """Tries name look-up, connection and TLS; sends no request."""
    endpoint = _found(id)
    with writing():
        Activity.note("api", "checked endpoint", id)
    return answer(reach(endpoint.url, timeout=endpoint.timeout, tls_verify=endpoint.tls_verify))


def _found(id: str) -> Endpoint:
    return found(Endpoint.objects.alive().filter(pk=id), "webhook")
