"""The endpoints: where deliveries go, whether they can be reached, and their secrets."""

from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from simulator import engine, ids
from simulator.api.errors import problem_of
from simulator.models import Activity, Delivery, Endpoint
from simulator.models.endpoint import edition
from simulator.models.event_type import sample_of
from simulator.models.secret import masked
from simulator.reach import reach
from simulator.sending import Content, send_test
from simulator.transaction import writing

from .. import verifying, words
from ..endpoint_form import EndpointForm
from .page import done, notice, shows_a_form, whole_page

PAGE = 50
LOOKED_AT = 2000  # the newest deliveries, from which the figures of the cards are counted
OVERLAPS = {"0": "at once", "3600": "1 hour", "86400": "24 hours", "604800": "7 days"}

T = TypeVar("T")
View = Callable[..., HttpResponse]


def loads_endpoint(view: View) -> View:
    """Turns the URL's id into the endpoint; 404 if there is none (any more)."""

    @wraps(view)
    def loaded(request: HttpRequest, endpoint_id: str, **rest: object) -> HttpResponse:
        endpoint = _find(endpoint_id)
        if endpoint is None:
            return _gone(request)
        try:
            return view(request, endpoint, **rest)
        except Endpoint.DoesNotExist:
            return _gone(request)

    return loaded


def _gone(request: HttpRequest) -> HttpResponse:
    return notice(request, "This endpoint is gone. It may have been deleted in another tab.", status=404)


def _find(pk: str) -> Endpoint | None:
    """Also finds one made for a `send --to`, which is on no list: if a 410 pauses it, a person has to resume it."""
    return Endpoint.objects.alive().prefetch_related("secrets").filter(pk=pk).first()


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The newest, or those older than the endpoint `before`."""
    before = request.GET.get("before", "")
    now = edition()  # from before the query: no change falls in between
    listed = Endpoint.objects.listed().prefetch_related("secrets").order_by("-pk")
    if ids.decode("ep", before) is not None:
        listed = listed.filter(pk__lt=before)
    found = list(listed[: PAGE + 1])
    if before and not found:
        return redirect("endpoints")
    shown = found[:PAGE]
    older = shown[-1].pk if found[PAGE:] else ""
    context = {"cards": _cards(shown), "older": older, "edition": now}
    return whole_page(request, "endpoints/index.html", context)


def _cards(endpoints: list[Endpoint]) -> list[dict[str, Any]]:
    """The content of the cards, with one query for the figures of all."""
    counts: dict[str, Counter[str]] = {endpoint.pk: Counter() for endpoint in endpoints}
    newest = Delivery.objects.order_by("-pk").values_list("endpoint_id", "status")[:LOOKED_AT]
    for endpoint_id, status in newest:
        if endpoint_id in counts:
            counts[endpoint_id][status] += 1
    return [_card(endpoint, counts[endpoint.pk]) for endpoint in endpoints]


def _card(endpoint: Endpoint, counts: Counter[str]) -> dict[str, Any]:
    now = timezone.now()
    secrets = sorted(endpoint.secrets.all(), key=lambda one: one.pk, reverse=True)
    ended = counts["succeeded"] + counts["failed"]
    return {
        "endpoint": endpoint,
        "name": words.place(endpoint),
        "secrets": [(masked(one.value), one.expires_at) for one in secrets if one.signs_at(now)],
        "counts": counts,
        "unfinished": counts["pending"] + counts["sending"],
        "rate": f"{100 * counts['succeeded'] / ended:.0f} %" if ended else "",
        "overlaps": OVERLAPS,
    }


@require_safe
@loads_endpoint
def show(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    return _show(request, endpoint)


def _show(request: HttpRequest, endpoint: Endpoint, **said: Any) -> HttpResponse:
    """`said` is the outcome of a button pressed without a script."""
    context = {
        "edition": edition(),
        "cards": _cards([endpoint]),
        "snippets": verifying.snippets(endpoint.profile),
        "endpoint": endpoint,
    }
    return whole_page(request, "endpoints/show.html", context | said)


@require_safe
def snippets(request: HttpRequest, endpoint_id: str) -> HttpResponse:
    """The code that verifies what this endpoint is sent; also of one that was deleted."""
    endpoint = get_object_or_404(Endpoint, pk=endpoint_id)
    return render(request, "snippets/_snippets.html", {"snippets": verifying.snippets(endpoint.profile)})


@shows_a_form
def create(request: HttpRequest) -> HttpResponse:
    form = EndpointForm(request.POST if request.method == "POST" else None)
    made = _stored(form, form.register)
    if made is None:
        return _form(request, form, None)
    endpoint, fresh = made
    if not fresh:
        return done("registered", "endpoint", endpoint.pk)
    context = {
        "endpoint": endpoint,
        "secret": endpoint.current_secret(),
        "snippets": verifying.snippets(endpoint.profile),
    }
    return whole_page(request, "endpoints/created.html", context)


@shows_a_form
@loads_endpoint
def edit(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    form = EndpointForm(request.POST if request.method == "POST" else None, endpoint=endpoint)
    saved = _stored(form, form.change)
    return done("saved", "endpoint", endpoint.pk) if saved else _form(request, form, endpoint)


def _stored(form: EndpointForm, store: Callable[[], T]) -> T | None:
    """What `store` returns, if a valid form was sent. A database that cannot be written becomes the form's error."""
    if not form.is_bound:
        return None
    try:
        with writing():  # what is checked is what is saved
            return store() if form.is_valid() else None
    except DatabaseError as error:
        form.full_clean()  # it may have failed before the form was validated
        form.add_error(None, problem_of(error).message)
        return None


def _form(request: HttpRequest, form: EndpointForm, endpoint: Endpoint | None) -> HttpResponse:
    status = 409 if form.conflicts else 503 if form.non_field_errors() else 400 if form.errors else 200
    return whole_page(request, "endpoints/edit.html", {"form": form, "endpoint": endpoint}, status)


@require_POST
@loads_endpoint
def status(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """Pause or resume, whichever the button said: a second click changes nothing."""
    wanted = request.POST.get("status")
    if wanted == "paused":
        endpoint.pause()
    elif wanted == "enabled":
        endpoint.resume()
    return _show_card(request, endpoint)


def _show_card(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    if not request.htmx:
        return redirect("endpoint", endpoint.pk)
    return render(request, "endpoints/_card.html", {"card": _fresh_card(endpoint)})


def _fresh_card(endpoint: Endpoint) -> dict[str, Any]:
    fresh = _find(endpoint.pk)
    if fresh is None:
        raise Endpoint.DoesNotExist(endpoint.pk)
    return _cards([fresh])[0]


@require_POST
@loads_endpoint
def test(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """One sample event of the first type it subscribes to; the answer leads to its delivery."""
    type = next((one for one in endpoint.events if one != "*"), "lead.qualified")
    delivery = send_test(endpoint.pk, Content(type, sample_of(type)), actor="console")
    if not request.htmx:
        return redirect("delivery", delivery.pk)
    return render(request, "endpoints/_tested.html", {"delivery": delivery, "card": _fresh_card(endpoint)})


@require_POST
@loads_endpoint
def check(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """Look-up, connection and TLS, with the time each took; no byte of HTTP."""
    with writing():
        Activity.note("console", "checked endpoint", endpoint.pk)
    found = reach(endpoint.url, timeout=endpoint.timeout, tls_verify=endpoint.tls_verify)
    phases = [(name, took) for name, took in found["phases"].items() if took is not None]
    if not request.htmx:
        return _show(request, endpoint, found=found, phases=phases)
    return render(request, "endpoints/_checked.html", {"found": found, "phases": phases})


@require_POST
@loads_endpoint
def secret(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """The secret in plain text, and a note in the activity that it was shown."""
    with writing():
        Activity.note("console", "revealed secret", endpoint.pk)
    return _secret(request, {"secret": endpoint.current_secret()})


@require_POST
@loads_endpoint
def rotate(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """A new secret; the old one signs as well for the chosen overlap."""
    overlap = request.POST.get("overlap", "86400")
    if overlap not in OVERLAPS:
        return notice(request, "Choose one of the offered overlaps.", status=400)
    value, end = endpoint.rotate_secret(overlap_seconds=int(overlap), actor="console")
    context = {"secret": value, "end": end if int(overlap) else None, "rotated": True}
    return _secret(request, context | {"card": _fresh_card(endpoint)})


def _secret(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    if request.htmx:
        return render(request, "endpoints/_secret.html", context)
    return whole_page(request, "endpoints/secret.html", context | {"card": None})  # no card here to renew


@shows_a_form
@loads_endpoint
def delete(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """Asks first, and says what is lost: only what still waits."""
    if request.method == "POST":
        endpoint.remove(actor="console")
        engine.abandon(endpoint.pk)
        return done("deleted", "endpoints")
    waiting = endpoint.deliveries.unfinished()[:1000].count()
    context = {"endpoint": endpoint, "waiting": waiting}
    if request.htmx:
        return render(request, "endpoints/_delete.html", context)
    return whole_page(request, "endpoints/delete.html", context)
