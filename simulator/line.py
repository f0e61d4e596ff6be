"""The attempts of one endpoint: those in flight, those claimed a moment ahead, and how fast it answers."""

import asyncio
import time
from collections import deque

from .claims import Claim

AHEAD_S = (
    0.02  # claim what it answers within about two group commits, so that a fast receiver never waits for one
)
STALE_S = 0.25  # a claim not sent by then is given back: the endpoint has become slow
NEWEST_WEIGHS = 0.3  # share of the newest answer in the pace


class Line:
    """Never more than the endpoint's limit in flight; what was claimed ahead waits here, bounded and briefly."""

    def __init__(self) -> None:
        self.waiting: deque[Claim] = deque()
        self.attempts: set[asyncio.Task[None]] = set()
        self.in_flight = 0
        self._limit = 0
        self._revision: int | None = None
        self._pace_s: float | None = None  # smoothed seconds an attempt takes; None: nothing known yet

    def room(self) -> int:
        """How many more may be claimed."""
        ahead = 0 if self._pace_s is None else int(self._limit * AHEAD_S / max(self._pace_s, 1e-4))
        return self._limit + ahead - self.out

    def add(self, claim: Claim) -> bool:
        """Append a claim; True when the endpoint was edited since the one before, so that nothing old is reused."""
        target = claim.target
        edited = self._revision not in (None, target.revision)
        self.waiting.append(claim)
        self._limit, self._revision = target.max_in_flight, target.revision
        return edited

    def next(self) -> Claim | None:
        """The claim to send now, if the endpoint's limit allows one."""
        if self.waiting and self.in_flight < self._limit:
            self.in_flight += 1
            return self.waiting.popleft()
        return None

    def ended(self, seconds: float | None) -> None:
        """An attempt is over (None: cut off): its slot is free at the answer, not at the commit of its result."""
        self.in_flight -= 1
        if seconds is None:
            return
        known = seconds if self._pace_s is None else self._pace_s
        self._pace_s = known + (seconds - known) * NEWEST_WEIGHS

    def stale(self) -> list[Claim]:
        """What was claimed ahead and has waited too long, taken out of the line; the pace is unlearned with it."""
        if not self.waiting or time.monotonic() - self.waiting[0].claimed_at < STALE_S:
            return []
        given_back, self.waiting = list(self.waiting), deque()
        self._pace_s = None
        return given_back

    @property
    def out(self) -> int:
        """Claims that are in flight or wait to be sent."""
        return self.in_flight + len(self.waiting)

    @property
    def idle(self) -> bool:
        return not self.out
