"""Makes the events of open batches, a group at a time, no faster than they are delivered. Knows no loop.

A group is drawn up beforehand, with samples made and attempts signed, without the database; then one step in the
engine's own thread, inside `writing()`, writes what is still valid of it: events, deliveries, and the attempts for
which there is room, claimed as they are inserted. So a batch of 100,000 costs no memory, does not fill the queue, and
can be stopped at once.
"""

import time
from collections.abc import Callable
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from . import feed, ids, samples
from .claims import Claim, Room, intend, intent, lease, prepared
from .models import Batch, delivery, event
from .models.delivery import BATCH, PENDING, SENDING
from .models.event_type import known_types, sampler
from .payload import envelope
from .rows import as_json, change, query, written
from .target import Target, Targets

AHEAD = 20_000  # deliveries of a batch that may wait because one of its endpoints is slower than the others
DRAW_UP_S = 0.006
GROUP = 128  # deliveries made in one transaction: a click never waits for more

# The open batches, with the state of endpoints and type: a change of it may change who gets what.
_STATE = """
SELECT b.id, b.count - b.made, (SELECT count(*) FROM simulator_endpoint),
  (SELECT sum(revision) FROM simulator_endpoint), (SELECT example FROM simulator_customtype c WHERE c.type = b.type)
FROM simulator_batch b WHERE b.made < b.count AND b.stopped_at IS NULL ORDER BY b.id"""
_WAITING = """
SELECT count(*) FROM (
  SELECT 1 FROM simulator_delivery
  WHERE lane = %s AND endpoint_id IN (SELECT value FROM json_each(%s)) AND due_at <= %s LIMIT %s) AS waiting"""
Row = tuple[Any, ...]
# Numbers of the delivery and the event, the endpoint, and the attempt if there is room for one.
Birth = tuple[int, int, Target, tuple[Claim, Row] | None]


class Open(NamedTuple):
    """An open batch, how to make its samples, and who gets it; valid until its type or an endpoint changes.

    `held`: all endpoints that would get it are paused.
    """

    number: int
    type: str
    sample: Callable[[], dict[str, Any]]
    targets: list[Target]
    held: bool
    known: Row


class Group(NamedTuple):
    """Events drawn up but not written yet, and the deliveries of each."""

    batch: Open
    events: list[Row]
    births: list[list[Birth]]


class Batches:
    """Makes the events of open batches, one batch after the other in turn.

    One whose endpoints have no room, because they hang, are slow or paused, does not hold up the others.
    """

    def __init__(self, targets: Targets | None = None) -> None:
        self._targets = targets or Targets()
        self._open: dict[int, Open] = {}
        self._left: dict[int, int] = {}
        self._full: set[int] = set()  # batches of which so much waits that no more is made
        self._last = 0  # the batch that had the last turn
        self.more = False  # there is something to make, and room for it

    def draw_up(self, room: Room, now: datetime, most: int = GROUP) -> Group | None:
        """The next events of a batch, at most as many as there is room to send. Asks no database and does not hold up
        the loop: with large events it stops early, and only endpoints with room get an attempt."""
        if most <= 0:
            return None
        in_turn = sorted(self._open.values(), key=lambda batch: (batch.number <= self._last, batch.number))
        batch = next((batch for batch in in_turn if self._fitting(batch, room) > 0), None)
        if batch is None:
            return None
        self._last = batch.number
        count = min(most, self._fitting(batch, room))
        began, at, events, births = time.monotonic(), written(now), [], []
        numbers = iter(ids.new_many(2 * count * len(batch.targets)))
        free, rooms = min(room.free, GROUP), {to.id: room.of(to, BATCH) for to in batch.targets}
        for number in ids.new_many(count):
            body = envelope(ids.encode("evt", number), batch.type, now, batch.sample())
            events.append((number, batch.type, body, at, batch.number))
            due = (None, BATCH, number, batch.type, body, 0, 0, False, None, False)
            born: list[Birth] = []
            for to in batch.targets:
                delivery, attempt = next(numbers), None
                if free > 0 and rooms[to.id] > 0:
                    free, rooms[to.id] = free - 1, rooms[to.id] - 1
                    claim = prepared(to, (delivery, *due), next(numbers), now)
                    attempt = claim, intent(claim, at)
                born.append((delivery, number, to, attempt))
            births.append(born)
            if time.monotonic() - began > DRAW_UP_S:
                break
        return Group(batch, events, births)

    def make(self, group: Group | None, room: Room, now: datetime) -> list[Claim]:
        """Write what is still valid of the group and return its claims. Also finds out what to make next."""
        unopened = self._look()
        batch = group.batch if group and self._open.get(group.batch.number) is group.batch else None
        for number in self._full | ({batch.number} if batch else set()):
            self._weigh(number, now)
        taken = self._write(group, room, now) if group and batch else []
        self.more = unopened or any(self._fitting(batch, room) > 0 for batch in self._open.values())
        return taken

    def _look(self) -> bool:
        """Find the open batches and what is left of each. Open one that is new or changed; True if there was one."""
        found = query(_STATE)
        self._left = {number: left for number, left, *_ in found}
        known = {number: tuple(rest) for number, _, *rest in found}
        self._open = {
            number: batch for number, batch in self._open.items() if known.get(number) == batch.known
        }
        new = next((number for number in known if number not in self._open), None)
        if new is None:
            return False
        if opened := self._opened(new, known[new]):
            self._open[new] = opened
        return True

    def _weigh(self, number: int, now: datetime) -> None:
        """Note whether so much of it waits that no more is made. A single endpoint gets only what it has room for."""
        batch = self._open.get(number)
        self._full.discard(number)
        if batch and len(batch.targets) > 1:
            to = as_json([target.id for target in batch.targets])
            ((waiting,),) = query(_WAITING, [BATCH, to, written(now), AHEAD])
            if waiting >= AHEAD:
                self._full.add(number)

    def _fitting(self, batch: Open, room: Room) -> int:
        """How many of its events can be made now, so that at least one endpoint has room for each."""
        left = self._left.get(batch.number, 0)
        if batch.held or batch.number in self._full or room.free <= 0 and batch.targets:
            return 0
        if not batch.targets:
            return min(left, GROUP)
        widest = max(room.of(target, BATCH) for target in batch.targets)
        return min(left, widest, room.free, max(1, GROUP // len(batch.targets)))

    def _write(self, group: Group, room: Room, now: datetime) -> list[Claim]:
        count = min(len(group.events), self._fitting(group.batch, room))
        if count <= 0:
            return []
        self._left[group.batch.number] -= count
        rows, taken, attempts = [], [], []
        births = list(chain.from_iterable(group.births[:count]))
        at, leases = written(now), {to.id: lease(to, now) for to in group.batch.targets}
        for seq, (number, of, to, attempt) in zip(feed.take(len(births)), births, strict=True):
            if attempt and room.free > 0 and room.of(to, BATCH) > 0:
                room.take(to, 1)
                taken.append(attempt[0])
                attempts.append(attempt[1])
                state = (SENDING, leases[to.id], 1)
            else:
                state = (PENDING, at, 0)
            rows.append((number, seq, of, to.id, group.batch.type, at, "api", BATCH, *state))
        event.insert(group.events[:count])
        delivery.insert(rows)
        intend(attempts)
        change("UPDATE simulator_batch SET made = made + %s WHERE id = %s", [count, group.batch.number])
        feed.announce()
        return taken

    def _opened(self, number: int, known: Row) -> Open | None:
        """The batch with those of its endpoints that are still there and not paused. None if it had to be stopped."""
        batch = Batch.objects.get(pk=number)
        if batch.type not in known_types():
            batch.stop(actor="engine", why=f"the event type {batch.type} was deleted")
            return None
        getting, skipped = batch.audience()
        if batch.endpoints and not getting and not skipped:
            batch.stop(actor="engine", why="its endpoints were deleted")
            return None
        held = not getting and any(why == "paused" for _, why in skipped)
        wanted = [(ids.decode("ep", to.pk) or 0, to.revision) for to in getting]
        self._targets.prepare(wanted)
        targets = [self._targets.of(*each) for each in wanted]
        samples.prepare()  # not on the loop, where groups are drawn up
        return Open(number, batch.type, sampler(batch.type), targets, held, known)
