"""What the send panel shows: everything filled in so that the first click works, or what was typed into it."""

from collections.abc import Iterable, Mapping, Sequence
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
    given, types = choices(typed.get("endpoint", "")), known_types()
    type = typed.get("type") if typed.get("type") in types else types[0]
    return {
        **given,
        **recipients(given["chosen"], type, given["endpoints"]),
        "types": types,
        "many_types": len(types) > BESIDE,
        "sample": typed["data"] if "data" in typed else pretty(sample_of(type)),
        "copies": typed.get("copies", "1"),
        "token": new_token(),
        "yours": "" if _own(given["endpoints"]) else YOURS,
        "batch": batches.at_hand(),
    }


def _own(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    return [one for one in endpoints if one.origin != Endpoint.BUILTIN]


def _likeliest(endpoints: Sequence[Endpoint]) -> str:
    """Who has registered a receiver of his own wants to send to that one, the newest: not to the built-in ones."""
    best = _own(endpoints)[-1:] or endpoints[:1]
    return best[0].pk if best else EVERYONE


def choices(chosen: str) -> dict[str, Any]:
    """The endpoints; the likeliest is chosen unless another was. A deleted one stays chosen: no other may get what was
    meant for it. `edition` is read before the query, so that no change is lost between page and socket.
    """
    now = edition()
    endpoints = list(Endpoint.objects.listed().named().order_by("pk"))
    valid = [*(each.pk for each in endpoints), EVERYONE]
    chosen = chosen or _likeliest(endpoints)
    return {"edition": str(now), "endpoints": endpoints, "chosen": chosen, "gone": chosen not in valid}


def recipients(chosen: str, type: str, endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Who gets it, and who does not and why; a chosen one is looked up in `endpoints`."""
    if chosen == EVERYONE:
        getting, skipped = audience(type)
    else:
        getting, skipped = [each for each in endpoints if each.pk == chosen], []
    return {"getting": getting, "skipped": skipped, "type": type, "chosen": chosen}
