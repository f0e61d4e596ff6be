"""What the header and the banners of every page say, and the socket when it changes."""

from typing import Any

from django.template.loader import render_to_string

from simulator import engine
from simulator.models import Delivery

from . import words

MOST = 2000  # unfinished deliveries looked at: a count is for people, not for accountants


def counters() -> dict[str, Any]:
    """How many deliveries are under way, waiting to be retried, or waiting for their first attempt."""
    unfinished = list(
        Delivery.objects.filter(due_at__isnull=False).order_by().values_list("status", "attempt_count")[:MOST]
    )
    return {
        "sending": sum(status == "sending" for status, _ in unfinished),
        "retrying": sum(status == "pending" and count > 0 for status, count in unfinished),
        "waiting": sum(status == "pending" and count == 0 for status, count in unfinished),
        "more": len(unfinished) == MOST,
    }


def context() -> dict[str, Any]:
    return {"counters": counters(), "banners": words.banners(engine.troubles(), engine.notices())}


def render() -> tuple[str, str]:
    """(counters, banners) as the page shows them."""
    about = context()
    return render_to_string("_counters.html", about), render_to_string("_banners.html", about)
