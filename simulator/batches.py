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
GROUP = 128  # events made in one transaction: a click never waits for more than that

_OPEN = """
SELECT id FROM simulator_batch WHERE made < count AND stopped_at IS NULL ORDER BY id LIMIT 1"""
_BACKLOG = """
SELECT count(*) FROM (SELECT 1 FROM simulator_delivery WHERE lane = %s AND due_at <= %s LIMIT %s) AS waiting"""
_EVENT = """
INSERT INTO simulator_event (id, type, body, created_at, batch_id) {values}"""
_DELIVERY = f"""
INSERT INTO simulator_delivery (id, seq, event_id, endpoint_id, type, due_at, created_at, status, trigger, lane,
                                manual, cancelling, indexed, attempt_count, failed_count)
SELECT v.*, 'pending', 'api', {BATCH}, FALSE, FALSE, FALSE, 0, 0 FROM ({{values}}) AS v"""


def make(now: datetime) -> bool:
    """Make the next group of the oldest open batch, unless enough of it waits; True when anything was made."""
    found = query(_OPEN)
    if not found:
        return False
    ((backlog,),) = query(_BACKLOG, [BATCH, written(now), AHEAD])
    if backlog >= AHEAD:
        return False
    batch = Batch.objects.get(pk=found[0][0])
    if batch.type not in known_types():
        batch.stop(actor="engine", why=f"the event type {batch.type} was deleted")
        return True
    endpoints = _audience(batch)
    count = min(batch.count - batch.made, max(1, min(GROUP, AHEAD - backlog) // max(1, len(endpoints))))
    _make(batch, count, endpoints, now)
    change("UPDATE simulator_batch SET made = made + %s WHERE id = %s", [count, found[0][0]])
    return True


def _audience(batch: Batch) -> list[int]:
    """Those of its endpoints that are still there and not paused, as numbers."""
    chosen = batch.endpoints
    if chosen is not None:
        there = set(Endpoint.objects.alive().filter(pk__in=chosen).values_list("pk", flat=True))
        chosen = [pk for pk in chosen if pk in there]
    getting, _ = audience(batch.type, chosen)
    return [ids.decode("ep", endpoint.pk) or 0 for endpoint in getting]


def _make(batch: Batch, count: int, endpoints: list[int], now: datetime) -> None:
    events, at = ids.new_many(count), written(now)
    batch_id = ids.decode("bat", batch.pk)
    change_many(
        _EVENT, ((event, batch.type, _body(batch.type, event, now), at, batch_id) for event in events)
    )
    pairs: list[Any] = [(event, endpoint) for event in events for endpoint in endpoints]
    if pairs:
        rows = zip(ids.new_many(len(pairs)), feed.take(len(pairs)), pairs, strict=True)
        change_many(_DELIVERY, ((id, seq, event, to, batch.type, at, at) for id, seq, (event, to) in rows))
        feed.announce()


def _body(type: str, event: int, now: datetime) -> bytes:
    return catalog.envelope(ids.encode("evt", event), type, now, sample_of(type))
