"""The send panel: what to send, who gets it, whether they can be reached, and the sending itself."""

from typing import Any

from django.db.models import prefetch_related_objects
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from simulator.models import Batch, Endpoint
from simulator.models.endpoint import audience
from simulator.models.event_type import known_types, sample_of
from simulator.reach import reach as reach_url
from simulator.sending import BadInput, checked_url
from simulator.transaction import writing

from .. import batches, forms, verifying
from ..bodies import indented
from ..forms import pretty
from .page import notice

EVERYONE = "everyone"
YOURS = "http://localhost:3000/webhook"
TYPICAL_TIMEOUT = 3.0  # seconds: what a person waits for a dot


def panel(request: HttpRequest) -> dict[str, Any]:
    """What the send panel shows at first: everything filled in, so that the first click works."""
    endpoints = list(Endpoint.objects.listed().order_by("pk"))
    types = known_types()
    type = request.GET.get("send") if request.GET.get("send") in types else types[0]
    return {
        "endpoints": endpoints,
        "types": types,
        "sample": pretty(sample_of(type)),
        "token": forms.new_token(),
        "yours": YOURS,
        "has_own": any(endpoint.origin == Endpoint.REGISTERED for endpoint in endpoints),
        **(_alone(endpoints[0], endpoints[0].pk, type) if endpoints else _audience(EVERYONE, type)),
        "batch": batches.at_hand(),
    }


@require_POST
def send(request: HttpRequest) -> HttpResponse:
    """One event, once a token: a second click on the same form finds what the first one sent."""
    form = forms.SendForm(request.POST)
    made = form.send() if form.is_valid() else None
    if made is None:
        return render(request, "send/_outcome.html", {"form": form, "token": forms.new_token()}, status=400)
    context = {"token": forms.new_token()}
    if isinstance(made, Batch):
        if not request.htmx:  # type: ignore[attr-defined]
            return redirect("console")
        return render(request, "send/_started.html", context | {"started": made, "batch": batches.at_hand()})
    if not request.htmx and made:  # type: ignore[attr-defined]
        return redirect("delivery", made[0].pk)
    if len(made) > 1 or any(delivery.held for delivery in made):  # then the outcome names them
        prefetch_related_objects(made, "endpoint")
    return render(request, "send/_outcome.html", context | {"sent": made})


@require_POST
def stop(request: HttpRequest, batch_id: str) -> HttpResponse:
    """Make no more of it, and say how many were sent. One that has ended stays as it is."""
    with writing():
        batch = Batch.objects.filter(pk=batch_id).first()
        if batch and batch.status == "running":
            batch.stop(actor="console")
    if batch is None:
        return notice(request, "There is no such batch.", status=404)
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("console")
    return render(request, "send/_batch.html", {"batch": batches.standing(batch)})


@require_GET
def sample(request: HttpRequest) -> HttpResponse:
    """Fresh data of a type, in its text field."""
    type = request.GET.get("type", "")
    text = pretty(sample_of(type)) if type in known_types() else "{}"
    return render(request, "send/_payload.html", {"sample": text})


@require_POST
def check(request: HttpRequest) -> HttpResponse:
    """Whether the data can be sent, with line and column of what stands in the way."""
    return render(request, "send/_validity.html", forms.judged(request.POST.get("data", "")))


@require_POST
def format(request: HttpRequest) -> HttpResponse:
    """The data with line breaks and indents, every token as it was typed."""
    text = request.POST.get("data", "")
    sample = indented(text) if "data" in forms.judged(text) else text
    return render(request, "send/_payload.html", {"sample": sample})


@require_GET
def who(request: HttpRequest) -> HttpResponse:
    """Who gets it, and who does not and why."""
    return render(
        request,
        "send/_audience.html",
        _audience(request.GET.get("endpoint", ""), request.GET.get("type", "")),
    )


def _audience(chosen: str, type: str) -> dict[str, Any]:
    if chosen == EVERYONE:
        getting, skipped = audience(type)
        return {"getting": getting, "skipped": skipped, "type": type, "chosen": chosen}
    return _alone(_listed(chosen), chosen, type)


def _alone(endpoint: Endpoint | None, chosen: str, type: str) -> dict[str, Any]:
    return {"getting": [endpoint] if endpoint else [], "skipped": [], "type": type, "chosen": chosen}


def _listed(pk: str) -> Endpoint | None:
    return Endpoint.objects.listed().filter(pk=pk).first()


@require_POST
def reach(request: HttpRequest) -> HttpResponse:
    """The dot beside a URL or an endpoint: look-up, connect and TLS, no byte of HTTP."""
    url, tls_verify, timeout = request.POST.get("url", ""), True, TYPICAL_TIMEOUT
    if "endpoint" in request.POST:
        endpoint = _listed(request.POST["endpoint"])
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
        context = {"form": form, "yours": request.POST.get("url", ""), "token": forms.new_token()}
        return render(request, "send/_receiver.html", context, status=400)
    endpoint = form.save()
    context = {
        "endpoint": endpoint,
        "secret": endpoint.current_secret(),
        "snippets": verifying.snippets(endpoint.profile),
        "endpoints": Endpoint.objects.listed().order_by("pk"),
        "chosen": endpoint.pk,
        "token": forms.new_token(),
        "yours": YOURS,
    }
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("endpoint", endpoint.pk)
    response = render(request, "send/_registered.html", context)
    response["HX-Retarget"], response["HX-Reswap"] = "#detail", "innerHTML"
    return response
