"""What header and banners of every page show; the socket sends it when it changes."""

from typing import Any

from django.template.loader import render_to_string

from simulator import engine
from simulator.models.delivery import HELD
from simulator.rows import query, written

from . import words

MOST = 2000  # unfinished deliveries counted: nobody needs an exact figure beyond
# Held deliveries are due last, so this bound cuts them off first and hides nothing that moves. SQL, because page and
# socket ask this all the time.
_UNFINISHED = f"""
SELECT CASE WHEN due_at = '{written(HELD)}' THEN 'held' WHEN status = 'sending' THEN 'sending'
            WHEN attempt_count > 0 THEN 'retrying' ELSE 'waiting' END AS state, count(*)
FROM (SELECT due_at, status, attempt_count FROM simulator_delivery
      WHERE due_at IS NOT NULL ORDER BY due_at LIMIT %s) AS unfinished
GROUP BY state"""


def counters() -> dict[str, Any]:
    """How many deliveries are under way, waiting to be retried, waiting for their first attempt, or held."""
    found = dict(query(_UNFINISHED, [MOST]))
    return {**found, "more": sum(found.values()) == MOST}


def context() -> dict[str, Any]:
    return {"counters": counters(), "banners": words.banners(engine.troubles(), engine.notices())}


def render() -> tuple[str, str]:
    """(counters, banners) as the page shows them."""
    about = context()
    return render_to_string("_counters.html", about), render_to_string("_banners.html", about)
