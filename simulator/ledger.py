"""What the engine writes: each step one whole transaction, in the engine's own database thread. Knows no loop.

Except `claim_new`, which is part of another transaction and runs in its thread.
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
from .surroundings import JUMP_S, Clock, DatabaseFile, LogDeleted
from .target import Targets
from .transaction import checkpoint, if_nobody_writes, refused, writing

RECLAIM_S = 5.0


@dataclass(slots=True)
class Turn:
    """What one group commit brought."""

    claims: list[Claim]
    next_due: datetime | None


@dataclass(slots=True, eq=False)
class Waiting:
    """Waits for the next turn: results to record, claims to give back."""

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
    """The group commits, and the steps before the first and after the last. `scale` multiplies retry delays."""

    def __init__(self, path: Path, scale: float) -> None:
        self._scale = scale
        self._targets = targets = Targets()
        self._claims, self._batches = Claims(targets), batches.Batches(targets)
        self._file = DatabaseFile(path)
        self._clock = Clock()
        self._moved = 0.0  # seconds of a clock jump by which the timetables of what is out were already moved
        self._reclaimed_at = 0.0
        self._room = Room(0, 0, {})  # what the last turn left
        self._clicked: set[Claim] = set()  # claimed by `claim_new`, and no turn has counted them as out yet
        self.taking = False  # whether `claim_new` may claim
        self.clock_set = 0.0  # seconds by which the wall clock was last set

    @property
    def untouched(self) -> bool:
        """Since the last turn nobody wrote to the database or set the clock: another would find nothing new."""
        return not self._clock.jump and self._file.untouched

    def turn(self, given: Waiting, room: Room, bulk: int, out: Iterable[Claim] = ()) -> Callable[[], Turn]:
        """The next group commit, with all that needs no database already done; makes at most `bulk` events of a batch.

        `room` is what is left besides the claims that are `out`. The step is for the database thread; where it takes
        long, it hardly needs the GIL.
        """
        out = frozenset(out)
        ahead = self._clock.jump - self._moved
        if abs(ahead) >= JUMP_S:  # only once, and before their results are drawn up
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
        self._file.seen()
        try:
            self._file.check()
        except LogDeleted:
            checkpoint()  # to where the next start finds it
            raise
        now = datetime.now(UTC)
        quiet = given.empty and not self._clock.jump and not refused()
        if quiet and not claims.anything(now, bulk=bulk > 0):
            with if_nobody_writes() as alone:
                if alone:
                    self._leave(room, out)
            return Turn([], claims.next_due(now))
        with writing():
            now = datetime.now(UTC)  # we may have waited for the lock
            if refused():
                feed.take()  # so that something is written: on a full disk an empty transaction succeeds
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
        """Leave `room` for clicks, less what those claimed after it was measured take."""
        self._clicked -= out
        for claim in self._clicked:
            room.take(claim.target, 1)
        self._room = room

    def claim_new(
        self, deliveries: Sequence[Delivery], hand_over: Callable[[list[Claim]], object]
    ) -> dict[Delivery, State]:
        """Claim clicks in the transaction that is about to insert them; return the states of those claimed.

        `hand_over` gets them once it is committed, before readers are told and still under the lock of `writing()`:
        before anything that another transaction causes.
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
        """The endpoint was deleted, and nothing of it is out."""
        self._targets.forget(endpoint)

    def settle(self) -> None:
        """After `taking` was switched off: wait until all that `claim_new` claimed has been handed over."""
        with writing():
            pass

    def recover(self) -> None:
        """Recover what a killed process left behind."""
        with writing():
            now = datetime.now(UTC)
            results.recover(now)
            if claims.clock_set_back(now) > JUMP_S:
                claims.pull_in(now, self._scale)

    def start_again(self, given: Waiting) -> None:
        """After a bug in the loop: record what came back, and treat everything else as cut off."""
        with writing():
            results.record(given.results, self._scale)
            results.note_late(given.late)
            results.recover(datetime.now(UTC))
            self._clicked.clear()

    def close(self, given: Waiting, unsent: list[Claim]) -> None:
        """The last step of this thread: interrupt what is still in flight, give back what was not sent."""
        with writing():
            now = datetime.now(UTC)
            results.record(given.results, self._scale)
            results.note_late(given.late)
            claims.release([*given.released, *unsent], now)
            results.recover(now, stopping=True)
        connection.close()
