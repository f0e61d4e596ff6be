"""The attempts of one endpoint: those in flight, those claimed a moment ahead, and how fast it answers."""

import asyncio
import time
from collections import deque
from itertools import chain

from .claims import LANES_IN_ORDER, Claim
from .models.delivery import BATCH

AHEAD_S = 0.02  # claim as many as it answers in two group commits or so: it never waits for one
STALE_S = 0.6  # a claim unsent for so long is given back: the endpoint got slow. Bulk alone may stand still for 0.25
NEWEST_WEIGHS = 0.3  # share of the newest answer in the pace
AT_REST_S = 0.5  # after so long without an attempt, what is known of its pace is out of date


class Line:
    """Keeps to the endpoint's limit of attempts in flight; what was claimed ahead waits here, bounded and briefly."""

    def __init__(self) -> None:
        self._lanes: tuple[deque[Claim], ...] = tuple(deque() for _ in LANES_IN_ORDER)
        self.attempts: dict[asyncio.Task[None], Claim] = {}  # slots in use, each with its claim in flight
        self.in_flight = 0
        self._limit = self._revision = 0
        self._pace_s: float | None = None  # smoothed seconds an attempt takes; None: nothing known yet
        self._ended_at = 0.0

    def room(self) -> int:
        """Return how many more claims it can take."""
        ahead = 0 if self._pace_s is None else int(self._limit * AHEAD_S / max(self._pace_s, 1e-4))
        return self._limit + ahead - self.out

    def add(self, claim: Claim) -> bool:
        """Append a claim; return False when its endpoint has been edited since the claim was made."""
        target = claim.target
        if target.revision < self._revision:
            return False
        self._lanes[claim.lane].append(claim)
        self._limit, self._revision = target.max_in_flight, target.revision
        return True

    def renew(self, revision: int, limit: int) -> list[Claim]:
        """Take over an edit of its endpoint; return the waiting claims, which were made before it."""
        self._limit, self._revision = limit, revision
        return self.withdraw()

    def next(self, *, bulk: bool = True) -> Claim | None:
        """Take out the claim to send now, if the endpoint's limit allows one: clicks before retries before `bulk`."""
        if self.in_flight < self._limit:
            for waiting in self._lanes if bulk else self._lanes[:BATCH]:
                if waiting:
                    self.in_flight += 1
                    return waiting.popleft()
        return None

    def ended(self, seconds: float | None) -> None:
        """Free the slot of an attempt that took so long (None: cut off): once it is answered, before the commit."""
        self.in_flight -= 1
        self._ended_at = time.monotonic()
        if seconds is None:
            return
        known = seconds if self._pace_s is None else self._pace_s
        self._pace_s = known + (seconds - known) * NEWEST_WEIGHS

    def withdraw(self) -> list[Claim]:
        """Take out and return all waiting claims."""
        taken = list(chain.from_iterable(self._lanes))
        for waiting in self._lanes:
            waiting.clear()
        return taken

    def stale(self) -> list[Claim]:
        """Withdraw all if one of them has waited too long, and forget the pace; return what was taken out."""
        oldest = min((waiting[0].claimed_at for waiting in self._lanes if waiting), default=None)
        if oldest is None or time.monotonic() - oldest < STALE_S:
            return []
        self._pace_s = None
        return self.withdraw()

    @property
    def out(self) -> int:
        """Claims that are in flight or wait to be sent."""
        return self.in_flight + sum(map(len, self._lanes))

    @property
    def idle(self) -> bool:
        return not self.out

    @property
    def at_rest(self) -> bool:
        """Nothing is out, nor was a moment ago, so that `room()` need not be asked."""
        return self.idle and time.monotonic() - self._ended_at > AT_REST_S
