"""Which settings an endpoint may have, beyond their types: URL, events, headers, signature, secret."""

import re
from collections.abc import Mapping
from typing import Any

from . import signing
from .models import Endpoint
from .profiles import HEADER_NAME
from .sending import BadInput, check_type, checked_url

MAX_HEADERS = 50
_VALUE = re.compile(r"[!-~](?:[\t -~]{0,4094}[!-~])?")  # RFC 9110 §5.5, without obs-text
# Written for every request: a second one would break or forge it.
_OURS = frozenset(("host", "content-length", "accept-encoding"))
# RFC 9110 §7.6.1 and §10.1; the body is sent as it is.
_OF_THE_WAY = frozenset(
    ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "content-encoding", "upgrade")
    + ("expect", "http2-settings", "proxy-authenticate", "proxy-authorization", "proxy-connection")
)
_OUR_PREFIX = "x-ultrareach-"


def checked(given: Mapping[str, Any], endpoint: Endpoint | None = None) -> dict[str, Any]:
    """The columns for these fields of a new endpoint, or of changes to an existing one. Raises BadInput.

    `given` has the names of the contract (`retry` is `{"delays": […]}`), with types and ranges already checked.
    A new endpoint's `secret` is judged under its profile; an existing one's secrets, when the profile changes.
    """
    columns = {name: value for name, value in given.items() if name != "retry"}
    if "retry" in given:
        columns["retry_delays"] = given["retry"]["delays"]
    if "description" in given and not any(
        char.isprintable() and char != " " for char in given["description"]
    ):
        columns["description"] = ""  # invisible text would be a link without a name
    if "url" in given:
        columns["url"] = checked_url(given["url"])
    if "events" in given:
        _check_events(given["events"])
    profile = endpoint.profile if endpoint else signing.DEFAULT
    if "signature" in given:
        profile = _profile(given["signature"])
        columns["signature"] = signing.as_dict(profile)
    _check_headers(given.get("headers", endpoint.headers if endpoint else {}), profile)
    if "secret" in given:
        _check_secret(given["secret"], profile)
    elif endpoint and "signature" in given:
        _check_kept_secrets(endpoint, profile)
    return columns


def _check_events(events: list[str]) -> None:
    if "*" in events and len(events) > 1:
        raise BadInput("events", "conflict", '["*"] means every event; it must stand alone.')
    for index, type in enumerate(events):
        if type in events[:index]:
            raise BadInput(f"events.{index}", "repeated", f"{type!r} is listed twice.")
        if type != "*":
            check_type(type, f"events.{index}")


def _profile(value: object) -> signing.Profile:
    try:
        return signing.profile_from(value)
    except signing.BadProfile as error:
        raise BadInput(f"signature.{error.field}".rstrip("."), "invalid_profile", error.message) from None


def _check_secret(secret: str, profile: signing.Profile) -> None:
    try:
        signing.check_secret(secret, profile)
    except signing.BadSecret as error:
        raise BadInput("secret", "invalid_secret", error.message) from None


def _check_kept_secrets(endpoint: Endpoint, profile: signing.Profile) -> None:
    try:
        for secret in endpoint.valid_secrets():
            signing.check_secret(secret, profile)
    except signing.BadSecret as error:
        raise BadInput(
            "signature",
            "secret_does_not_fit",
            f"{error.message} The secret of this endpoint does not fit.",
        ) from None


def _check_headers(headers: Mapping[str, str], profile: signing.Profile) -> None:
    if len(headers) > MAX_HEADERS:
        raise BadInput("headers", "too_long", f"At most {MAX_HEADERS} headers.")
    signed = {profile.signature_header, profile.timestamp_header, profile.id_header}
    taken = _OURS | {name.lower() for name in signed if name}
    seen: set[str] = set()
    for name, value in headers.items():
        field = f"headers.{name[:100]}"
        if not HEADER_NAME.fullmatch(name):
            raise BadInput(
                field, "invalid_name", "A header name must be 1 to 100 letters, digits or hyphens."
            )
        if name.lower() in taken or name.lower().startswith(_OUR_PREFIX):
            raise BadInput(field, "reserved_header", f"The simulator writes {name} itself.")
        if name.lower() in _OF_THE_WAY:
            raise BadInput(
                field,
                "reserved_header",
                f"{name} controls how a request is sent, which the simulator decides.",
            )
        if name.lower() in seen:
            raise BadInput(field, "repeated", f"{name} is listed twice: names must differ by more than case.")
        if not _VALUE.fullmatch(value):
            raise BadInput(
                field,
                "invalid_value",
                "A header value must be 1 to 4,096 printable ASCII characters, without a space at either end.",
            )
        seen.add(name.lower())
