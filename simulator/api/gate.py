"""What every call passes: request id, key, media type, size, query names. Knows no resource.

`gate` is the outermost middleware: an error that Django or another middleware answers at an address of the API
becomes one of the API's, JSON with a request id and never HTML.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponseBase, UnreadablePostError
from ninja.operation import Operation
from ninja.parser import Parser
from ninja.security.http import HttpAuthBase

from .. import ids
from ..payload import BadJSON, parse_json
from . import errors
from .errors import Problem

ROOT = "/api/"
MAX_BODY = 1024 * 1024
GetResponse = Callable[[HttpRequest], HttpResponseBase]
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


# --- the middleware


def gate(get_response: GetResponse) -> GetResponse:
    """Gives each call its request id, and every error of the API its envelope."""

    def passed(request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(ROOT):
            return get_response(request)
        request.META[errors.REQUEST_ID] = ids.encode("req", ids.new())
        if request.method == "HEAD":  # ninja knows GET only; the server leaves the body out
            request.method = "GET"
        response = get_response(request)
        kind = response.headers.get("Content-Type", "")
        if response.status_code >= 400 and not kind.startswith("application/json"):
            response = errors.answer(request, _translated(request, response))
        response.headers["X-Request-Id"] = request.META[errors.REQUEST_ID]
        return response

    return passed


def _translated(request: HttpRequest, response: HttpResponseBase) -> Problem:
    """An error of Django or a middleware, in the API's words. Without the key nobody learns which addresses exist."""
    status = response.status_code
    if status in (404, 405) and not has_key(request):
        return errors.unauthorized()
    if status == 404:
        return errors.not_found("address")
    if status == 405:
        allowed = response.headers.get("Allow", "")
        message = f"This address takes {allowed}, not {request.method}."
        return Problem(405, "METHOD_NOT_ALLOWED", message, headers={"Allow": allowed})
    if status == 403:
        return Problem(403, "FORBIDDEN", "Refused: another web page made this request.")
    if status < 500:
        return Problem(400, "BAD_REQUEST", "The request is malformed, or its Host is not allowed here.")
    return errors.unavailable("INTERNAL_ERROR", "The simulator has a bug here. See its log in the terminal.")


# --- the key


class Key(HttpAuthBase):
    """The Bearer key of the contract, in the words of OpenAPI."""

    openapi_scheme = "bearer"

    def __call__(self, request: HttpRequest) -> bool:
        return has_key(request)


def api_key() -> str:
    return settings.SIM_API_KEY


def has_key(request: HttpRequest) -> bool:
    return is_key(request.META.get("HTTP_AUTHORIZATION", ""))


def is_key(authorization: str) -> bool:
    """Whether it is exactly `Bearer <key>`; compared as digests, so that timing reveals neither length nor content."""
    return hmac.compare_digest(_digest(authorization), _digest(f"Bearer {api_key()}"))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


# --- around every operation


def admit(run: Callable[..., Any]) -> Callable[..., Any]:
    """Around ninja's `Operation.run`: key, then media type and size, then the names in the query."""
    operation: Operation = run.__self__  # type: ignore[attr-defined]
    known = _query_names(operation)
    has_body = any(model.__ninja_param_source__ == "body" for model in operation.models)

    def refusal(request: HttpRequest) -> Exception | None:
        try:
            if operation.auth_callbacks and not has_key(request):
                raise errors.unauthorized()
            _check_query(request, known)
            _check_body(request, expected=has_body)
        except (Problem, BadJSON, RequestDataTooBig, UnreadablePostError) as error:
            return error
        return None

    @wraps(run)
    def admitted(request: HttpRequest, **path: Any) -> Any:
        error = refusal(request)
        return operation.api.on_exception(request, error) if error else run(request, **path)

    return admitted


def _query_names(operation: Operation) -> frozenset[str]:
    sources = [model for model in operation.models if model.__ninja_param_source__ == "query"]
    return frozenset(name for model in sources for name in getattr(model, "__ninja_flatten_map__", {}))


def _check_query(request: HttpRequest, known: frozenset[str]) -> None:
    for name, values in request.GET.lists():
        if name not in known:
            options = f" This call takes {', '.join(sorted(known))}." if known else ""
            raise errors.invalid(name, "unknown_field", f"Unknown query parameter {name!r}.{options}")
        if len(values) > 1:
            raise errors.invalid(name, "repeated", f"{name} is given {len(values)} times.")
        if "\0" in values[0]:
            raise errors.invalid(name, "invalid_format", f"{name} contains NUL.")


def _check_body(request: HttpRequest, *, expected: bool) -> None:
    if request.method == "GET":
        return
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if not declared.isdecimal() or int(declared[:20]) > MAX_BODY or len(request.body) > MAX_BODY:
        raise Problem(413, "PAYLOAD_TOO_LARGE", f"The body is larger than {MAX_BODY:,} bytes.")
    if not request.body:
        return
    params = dict(request.content_params or {})
    charset = params.pop("charset", "utf-8").lower()
    if request.content_type != "application/json" or charset not in ("utf-8", "utf8") or params:
        raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", "Send the body as 'Content-Type: application/json'.")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", "Send the body as it is, without Content-Encoding.")
    if not expected and parse_json(request.body) != {}:
        raise errors.invalid("body", "unknown_field", "This call takes no body.")


# --- the body


class StrictParser(Parser):
    """JSON as a receiver would read it: refuses with the place instead of guessing."""

    def parse_body(self, request: HttpRequest) -> Any:
        value = _parsed(request.body)
        if not isinstance(value, dict):
            raise BadJSON("", "The body must be a JSON object.")
        return value


def _parsed(body: bytes) -> Any:
    """The value of the body. Only fields that hold a body may contain NUL: `raw_body` is also for what is not JSON."""
    try:
        return parse_json(body)
    except BadJSON as error:
        text, field = body.decode("utf-8", "replace"), error.path
        if field not in ("raw_body", "payload") or "\\u0000" not in text:
            raise
        stand_in = next(chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in text)
        value = parse_json(_NUL.sub(rf"\1{stand_in}", text))
        raw = value.get(field) if isinstance(value, dict) else None
        if not isinstance(raw, str) or stand_in in json.dumps({**value, field: ""}, ensure_ascii=False):
            raise
        return {**value, field: raw.replace(stand_in, "\0")}
