"""What is shown when there is nothing to show: one plain line, never a traceback. The API has its own words."""

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.urls import is_valid_path
from django.utils.http import escape_leading_slashes


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _line(400, "The request is malformed.")


def denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _line(403, "Refused.")


def form_too_old(request: HttpRequest, reason: str = "") -> HttpResponse:
    """What a form with a missing or stale token gets."""
    return _line(403, "This page was open too long. Reload it and try again.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Also where an address without its final slash is led to the one with it."""
    if request.method in ("GET", "HEAD") and is_valid_path(f"{request.path_info}/"):
        return HttpResponsePermanentRedirect(
            escape_leading_slashes(request.get_full_path(force_append_slash=True))
        )
    return _line(404, f"There is nothing at {request.path}. The console is at /.")


def server_error(request: HttpRequest) -> HttpResponse:
    return _line(500, "The simulator has a bug here. Its log on the terminal says more.")


def _line(status: int, text: str) -> HttpResponse:
    return HttpResponse(text + "\n", status=status, content_type="text/plain; charset=utf-8")
