"""`/signatures/verify`: the verdict a correct receiver would reach."""

import time
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from .. import signing
from .errors import invalid
from .schemas import CHANGES, In, Out, optional, refused
from .shapes import answer, whole
from .webhooks import SECRET, Number, SignatureIn

router = Router(tags=["signatures"])


def _timestamp(value: object) -> object:
    value = whole(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise PydanticCustomError("invalid_type", "Must be a string or a whole number")
    return value


Timestamp = Annotated[Any, BeforeValidator(_timestamp), WithJsonSchema({"type": ["string", "integer"]})]


class VerifyIn(In):
    payload: str = Field(description="The body as received.", examples=['{"id":"evt_1"}'])
    signature: str = Field(max_length=10_000, description="The whole header.", examples=["v1=e6ad7a04"])
    timestamp: Timestamp = Field(description="The timestamp header.", examples=["1738896900", 1738896900])
    secret: str = Field(
        examples=["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"], json_schema_extra=SECRET
    )
    tolerance: Number = Field(signing.TOLERANCE, ge=0, le=1_000_000_000, description="Seconds.")
    profile: SignatureIn = optional()
    event_id: str = optional(max_length=200, description="The id header, for profiles that sign it.")


class DiagnosisOut(Out):
    code: str
    title: str
    detail: str


class VerdictOut(Out):
    valid: bool
    reason: str | None
    message: str
    expected: str | None
    signed_content: str | None
    age_seconds: int | None
    diagnosis: list[DiagnosisOut]


@router.post(
    "/verify",
    response={200: VerdictOut, **refused(*CHANGES)},
    operation_id="verifySignature",
    summary="Check a signature",
)
def verify(request: HttpRequest, body: VerifyIn) -> HttpResponse:
    """Answers 200 whatever the verdict. Stores nothing."""
    return answer(_judged(body).as_dict() | {"diagnosis": []})


def _judged(body: VerifyIn) -> signing.Verdict:
    try:
        return signing.verify(
            signing.profile_from(body.profile) if "profile" in body.model_fields_set else signing.DEFAULT,
            [body.secret],
            signature=body.signature,
            timestamp=body.timestamp,
            event_id=body.event_id or "",
            body=body.payload.encode(),
            now=time.time(),
            tolerance=body.tolerance,
        )
    except signing.BadProfile as error:
        raise invalid(f"profile.{error.field}".rstrip("."), "invalid_profile", error.message) from None
    except signing.BadSecret as error:
        raise invalid("secret", "invalid_secret", error.message) from None
