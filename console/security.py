"""The doors: Host, Origin, Sec-Fetch-Site, CSP and the other headers, for pages, files, API and sockets alike.

The tool listens on loopback, where every page of every other local port can reach it: what a browser sends on
behalf of another page is refused before Django sees it. Plain ASGI, so that nothing stands in front of it.
"""

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from simulator import ids
from simulator.api.errors import Problem, error_json

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
API, RECEIVER = "/api/", "/receiver/"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'{socket}; "
    "form-action 'self'; base-uri 'none'; frame-src 'self'; frame-ancestors 'none'"
)
# Added to answers that do not set them: a preview of foreign bytes, say, has a stricter policy of its own.
DEFAULTS: Headers = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
WORDS = {
    400: "The request is malformed, or its Host is not allowed here. Use http://127.0.0.1.",
    403: "Refused: another web page made this request.",
    413: "Too large: a body, or the data of an event, may have at most 1 MiB. Nothing was done; shorten it.",
    500: "The simulator has a bug here. See its log in the terminal.",
}
CODES = {400: "BAD_REQUEST", 403: "FORBIDDEN", 413: "PAYLOAD_TOO_LARGE", 500: "INTERNAL_ERROR"}


def doors(application: Application) -> Application:
    """Around everything: refuses foreign hosts and foreign pages, and puts the security headers on every answer."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        host = own_host(scope)
        if scope["type"] == "websocket":
            allowed = host is not None and _own_origin(scope, host)
            await (application if allowed else refuse_socket)(scope, receive, send)
        elif host is None:
            await _refuse(400, scope, send)
        elif _changes_something(scope) and not _is_ours(scope, host):
            await _refuse(403, scope, send)
        else:
            await application(scope, receive, _with_headers(send, host))

    return guarded


async def refuse_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Turns a socket away in its handshake (403)."""
    await receive()
    await send({"type": "websocket.close"})


def pages_only(socket: Application) -> Application:
    """Only our own pages may open this socket: it must have an Origin, which `doors` has found to be ours."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        allowed = any(True for _ in header(scope, b"origin"))
        await (socket if allowed else refuse_socket)(scope, receive, send)

    return guarded


def own_host(scope: Scope) -> str | None:
    """The request's only Host if it names this machine, such as `127.0.0.1:8000`; else None."""
    hosts = list(header(scope, b"host"))
    if len(hosts) != 1:
        return None
    domain, _ = split_domain_port(hosts[0])
    return hosts[0] if domain and validate_host(domain, settings.ALLOWED_HOSTS) else None


def header(scope: Scope, name: bytes) -> Iterable[str]:
    """All values of a header, which may come several times."""
    return (value.decode("latin-1") for key, value in scope["headers"] if key == name)


def _changes_something(scope: Scope) -> bool:
    """No, if sent to the built-in receiver, which takes anything from anyone, as receivers do."""
    return scope["method"] not in SAFE_METHODS and not scope["path"].startswith(RECEIVER)


def _is_ours(scope: Scope, host: str) -> bool:
    """Whether no other page made this request: programs send neither header, our own pages send our origin."""
    sites = header(scope, b"sec-fetch-site")
    return _own_origin(scope, host) and all(site in ("same-origin", "none") for site in sites)


def _own_origin(scope: Scope, host: str) -> bool:
    scheme = "https" if scope.get("scheme") in ("https", "wss") else "http"
    return all(origin == f"{scheme}://{host}" for origin in header(scope, b"origin"))


def _with_headers(send: Send, host: str) -> Send:
    start: dict[str, Any] = {}

    async def completed(event: dict[str, Any]) -> None:
        if event["type"] == "http.response.start":
            start.update(event, headers=complete(event.get("headers", ()), host))
            return
        if start:
            # Held back until now: an answer in one piece gets a length, so that it need not be chunked.
            if not event.get("more_body") and start["status"] not in (204, 304):
                _add(start["headers"], b"content-length", str(len(event.get("body", b""))).encode())
            await send(dict(start))
            start.clear()
        await send(event)

    return completed


def _add(headers: Headers, name: bytes, value: bytes) -> None:
    if all(known.lower() != name for known, _ in headers):
        headers.append((name, value))


def complete(headers: Iterable[tuple[bytes, bytes]], host: str = "") -> Headers:
    """These headers, and the defaults that they leave out."""
    given = list(headers)
    names = {name.lower() for name, _ in given}
    given += [pair for pair in DEFAULTS if pair[0] not in names]
    if b"content-security-policy" not in names:
        policy = POLICY.format(socket=f" ws://{host}" if host else "")
        given.append((b"content-security-policy", policy.encode("latin-1")))
    return given


async def _refuse(status: int, scope: Scope, send: Send) -> None:
    headers, body = answer(status, scope["path"])
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def answer(status: int, path: str) -> tuple[Headers, bytes]:
    """Headers and body of a refusal: the API's envelope below /api/, one plain line elsewhere."""
    status = status if status in WORDS else 500
    if path.startswith(API):
        kind, body = b"application/json", _envelope(status)
    else:
        kind, body = b"text/plain; charset=utf-8", WORDS[status].encode() + b"\n"
    length = str(len(body)).encode()
    return complete([(b"content-type", kind), (b"content-length", length)]), body


def raw_answer(status: int, path: str) -> bytes:
    """The same as bytes for the wire, when there is no application to answer through; ends the connection."""
    headers, body = answer(status, path)
    lines = [b"%b: %b" % pair for pair in [*headers, (b"connection", b"close")]]
    return b"\r\n".join([b"HTTP/1.1 %d Refused" % status, *lines, b"", body])


def _envelope(status: int) -> bytes:
    problem = Problem(status, CODES[status], WORDS[status])
    return json.dumps({"error": error_json(problem, ids.encode("req", ids.new()))}).encode()
