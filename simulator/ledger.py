"""What the engine writes: each step one whole transaction, in the engine's own database thread. Knows no loop.

But for `claim_new`, which is part of somebody else's transaction and runs in his thread.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from django.db import connection, transaction

from . import batches, claims, feed, results
from .claims import Claim, Claims, Room
from .models import Delivery
from .models.delivery import SENDING, State
from .outcome import LateAnswer
from .results import Result
from .surroundings import JUMP_S, Clock, DatabaseFile
from .target import Targets
from .transaction import if_nobody_writes, refused, writing

RECLAIM_S = 5.0


@dataclass(slots=True)
class Turn:
    """What one group commit brought."""

    claims: list[Claim]
    next_due: datetime | None


@dataclass(slots=True, eq=False)
class Waiting:
    """Handed to the next turn: results to record, claims to give back."""

    results: list[Result] = field(default_factory=list)
    released: list[Claim] = field(default_factory=list)
    abandoned: list[Claim] = field(default_factory=list)
    late: list[tuple[Claim, LateAnswer]] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.results or self.released or self.abandoned or self.late)

    def ended(self) -> list[Claim]:
        """The claims that are no longer out once this is committed."""
        return [*(result.claim for result in self.results), *self.released, *self.abandoned]

    def before(self, later: "Waiting") -> "Waiting":
        return Waiting(
            self.results + later.results,
            self.released + later.released,
            self.abandoned + later.abandoned,
            self.late + later.late,
        )


class Ledger:
    """Group commits, and what comes before the first and after the last. `scale` multiplies retry delays."""

    def __init__(self, path: Path, scale: float) -> None:
        self._scale = scale
        self._targets = targets = Targets()
        self._claims, self._batches = Claims(targets), batches.Batches(targets)
        self._file = DatabaseFile(path)
        self._clock = Clock()
        self._moved = 0.0  # seconds of a jump by which the timetables of what is out have been moved already
        self._reclaimed_at = 0.0
        self._room = Room(0, 0, {})  # what the last turn left
        self._clicked: set[Claim] = set()  # claimed where they were stored, and not seen among those out yet
        self.taking = False  # whether clicks may be claimed where they are stored
        self.clock_set = 0.0  # seconds by which the wall clock was last set

    @property
    def untouched(self) -> bool:
        """Neither was the database written to since the last turn nor the clock set: a turn would find nothing new."""
        return not self._clock.jump and self._file.untouched

    def turn(self, given: Waiting, room: Room, bulk: int, out: Iterable[Claim] = ()) -> Callable[[], Turn]:
        """The next group commit, with all that needs no database drawn up; at most `bulk` events of a batch are made.

        `room` is what there is besides the claims that are `out`. The step is for the database thread; should it take
        long, it needs the GIL little.
        """
        out = frozenset(out)
        if (
            abs(ahead := self._clock.jump - self._moved) >= JUMP_S
        ):  # before results of theirs are drawn up, and once
            claims.shift_standing(out, ahead)
            self._moved += ahead
        group = results.draw_up(given.results, self._scale)
        births = self._batches.draw_up(room, datetime.now(UTC), bulk)
        return partial(self._commit, given, group, births, room, bulk, out)

    def _commit(
        self,
        given: Waiting,
        group: results.Group,
        births: batches.Group | None,
        room: Room,
        bulk: int,
        out: frozenset[Claim],
    ) -> Turn:
        self._file.check()
        now = datetime.now(UTC)
        self._file.seen()
        quiet = given.empty and not self._clock.jump and not refused()
        if quiet and not claims.anything(now, bulk=bulk > 0):
            with if_nobody_writes() as alone:
                if alone:
                    self._leave(room, out)
            return Turn([], claims.next_due(now))
        with writing():
            now = datetime.now(UTC)  # the lock may have taken its time
            if refused():
                feed.take()  # to write something: on a full disk an empty transaction succeeds
            self._leave(room, out)
            if jump := self._clock.jump:
                claims.shift(jump)
            results.write(group, self._scale)
            results.note_late(given.late)
            results.interrupt_claims(given.abandoned, now)
            claims.release(given.released, now)
            if time.monotonic() - self._reclaimed_at > RECLAIM_S:
                self._reclaimed_at = time.monotonic()
                results.reclaim(now, {claim.delivery for claim in out | self._clicked})
            taken = self._claims.claim(room, now)
            if bulk:
                taken += self._batches.make(births, room, now)
            turn = Turn(taken, now if bulk and self._batches.more else claims.next_due(now))
        if jump:
            self._clock.accept(jump)
            self._moved -= jump
            self.clock_set = jump
        return turn

    def _leave(self, room: Room, out: frozenset[Claim]) -> None:
        """What clicks may take from now on: `room`, but for the clicks that came after it was measured."""
        self._clicked -= out
        for claim in self._clicked:
            room.take(claim.target, 1)
        self._room = room

    def claim_new(
        self, deliveries: Sequence[Delivery], hand_over: Callable[[list[Claim]], object]
    ) -> dict[Delivery, State]:
        """Claim clicks in the transaction that is about to insert them, in its thread; the states of those it claimed.

        `hand_over` gets them once that is committed, before the readers are told, and still under the lock of
        `writing()`: so before anything that another transaction leads to.
        """
        if not self.taking:
            return {}
        now = datetime.now(UTC)
        taken = self._claims.claim_new(deliveries, self._room, now)
        if taken:
            transaction.on_commit(partial(self._clicked.update, taken.values()))
            transaction.on_commit(partial(hand_over, list(taken.values())))
        return {one: (SENDING, claims.lease(claim.target, now), claim.number) for one, claim in taken.items()}

    def forget(self, endpoint: int) -> None:
        """It was deleted, and nothing of it is left."""
        self._targets.forget(endpoint)

    def settle(self) -> None:
        """After `taking` was switched off: when this returns, all that was claimed has been handed over."""
        with writing():
            pass

    def recover(self) -> None:
        """What a killed process left behind."""
        with writing():
            now = datetime.now(UTC)
            results.recover(now)
            if claims.clock_set_back(now) > JUMP_S:
                claims.pull_in(now, self._scale)

    def start_again(self, given: Waiting) -> None:
        """After a bug in the loop: keep what came back, and take everything else as cut off."""
        with writing():
            results.record(given.results, self._scale)
            results.note_late(given.late)
            results.recover(datetime.now(UTC))
            self._clicked.clear()

    def close(self, given: Waiting, unsent: list[Claim]) -> None:
        """The last step of this thread: what is still in flight is interrupted, what was not sent is given back."""
        with writing():
            now = datetime.now(UTC)
            results.record(given.results, self._scale)
            results.note_late(given.late)
            claims.release([*given.released, *unsent], now)
            results.recover(now, stopping=True)
        connection.close()
