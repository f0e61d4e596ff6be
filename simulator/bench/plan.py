"""How much a bench measures: a short look, the usual minute, or all of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """How much of everything. Times in seconds."""

    name: str
    rounds: int
    events: int  # a round
    bare_s: float
    clicks: int
    pages: int
    batch: int  # events under which clicks and pages are timed
    idle_s: float
    history: int  # rows
    lists: int  # requests for each list
    watched: int  # events that many streams follow
    waiting: int  # deliveries that wait while others are retried; no more than the history has
    retries: int
    deliveries: int = 0  # at least so many in all before memory is measured


QUICK = Plan("quick", 3, 400, 0.15, 20, 5, 1_500, 0.5, 2_000, 3, 200, 1_000, 10)
DEFAULT = Plan("default", 3, 8_000, 1.5, 200, 60, 20_000, 5, 100_000, 20, 5_000, 100_000, 200)
FULL = Plan(
    "full", 5, 15_000, 3, 500, 200, 20_000, 10, 1_000_000, 50, 10_000, 100_000, 500, deliveries=100_000
)
