"""The console's list and one delivery: the page, its fragments, and what one can do to a delivery."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from simulator.api import export
from simulator.api.gate import MAX_BODY
from simulator.api.shapes import attempt_json, delivery_json, event_json
from simulator.decoding import Headers
from simulator.models import Activity, Attempt, Delivery
from simulator.models.delivery import NotNow
from simulator.models.endpoint import edition
from simulator.transaction import writing

from .. import bodies, detail, panel, rows
from ..filters import STATUSES, Filter
from ..security import WORDS
from .page import notice, shows_a_form, whole_page

View = Callable[..., HttpResponse]
UNKNOWN = "There is no such delivery in this data folder."


def loads_delivery(view: View) -> View:
    """Turns the URL's id into the delivery, with event and endpoint; 404 if there is none."""

    @wraps(view)
    def loaded(request: HttpRequest, delivery_id: str, **rest: object) -> HttpResponse:
        delivery = detail.find(delivery_id)
        if delivery is None:
            return notice(request, UNKNOWN, status=404)
        return view(request, delivery, **rest)

    return loaded


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    return console(request)


@require_safe
def only_list(request: HttpRequest) -> HttpResponse:
    """The list alone; with a `cursor` only the rows older than that."""
    template = "deliveries/_rows.html" if request.GET.get("cursor") else "deliveries/_list.html"
    return render(request, template, _list(request))


def console(request: HttpRequest, said: Mapping[str, object] = {}, status: int = 200) -> HttpResponse:
    """The whole page; `said` is the outcome of a form sent without a script, whose fields keep what was typed."""
    listed = _list(request)  # first: its edition must be no newer than anything read here
    context = {**panel.context(request.POST), **_opened(request), **listed, **said}
    context["unlisted"] = context["filter"].unlisted(context["endpoints"])
    return whole_page(request, "console/index.html", context, status)


def _list(request: HttpRequest) -> dict[str, Any]:
    """`edition` is read before the rows, so that no renaming is lost between page and socket."""
    now = edition()
    filter = Filter.of(request.GET)
    page = rows.page(filter, request.GET.get("cursor", ""))
    return {
        "edition": str(now),
        "filter": filter,
        "page": page,
        "query": filter.query_string(),
        "statuses": STATUSES,
        "unknown": [] if page.html else filter.unknown(),
    }


@require_safe
def some(request: HttpRequest) -> HttpResponse:
    """The rows of named deliveries (`?ids=a,b`), for a list that holds still and was not sent every change."""
    return HttpResponse(rows.some(request.GET.get("ids", "").split(",")))


def _opened(request: HttpRequest) -> dict[str, object]:
    opened = request.GET.get("open")
    if not opened:
        return {}
    delivery = detail.find(opened)
    return {"unknown_delivery": UNKNOWN} if delivery is None else detail.context(delivery, _number(request))


def _number(request: HttpRequest) -> int:
    text = request.GET.get("attempt", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0


@require_safe
@loads_delivery
def show(request: HttpRequest, delivery: Delivery) -> HttpResponse:
    return whole_page(request, "deliveries/show.html", detail.context(delivery, _number(request)))


@require_safe
@loads_delivery
def only_detail(request: HttpRequest, delivery: Delivery) -> HttpResponse:
    """The detail alone."""
    return render(request, "deliveries/_detail.html", detail.context(delivery, _number(request)))


@require_POST
@loads_delivery
def act(request: HttpRequest, delivery: Delivery, verb: str) -> HttpResponse:
    """Retry now, cancel retries or resend; the answer is the detail of the delivery to watch now."""
    verbs = {
        "retry": ("retried", delivery.retry),
        "cancel": ("cancelled", delivery.cancel),
        "resend": ("resent", delivery.resend),
    }
    if verb not in verbs:
        raise Http404(verb)
    return _done(request, delivery, *verbs[verb])


def _done(
    request: HttpRequest, delivery: Delivery, word: str, action: Callable[[], Delivery | None]
) -> HttpResponse:
    """Do it and note who did, or say why not."""
    try:
        with writing():
            made = action()
            Activity.note("console", f"{word} delivery", delivery.pk, made.pk if made else "")
    except NotNow as error:
        return notice(request, str(error), status=409)
    return _detail(request, made or delivery)


@shows_a_form
@loads_delivery
def edit(request: HttpRequest, delivery: Delivery) -> HttpResponse:
    """The form to edit the event's bytes, and resending them as edited."""
    original = bytes(delivery.event.body)
    if request.method != "POST":
        text = original.decode(errors="replace")
        return render(request, "deliveries/_edit.html", {"delivery": delivery, "text": text})
    if "raw_body" not in request.POST:
        return notice(request, "raw_body is missing. Send the body's text in it.", status=400)
    # A form turns all line ends into CR LF, so an unedited body has to be recognised without regard to them.
    raw = request.POST["raw_body"].replace("\r\n", "\n").encode(errors="replace")
    if raw == original.replace(b"\r\n", b"\n"):
        raw = original
    elif len(raw) > MAX_BODY:
        return notice(request, WORDS[413], status=400)
    return _done(request, delivery, "resent", lambda: delivery.resend(raw))


def _detail(request: HttpRequest, delivery: Delivery) -> HttpResponse:
    if not request.htmx:
        return redirect("delivery", delivery.pk)
    fresh = detail.find(delivery.pk)
    assert fresh is not None
    return render(request, "deliveries/_detail.html", detail.context(fresh))


@require_safe
@loads_delivery
def curl(request: HttpRequest, delivery: Delivery) -> HttpResponse:
    """The chosen attempt, or the newest, as a command that sends the same bytes and headers once more."""
    attempt = _attempt(delivery, _number(request))
    attempts = [attempt_json(attempt, event_json(delivery.event))] if attempt else []
    text = export.curl({**delivery_json(delivery), "attempts": attempts}, bytes(delivery.event.body))
    return _text(text)


@require_safe
@loads_delivery
def signed(request: HttpRequest, delivery: Delivery) -> HttpResponse:
    """The signed bytes of the chosen attempt, or of the newest."""
    attempt = _attempt(delivery, _number(request))
    if attempt is None:
        raise Http404("Nothing is signed before the first attempt.")
    around = detail.signature(attempt, delivery)
    if around["changed"]:
        raise Http404("The endpoint has another scheme or secret now.")
    return _text(around["before"] + bytes(delivery.event.body).decode(errors="replace") + around["after"])


def _text(text: str) -> HttpResponse:
    return HttpResponse(text.encode(errors="backslashreplace"), content_type="text/plain; charset=utf-8")


@require_safe
@loads_delivery
def body(request: HttpRequest, delivery: Delivery, part: str) -> HttpResponse:
    """A whole body in one view (`?view=pretty|raw|hex`), as text to copy (`&copy`), or byte for byte (`?download`)."""
    number = _number(request)
    attempt = _attempt(delivery, number)
    raw, headers = _bytes(delivery, part, attempt)
    if "copy" in request.GET:
        return _text(bodies.copied(raw, request.GET.get("view", ""), headers=headers))
    if "download" in request.GET:
        response = HttpResponse(raw, content_type="application/octet-stream")
        response["Content-Disposition"] = f'attachment; filename="{delivery.pk}-{part}.bin"'
        response["Content-Security-Policy"] = "sandbox; default-src 'none'"
        return response
    shown = bodies.show(raw, request.GET.get("view", ""), headers=headers, whole="whole" in request.GET)
    context = {"shown": shown, "part": part, "delivery": delivery, "attempt": attempt}
    context |= {"number": number, "bytes": len(raw)}
    return render(request, "deliveries/_body.html", context)


def _bytes(delivery: Delivery, part: str, attempt: Attempt | None) -> tuple[bytes, Headers]:
    """The body, and the headers that say how to read it."""
    if part == "request":
        return bytes(delivery.event.body), ()
    if part != "response" or attempt is None:
        raise Http404("There is no such body.")
    return bytes(attempt.response_body or b""), attempt.response_headers or []


def _attempt(delivery: Delivery, number: int) -> Attempt | None:
    attempts = delivery.attempts.order_by("-number")
    return (attempts.filter(number=number) if number else attempts).first()
