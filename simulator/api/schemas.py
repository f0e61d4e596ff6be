"""What all resources share in their schemas: strictness, errors, pages. Schemas of a resource stand beside it."""

from typing import Annotated, Any, Generic, Literal, TypeVar

import ninja
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from .. import failures
from .shapes import whole

# The models that ninja makes for declared answers never validate, they are only described: their validators are made
# when the OpenAPI document is asked for. They took a tenth of a second of the start.
ninja.Schema.model_config["defer_build"] = True
Item = TypeVar("Item")


class In(BaseModel):
    """What a caller sends: exact types, and no field that nobody reads."""

    model_config = ConfigDict(strict=True, extra="forbid")

    def given(self) -> dict[str, Any]:
        """The fields that were given, by the names they were given by."""
        return self.model_dump(exclude_unset=True, by_alias=True)


def optional(**rules: Any) -> Any:
    """A field that may be left out but must not be null: `model_fields_set` tells whether it was given."""
    return Field(default_factory=lambda: None, **rules)


Whole = Annotated[int, BeforeValidator(whole)]


class Out(BaseModel):
    """What a caller gets. Only described: shapes.py makes it."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True, defer_build=True)


Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Failure = Annotated[str, WithJsonSchema({"type": "string", "enum": list(failures.CODES)})]


class Page(Out, Generic[Item]):
    data: list[Item]
    has_more: bool
    next_cursor: str | None


class ErrorBody(Out):
    type: Literal[
        "authentication_error",
        "validation_error",
        "not_found_error",
        "conflict_error",
        "rate_limit_error",
        "server_error",
    ]
    code: str = Field(examples=["INVALID_PARAMETER"])
    message: str
    details: dict[str, Any] = Field(examples=[{"field": "url", "reason": "invalid_format"}])
    request_id: str = Field(examples=["req_0Ab1Cd2Ef3G"])


class ErrorOut(Out):
    error: ErrorBody


class FailureOut(Out):
    code: Failure
    message: str
    hint: str
    phase: str | None


def refused(*statuses: int) -> dict[Any, Any]:
    """The errors that an operation declares; each can answer 400, 401, 503 and, for a wrong method, 405."""
    return dict.fromkeys(sorted({400, 401, 405, 503, *statuses}), ErrorOut)


# For every call but a GET: another web page may have made it, and even one that takes no body may come with one.
CHANGES = (403, 413, 415)
CREATES = {
    "parameters": [
        {
            "in": "header",
            "name": "Idempotency-Key",
            "required": False,
            "description": "For 24 hours, a repeat with the same key and body gets the first answer.",
            "schema": {
                "type": "string",
                "minLength": 1,
                "maxLength": 200,
                "pattern": "^[!-~]([ -~]*[!-~])?$",
            },
        }
    ]
}
