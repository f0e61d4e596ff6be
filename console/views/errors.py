"""Answers when there is nothing to show. The API has its own words for the same (simulator/api/gate.py)."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.urls import is_valid_path
from django.utils.http import escape_leading_slashes

from simulator.api.gate import ROOT as API

from ..security import RECEIVER
from . import page


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Also redirects an address without its final slash to the one with it."""
    if request.path.startswith(API):
        return _line(404, "Not found.")
    slashed = f"{request.path_info}/"
    if request.method in ("GET", "HEAD") and (slashed == RECEIVER or is_valid_path(slashed)):
        address = request.get_full_path(force_append_slash=True)
        return HttpResponsePermanentRedirect(escape_leading_slashes(address))
    return page.not_found(request, exception)


def wrong_method(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: a page for a GET of an address that only takes forms. Django's own answer is blank."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.method != "GET" or response.status_code != 405 or response.content:
            return response
        text = f"There is nothing to show at this address: it only takes forms ({response['Allow']})."
        said = page.notice(request, text, status=405)
        said["Allow"] = response["Allow"]
        return said

    return answer


def form_too_old(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The answer to a form with a missing or stale token."""
    reload = "Reload it" if request.htmx else "Go back, reload it"
    text = f"This page was open too long. {reload} and try again."
    if not request.COOKIES:
        text += " If that does not help, allow cookies for this address: your browser sent none."
    return page.notice(request, text, status=403)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _line(400, "The request is malformed.")


def denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _line(403, "Refused.")


def _line(status: int, text: str) -> HttpResponse:
    return HttpResponse(text + "\n", status=status, content_type="text/plain; charset=utf-8")
