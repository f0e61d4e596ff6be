"""What every page has: the header's counters, the banners, the notices, the help."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from .. import header


def whole_page(
    request: HttpRequest, template: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """A page with its frame; a fragment needs none of this."""
    return render(request, template, {**header.context(), **context}, status=status)


def notice(request: HttpRequest, text: str, *, status: int = 200, kind: str = "problem") -> HttpResponse:
    """A sentence for the person, shown beside the page instead of in place of a part of it."""
    if not request.htmx:  # type: ignore[attr-defined]
        return whole_page(request, "problem.html", {"title": "That did not work", "text": text}, status)
    response = render(request, "_notice.html", {"text": text, "kind": kind}, status=status)
    response["HX-Retarget"], response["HX-Reswap"] = "#notices", "beforeend"
    return response


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    text = "There is no page at this address."
    if getattr(request, "htmx", False):
        return notice(request, text, status=404)
    return whole_page(request, "problem.html", {"title": "Not found", "text": text}, 404)


def broken(request: HttpRequest) -> HttpResponse:
    """No database, no context: this page must work when nothing else does."""
    return render(request, "broken.html", status=500)


@require_GET
def keys(request: HttpRequest) -> HttpResponse:
    return render(request, "_keys.html")
