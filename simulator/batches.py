"""Makes the events of open batches, a group at a time, no faster than they are delivered. Knows no loop.

A group is drawn up beforehand, its samples made and its attempts signed, without a look at the database; then one
step in the engine's own thread, inside `writing()`, writes what still holds of it: events, deliveries, and the
attempts for which there is room, claimed as they are born. So a batch of 100,000 costs no memory, does not fill the
queue, and can be stopped at once.
"""

import time
from collections.abc import Callable
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from . import catalog, feed, ids
from .claims import Claim, Room, intend, intent, lease, prepared
from .models import Batch, delivery, event
from .models.delivery import BATCH, PENDING, SENDING
from .models.endpoint import edition
from .models.event_type import known_types, sampler
from .rows import change, query, written
from .target import Target, Targets

AHEAD = 512  # deliveries that wait in the batch lane
DRAW_UP_S = 0.006
GROUP = 128  # deliveries made in one transaction: a click never waits for more than that

# The oldest open batch, the state of the endpoints and of its type, and how much of the lane waits.
_STATE = """
SELECT b.id, b.count - b.made, (SELECT count(*) FROM simulator_endpoint),
  (SELECT sum(revision) FROM simulator_endpoint), (SELECT example FROM simulator_customtype c WHERE c.type = b.type),
  (SELECT count(*) FROM (SELECT 1 FROM simulator_delivery WHERE lane = %s AND due_at <= %s LIMIT %s) AS waiting)
FROM simulator_batch b WHERE b.made < b.count AND b.stopped_at IS NULL AND b.id > %s ORDER BY b.id LIMIT 1"""
Row = tuple[Any, ...]


class Open(NamedTuple):
    """The batch at hand, its samples and who gets it, as long as neither its type nor an endpoint changes."""

    number: int
    type: str
    sample: Callable[[], dict[str, Any]]
    targets: list[Target]
    known: Row


class Group(NamedTuple):
    """Events that are drawn up and not written yet; for each the claims of its deliveries, with their attempts."""

    batch: Open
    events: list[Row]
    births: list[list[tuple[Claim, Row]]]


class Batches:
    """Makes what open batches promise. Remembers the one at hand.

    A batch that only paused endpoints would get is held, as their deliveries are, and the next one has its turn.
    """

    def __init__(self, targets: Targets | None = None) -> None:
        self._targets = targets or Targets()
        self._open: Open | None = None
        self._left = 0
        self._held = 0  # up to this one all open batches are held
        self._held_by: Row = ()
        self.more = False  # there is something to make, and room for it

    def draw_up(self, room: Room, now: datetime, most: int = GROUP) -> Group | None:
        """The next events of the batch at hand, at most as many as there is room to send. Asks no database, and
        stops early when it would hold up the loop: with large events, or with many endpoints."""
        batch, count = self._open, min(most, self._fitting(room))
        if batch is None or count <= 0:
            return None
        began, at, events, births = time.monotonic(), written(now), [], []
        numbers = iter(ids.new_many(2 * count * len(batch.targets)))
        for number in ids.new_many(count):
            body = catalog.envelope(ids.encode("evt", number), batch.type, now, batch.sample())
            events.append((number, batch.type, body, at, batch.number))
            due = (None, BATCH, number, batch.type, body, 0, 0, False, None, False)
            claims = [prepared(to, (next(numbers), *due), next(numbers), now) for to in batch.targets]
            births.append([(claim, intent(claim, at)) for claim in claims])
            if time.monotonic() - began > DRAW_UP_S:
                break
        return Group(batch, events, births)

    def make(self, group: Group | None, room: Room, now: datetime) -> list[Claim]:
        """Write what still holds of the group; returns what of it is claimed. Finds out what is to be made next."""
        self.more = False
        if self._held and self._held_by != edition():
            self._held = 0
        found = query(_STATE, [BATCH, written(now), AHEAD, self._held])
        if not found:
            self._open = None
            return []
        ((number, self._left, *known, waiting),) = found
        if self._open is None or (self._open.number, self._open.known) != (number, tuple(known)):
            self._open = self._opened(number, tuple(known))
            self.more = True
            return []
        if waiting >= AHEAD:
            return []
        taken = self._write(group, room, now) if group and group.batch is self._open else []
        self.more = self._fitting(room) > 0
        return taken

    def _fitting(self, room: Room) -> int:
        """How many events of the batch at hand can be made now: somebody is to have room for each."""
        if self._open is None:
            return 0
        if not self._open.targets:
            return min(self._left, GROUP)
        widest = max(room.of(target, BATCH) for target in self._open.targets)
        return min(self._left, widest, room.free, max(1, GROUP // len(self._open.targets)))

    def _write(self, group: Group, room: Room, now: datetime) -> list[Claim]:
        count = min(len(group.events), self._fitting(room))
        if count <= 0:
            return []
        self._left -= count
        rows, taken, attempts = [], [], []
        births = list(chain.from_iterable(group.births[:count]))
        at, leases = written(now), {to.id: lease(to, now) for to in group.batch.targets}
        for seq, (claim, row) in zip(feed.take(len(births)), births, strict=True):
            to = claim.target
            if room.free > 0 and room.of(to, BATCH) > 0:
                room.take(to, 1)
                taken.append(claim)
                attempts.append(row)
                state = (SENDING, leases[to.id], 1)
            else:
                state = (PENDING, at, 0)
            rows.append((claim.delivery, seq, claim.event, to.id, group.batch.type, at, "api", BATCH, *state))
        event.insert(group.events[:count])
        delivery.insert(rows)
        intend(attempts)
        change("UPDATE simulator_batch SET made = made + %s WHERE id = %s", [count, group.batch.number])
        feed.announce()
        return taken

    def _opened(self, number: int, known: Row) -> Open | None:
        """Who gets it: those of its endpoints that are still there and not paused. None when it is not to be made now."""
        batch = Batch.objects.get(pk=number)
        if batch.type not in known_types():
            batch.stop(actor="engine", why=f"the event type {batch.type} was deleted")
            return None
        getting, skipped = batch.audience()
        if batch.endpoints is not None and not getting and not skipped:
            batch.stop(actor="engine", why="its endpoints were deleted")
            return None
        if not getting and any(why == "paused" for _, why in skipped):
            self._held, self._held_by = number, known[:2]
            return None
        targets = [self._targets.of(ids.decode("ep", to.pk) or 0, to.revision) for to in getting]
        sample = sampler(batch.type)
        sample()  # the first one of a process takes 0.3 s: here, and not when a group is drawn up on the loop
        return Open(number, batch.type, sample, targets, known)
