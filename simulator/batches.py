"""Makes the events of open batches, a group at a time, no faster than they are delivered. Knows no loop.

Runs inside `writing()`, in the engine's own thread. What is made ahead is bounded, so that a batch of 100,000
costs no memory, does not fill the queue, and can be stopped at once.
"""

from datetime import datetime
from typing import Any

from . import catalog, feed, ids
from .models import Batch, Endpoint
from .models.delivery import BATCH
from .models.endpoint import audience
from .models.event_type import known_types, sample_of
from .rows import change, change_many, query, written

AHEAD = 512  # deliveries that wait in the batch lane
GROUP = 64  # events made in one transaction: a click never waits for more than that

_OPEN = """
SELECT id, type, count - made FROM simulator_batch
WHERE made < count AND stopped_at IS NULL AND id > %s ORDER BY id LIMIT 1"""
_ENDPOINTS = (
    "SELECT count(*), sum(revision) FROM simulator_endpoint"  # differs after any change to any of them
)
_BACKLOG = """
SELECT count(*) FROM (SELECT 1 FROM simulator_delivery WHERE lane = %s AND due_at <= %s LIMIT %s) AS waiting"""
_EVENT = """
INSERT INTO simulator_event (id, type, body, created_at, batch_id) {values}"""
_DELIVERY = f"""
INSERT INTO simulator_delivery (id, seq, event_id, endpoint_id, type, due_at, created_at, status, trigger, lane,
                                manual, cancelling, indexed, attempt_count, failed_count)
SELECT v.*, 'pending', 'api', {BATCH}, FALSE, FALSE, FALSE, 0, 0 FROM ({{values}}) AS v"""


class Batches:
    """Makes what open batches promise. Remembers who gets the batch at hand, until an endpoint changes.

    A batch that only paused endpoints would get is held, as their deliveries are, and the next one has its turn.
    """

    def __init__(self) -> None:
        self._known: tuple[object, ...] = ()
        self._getting: list[int] = []
        self._held = 0  # up to this one all open batches are held

    def make(self, now: datetime) -> bool:
        """Make the next group of the oldest open batch, unless enough of it waits; True when anything was made."""
        if self._held and self._known[1:] != query(_ENDPOINTS)[0]:
            self._held = 0
        found = query(_OPEN, [self._held])
        if not found or query(_BACKLOG, [BATCH, written(now), AHEAD - GROUP])[0][0] >= AHEAD - GROUP:
            return False
        ((batch, type, left),) = found
        known = (batch, *query(_ENDPOINTS)[0])
        if known != self._known:
            ready = self._prepare(batch)
            self._known = known
            if not ready:
                return True
        count = min(left, max(1, GROUP // max(1, len(self._getting))))
        _make(batch, type, count, self._getting, now)
        return True

    def _prepare(self, number: int) -> bool:
        """Find out who gets it: those of its endpoints that are still there and not paused. False when it is not to be made now."""
        batch = Batch.objects.get(pk=number)
        if batch.type not in known_types():
            batch.stop(actor="engine", why=f"the event type {batch.type} was deleted")
            return False
        chosen = batch.endpoints
        if chosen is not None:
            there = set(Endpoint.objects.alive().filter(pk__in=chosen).values_list("pk", flat=True))
            chosen = [pk for pk in chosen if pk in there]
            if not chosen:
                batch.stop(actor="engine", why="its endpoints were deleted")
                return False
        getting, skipped = audience(batch.type, chosen)
        if not getting and any(why == "paused" for _, why in skipped):
            self._held = number
            return False
        self._getting = [ids.decode("ep", endpoint.pk) or 0 for endpoint in getting]
        return True


def _make(batch: int, type: str, count: int, endpoints: list[int], now: datetime) -> None:
    events, at = ids.new_many(count), written(now)
    change_many(_EVENT, ((event, type, _body(type, event, now), at, batch) for event in events))
    pairs: list[Any] = [(event, endpoint) for event in events for endpoint in endpoints]
    if pairs:
        rows = zip(ids.new_many(len(pairs)), feed.take(len(pairs)), pairs, strict=True)
        change_many(_DELIVERY, ((id, seq, event, to, type, at, at) for id, seq, (event, to) in rows))
        feed.announce()
    change("UPDATE simulator_batch SET made = made + %s WHERE id = %s", [count, batch])


def _body(type: str, event: int, now: datetime) -> bytes:
    return catalog.envelope(ids.encode("evt", event), type, now, sample_of(type))
