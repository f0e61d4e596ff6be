"""The send panel: what to send, who gets it, whether they can be reached, and the sending itself."""

from typing import Any

from django.db.models import prefetch_related_objects
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import trigger_client_event

from simulator.models import Batch, Endpoint
from simulator.models.event_type import known_types, sample_of
from simulator.reach import reach as reach_url
from simulator.sending import BadInput, checked_url
from simulator.transaction import writing

from .. import batches, forms, panel, verifying
from ..bodies import indented
from ..filters import Filter
from ..forms import pretty
from .deliveries import console
from .page import done, notice

TYPICAL_TIMEOUT = 3.0  # seconds that a person will wait for a dot


@require_POST
def send(request: HttpRequest) -> HttpResponse:
    """One event, once per token: a second click on the same form finds what the first one sent."""
    form = forms.SendForm(request.POST)
    made = form.send() if form.is_valid() else None
    if made is None:
        return _outcome(request, {"form": form}, 400)
    if isinstance(made, Batch):
        if not request.htmx:
            return redirect("console")
        context = {"token": forms.new_token(), "started": made, "batch": batches.at_hand()}
        return render(request, "send/_started.html", context)
    if not request.htmx and made:
        return redirect("delivery", made[0].pk)
    if len(made) > 1 or any(delivery.held for delivery in made):  # then the outcome names them
        prefetch_related_objects(made, "endpoint")
    return _outcome(request, {"sent": made})


def _outcome(request: HttpRequest, said: dict[str, Any], status: int = 200) -> HttpResponse:
    """The outcome under the button of the present page; without a script, in a new page that keeps what was typed."""
    if not request.htmx:
        return console(request, said, status)
    return render(request, "send/_outcome.html", {"token": forms.new_token(), **said}, status=status)


@require_POST
def stop(request: HttpRequest, batch_id: str) -> HttpResponse:
    """Stop a batch, and say how many were sent. One that has ended stays as it is."""
    with writing():
        batch = Batch.objects.filter(pk=batch_id).first()
        if batch and batch.status == "running":
            batch.stop(actor="console")
    if batch is None:
        return notice(request, "There is no such batch.", status=404)
    if not request.htmx:
        return redirect("console")
    return render(request, "send/_batch.html", {"batch": batches.standing(batch)})


@require_safe
def sample(request: HttpRequest) -> HttpResponse:
    """Fresh data of a type, in its text field."""
    type = request.GET.get("type", "")
    text = pretty(sample_of(type)) if type in known_types() else "{}"
    return render(request, "send/_payload.html", {"sample": text})


@require_POST
def check(request: HttpRequest) -> HttpResponse:
    """Whether the data can be sent, with line and column of the first error."""
    return render(request, "send/_validity.html", forms.judged(request.POST.get("data", "")))


@require_POST
def format(request: HttpRequest) -> HttpResponse:
    """The data with line breaks and indents, every token as it was typed."""
    text = request.POST.get("data", "")
    sample = indented(text) if "data" in forms.judged(text) else text
    return render(request, "send/_payload.html", {"sample": sample})


@require_safe
def who(request: HttpRequest) -> HttpResponse:
    """Who gets it, and who does not and why."""
    chosen = request.GET.get("endpoint", "")
    one = Endpoint.objects.listed().filter(pk=chosen)
    shown = panel.recipients(chosen, request.GET.get("type", ""), one)
    return render(request, "send/_audience.html", shown)


@require_safe
def endpoints(request: HttpRequest) -> HttpResponse:
    """The endpoints to choose from now, for sending and (`filter`) for the list.

    `waits` is a batch that the page shows as held; once it no longer is, the answer triggers `batch:goes-on` there.
    """
    context = {**panel.choices(request.GET.get("endpoint", "")), "oob": True}
    context["filter"] = asked = Filter.of({"endpoint": request.GET.get("filter", "")})
    context["unlisted"] = asked.unlisted(context["endpoints"])
    response = render(request, "send/_endpoints.html", context)
    batch = Batch.objects.filter(pk=request.GET.get("waits", "")).first()
    if batch and not batch.held_by():
        trigger_client_event(response, "batch:goes-on", {"id": batch.pk})
    return response


@require_POST
def reach(request: HttpRequest) -> HttpResponse:
    """The dot beside a URL or an endpoint: look-up, connect and TLS, no byte of HTTP."""
    url, tls_verify, timeout = request.POST.get("url", ""), True, TYPICAL_TIMEOUT
    if "endpoint" in request.POST:
        endpoint = Endpoint.objects.listed().filter(pk=request.POST["endpoint"]).first()
        if endpoint is None:
            return render(request, "send/_reach.html", {})
        url, tls_verify = endpoint.url, endpoint.tls_verify
    try:
        found = reach_url(checked_url(url.strip()), timeout=timeout, tls_verify=tls_verify)
    except BadInput as error:
        return render(request, "send/_reach.html", {"bad": error.message})
    return render(
        request, "send/_reach.html", {"found": found, "took": sum(filter(None, found["phases"].values()))}
    )


@require_POST
def receiver(request: HttpRequest) -> HttpResponse:
    """Register "Your receiver": one field, then the secret once, and how to verify."""
    form = forms.ReceiverForm(request.POST)
    if not form.is_valid():
        said = {"receiver": form, "yours": request.POST.get("url", "")}
        if not request.htmx:
            return console(request, said, 400)
        return render(request, "send/_receiver.html", {"token": forms.new_token(), **said}, status=400)
    endpoint = form.save()
    if not request.htmx:
        return done("registered", "endpoint", endpoint.pk)
    context = {
        "endpoint": endpoint,
        "secret": endpoint.current_secret(),
        "snippets": verifying.snippets(endpoint.profile),
        **panel.choices(endpoint.pk),
        "token": forms.new_token(),
    }
    response = render(request, "send/_registered.html", context)
    response["HX-Retarget"], response["HX-Reswap"] = "#detail", "innerHTML"
    return response
