"""What all pages share: the header's counters, the banners, the notices, the help."""

import codecs
import sys
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import get_template
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from simulator.api.errors import problem_of
from simulator.logs import NO_DESCRIPTOR

from .. import header

# Read now, as well as the codec with which Django names such a request: later no descriptor may be left for that.
_broken = get_template("broken.html")
codecs.lookup("unicode_escape")
shows_a_form = require_http_methods(["GET", "HEAD", "POST"])


def whole_page(
    request: HttpRequest, template: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """A page with its frame, which fragments do without."""
    return render(request, template, {**header.context(), **context}, status=status)


def notice(request: HttpRequest, text: str, *, status: int) -> HttpResponse:
    """What went wrong, in a sentence that is shown in addition to the page instead of replacing a part of it."""
    if not request.htmx:
        return whole_page(request, "problem.html", {"title": "That did not work", "text": text}, status)
    response = render(request, "_notice.html", {"text": text, "kind": "problem"}, status=status)
    response["HX-Retarget"], response["HX-Reswap"] = "#notices", "beforeend"
    return response


def done(what: str, page: str, *args: str) -> HttpResponse:
    """To a page that says by a notice of its own what was done."""
    return redirect(f"{reverse(page, args=args)}?{what}")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    text = "There is no page at this address."
    if getattr(request, "htmx", False):
        return notice(request, text, status=404)
    return whole_page(request, "problem.html", {"title": "Not found", "text": text}, 404)


def broken(request: HttpRequest) -> HttpResponse:
    """503 and why if the database is locked, full or gone; all else is a bug. Must work when nothing else does."""
    error = sys.exc_info()[1]
    if isinstance(error, DatabaseError):
        text, status = problem_of(error).message, 503
    elif isinstance(error, OSError) and error.errno in NO_DESCRIPTOR:
        text, status = f"The simulator cannot open its own files: {error.strerror}.", 503
    else:
        text, status = "The simulator has a bug here. See its log in the terminal.", 500
    if getattr(request, "htmx", False):
        return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
    return HttpResponse(_broken.render({"text": text}), status=status)


@require_safe
def keys(request: HttpRequest) -> HttpResponse:
    return render(request, "_keys.html")
