"""How a call fails: one envelope for every error, made in one place. Knows no resource."""

import json
import logging
from collections.abc import Mapping
from typing import Any, TypeVar

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from .. import transaction
from ..models.delivery import NotNow
from ..payload import BadJSON, BadOverride
from ..sending import BadInput
from .shapes import whole

log = logging.getLogger(__name__)
Row = TypeVar("Row", bound=Model)

REQUEST_ID = "SIM_REQUEST_ID"  # in request.META, written by the gate
_TYPES = {
    401: "authentication_error",
    403: "authentication_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
# pydantic's type of error → the reason in the envelope; our own types are reasons already.
_REASONS = {
    "missing": "required",
    "extra_forbidden": "unknown_field",
    "literal_error": "invalid_choice",
    "string_pattern_mismatch": "invalid_format",
    "string_too_long": "too_long",
    "string_too_short": "too_short",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
    "finite_number": "out_of_range",
}
# pydantic's type of error → our message, with the values of pydantic's context.
_WORDS = {
    "missing": "This field is required.",
    "extra_forbidden": "Unknown field.",
    "model_type": "Must be an object.",
    "dict_type": "Must be an object.",
    "list_type": "Must be a list.",
    "string_type": "Must be a string.",
    "bool_type": "Must be true or false.",
    "int_type": "Must be a whole number.",
    "float_type": "Must be a number.",
    "finite_number": "Must be a finite number.",
    "literal_error": "Must be {expected}.",
    "string_pattern_mismatch": "Must match '{pattern}'.",
    "string_too_long": "Must have at most {max_length:,} characters.",
    "string_too_short": "Must have {min_length:,} or more characters.",
    "too_long": "Must have at most {max_length:,} entries.",
    "too_short": "Must have {min_length:,} or more entries.",
    "greater_than_equal": "Must be at least {ge:,}.",
    "less_than_equal": "Must be at most {le:,}.",
}


class Problem(Exception):
    """A call that fails, as its caller is told: HTTP status, code, message, details, extra headers."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})


def invalid(field: str, reason: str, message: str, **details: Any) -> Problem:
    """400 for one field; `field` is a dotted path such as `retry.delays.2`."""
    details = {"field": field, "reason": reason, **details}
    return Problem(400, "INVALID_PARAMETER", message, details=details)


def not_found(what: str) -> Problem:
    return Problem(404, "NOT_FOUND", f"There is no such {what}.")


def found(rows: "QuerySet[Row]", what: str) -> Row:
    """The first of these rows; if there is none, `not_found` is raised."""
    row = rows.first()
    if row is None:
        raise not_found(what)
    return row


def conflict(message: str, reason: str) -> Problem:
    return Problem(409, "CONFLICT", message, details={"reason": reason})


def unauthorized() -> Problem:
    return Problem(
        401,
        "UNAUTHORIZED",
        "Send the API key as 'Authorization: Bearer <key>'. manage.py up prints it when it starts.",
        headers={"WWW-Authenticate": 'Bearer realm="simulator"'},
    )


def from_json(error: BadJSON) -> Problem:
    """For a body that is not JSON, or that a receiver would read differently."""
    place = f" (line {error.line}, column {error.column})" if error.line else ""
    field = error.path.replace("[", ".").replace("]", "").lstrip(".")
    details: dict[str, Any] = {"field": field or "body", "reason": "invalid_json"}
    if error.line:
        details |= {"line": error.line, "column": error.column}
    return Problem(400, "INVALID_JSON", f"{error.message}{place}", details=details)


def error_json(problem: Problem, request_id: str | None = None) -> dict[str, Any]:
    """The content of the contract's envelope."""
    return {
        "type": _TYPES.get(problem.status, "validation_error" if problem.status < 500 else "server_error"),
        "code": problem.code,
        "message": problem.message,
        "details": problem.details,
        "request_id": request_id,
    }


def answer(request: HttpRequest, problem: Problem) -> HttpResponse:
    error = error_json(problem, request.META.get(REQUEST_ID))
    content = json.dumps({"error": error}, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return HttpResponse(
        content, status=problem.status, content_type="application/json", headers=problem.headers
    )


def problem_of(error: Exception) -> Problem:
    """What a caller is told about any exception; a bug is logged and becomes a 503 without its text."""
    match error:
        case Problem():
            return error
        case BadJSON():
            return from_json(error)
        case BadOverride():
            return invalid(f"overrides.{error.field}", "invalid_override", error.message)
        case BadInput():
            more = {"suggestions": error.suggestions} if error.suggestions else {}
            return invalid(error.field, error.reason, error.message, **more)
        case NotNow():
            return conflict(str(error), "not_now")
        case ValidationError():
            return _of_fields(error.errors)
        case Http404():
            return not_found("address")
        case RequestDataTooBig():
            return Problem(413, "PAYLOAD_TOO_LARGE", "The body is too large.")
        case UnreadablePostError():
            return Problem(400, "INCOMPLETE_BODY", "The connection ended before the body did.")
        case DatabaseError():
            return _of_database(error)
        case HttpError() if isinstance(error.__cause__, Exception):
            return problem_of(error.__cause__)  # what the parser raised
        case HttpError() if error.status_code == 401:
            return unauthorized()
    log.error("a call failed because of a bug", exc_info=error)
    return unavailable("INTERNAL_ERROR", "The simulator has a bug here. See its log in the terminal.")


def unavailable(code: str, message: str) -> Problem:
    return Problem(503, code, message, headers={"Retry-After": "1"})


def _of_database(error: DatabaseError) -> Problem:
    text = str(error)
    log.warning("the database refused: %s", text)
    if reason := transaction.why_shut():
        return unavailable("DATABASE_UNAVAILABLE", reason)
    if "locked" in text or "busy" in text:
        return unavailable(
            "DATABASE_LOCKED", "Another program has locked the database. Try again in a moment."
        )
    if "full" in text:
        return unavailable("DISK_FULL", "The disk is full. Nothing was accepted; free some space and repeat.")
    return unavailable("DATABASE_UNAVAILABLE", "The database cannot be used now. Nothing was changed.")


def _of_fields(errors: list[dict[str, Any]]) -> Problem:
    """The first wrong field is named; all of them are in `errors` when there are several."""
    found = [_of_field(error) for error in errors]
    details: dict[str, Any] = dict(found[0])
    message = details.pop("message")
    if len(found) > 1:
        details["errors"] = found[:50]
    return Problem(400, "INVALID_PARAMETER", f"{details['field']}: {message}", details=details)


def _of_field(error: dict[str, Any]) -> dict[str, str]:
    kind = str(error["type"])
    # A body has the name of the view's argument in front of its fields.
    path = [str(part) for part in error["loc"][2 if error["loc"][0] == "body" else 1 :]]
    path += [str(part) for part in (error.get("ctx") or {}).get("below", ())]
    reason = _REASONS.get(kind) or ("invalid_type" if kind.endswith("_type") else kind)
    return {
        "field": ".".join(path) or "body",
        "reason": reason,
        "message": words(error),
    }


def words(error: Mapping[str, Any]) -> str:
    """What a wrong value must be, as a sentence; the pages show the same at their fields."""
    said = _WORDS.get(error["type"])
    if said is None:
        return f"{error['msg']}."  # a validator's own words
    bounds = (error.get("ctx") or {}).items()
    return said.format_map({name: whole(value) for name, value in bounds})


def install(api: NinjaAPI) -> None:
    """Every exception of a call ends here."""

    def handle(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
        assert isinstance(error, Exception)
        return answer(request, problem_of(error))

    for kind in (Exception, Http404, HttpError, ValidationError):
        api.add_exception_handler(kind, handle)
