"""The doors: Host, Origin, Sec-Fetch-Site, CSP and the other headers, for pages and for sockets.

The tool listens on loopback, where every page of every other local port can reach it: what a browser sends on
behalf of another page is refused before any view runs. `doors` is the first middleware, so that it also covers
static files and the API.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseForbidden
from django.http.request import validate_host
from django.conf import settings
from django.utils.decorators import sync_and_async_middleware

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' {socket}; "
    "form-action 'self'; base-uri 'none'; frame-src 'self'; frame-ancestors 'none'"
)


@sync_and_async_middleware
def doors(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Refuses foreign hosts (400) and foreign pages (403), and puts the security headers on every answer."""
    if iscoroutinefunction(get_response):

        async def guarded_async(request: HttpRequest) -> HttpResponseBase:
            return refusal(request) or shut(request, await get_response(request))

        return guarded_async

    def guarded(request: HttpRequest) -> HttpResponseBase:
        return refusal(request) or shut(request, get_response(request))

    return guarded


def refusal(request: HttpRequest) -> HttpResponse | None:
    """The answer to a request that may not come in; None when it may."""
    try:
        request.get_host()
    except DisallowedHost:
        return shut(request, HttpResponse("This host name is not allowed. Use http://127.0.0.1.", status=400))
    if _needs_own_origin(request) and not own_origin(request):
        return shut(request, HttpResponseForbidden("Refused: this request was made by another web page."))
    return None


def _needs_own_origin(request: HttpRequest) -> bool:
    """The built-in receiver takes anything; everything else that changes something must come from our own pages."""
    return request.method not in SAFE_METHODS and not request.path.startswith("/receiver/")


def own_origin(request: HttpRequest) -> bool:
    """No other page asked for this: programs send neither header, our own pages send our origin."""
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site")
    return origin in (None, f"{request.scheme}://{request.get_host()}") and site in (
        None,
        "same-origin",
        "none",
    )


def shut(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if "Content-Security-Policy" not in response.headers:
        socket = f"ws://{request.META.get('HTTP_HOST', '')}" if not request.is_secure() else ""
        response.headers["Content-Security-Policy"] = POLICY.format(socket=socket)
    if not request.path.startswith(settings.STATIC_URL):
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """What a form with a missing or stale token gets."""
    return HttpResponseForbidden("This page was open too long. Reload it and try again.")
