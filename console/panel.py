"""What the send panel shows: everything filled in so that the first click works, or what was typed into it."""

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.models import Endpoint
from simulator.models.endpoint import audience, edition
from simulator.models.event_type import known_types, sample_of

from . import batches
from .forms import new_token, pretty

EVERYONE = "everyone"
BESIDE = 20  # event types shown side by side; more are a list that opens, in which typing letters finds one
YOURS = "http://localhost:3000/webhook"


def context(typed: Mapping[str, str]) -> dict[str, Any]:
    """`typed` has the form's field names; fields that it leaves out get their defaults."""
    given, types = choices(), known_types()
    endpoints = given["endpoints"]
    type = typed.get("type") if typed.get("type") in types else types[0]
    chosen = typed.get("endpoint") or _likeliest(endpoints)
    alone = next((one for one in endpoints if one.pk == chosen), None)
    return {
        **given,
        "types": types,
        "many_types": len(types) > BESIDE,
        "sample": typed["data"] if "data" in typed else pretty(sample_of(type)),
        "copies": typed.get("copies", "1"),
        "token": new_token(),
        "yours": "" if _own(endpoints) else YOURS,
        "batch": batches.at_hand(),
        **(_everyone(type) if chosen == EVERYONE else _alone(alone, chosen, type)),
    }


def _own(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    return [one for one in endpoints if one.origin != Endpoint.BUILTIN]


def _likeliest(endpoints: Sequence[Endpoint]) -> str:
    """Who has registered a receiver of his own wants to send to that one, the newest: not to the built-in ones."""
    best = _own(endpoints)[-1:] or endpoints[:1]
    return best[0].pk if best else EVERYONE


def choices() -> dict[str, Any]:
    """`edition` is read before the query, so that no change is lost between page and socket."""
    now = edition()
    return {"edition": str(now), "endpoints": list(Endpoint.objects.listed().named().order_by("pk"))}


def recipients(chosen: str, type: str) -> dict[str, Any]:
    """Who gets it, and who does not and why."""
    if chosen == EVERYONE:
        return _everyone(type)
    return _alone(Endpoint.objects.listed().filter(pk=chosen).first(), chosen, type)


def _everyone(type: str) -> dict[str, Any]:
    getting, skipped = audience(type)
    return {"getting": getting, "skipped": skipped, "type": type, "chosen": EVERYONE}


def _alone(endpoint: Endpoint | None, chosen: str, type: str) -> dict[str, Any]:
    getting = [endpoint] if endpoint else []
    return {"getting": getting, "skipped": [], "type": type, "chosen": chosen, "gone": endpoint is None}
