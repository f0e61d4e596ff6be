"""Who costs the loop more than a moment goes on in turns, all together in a share of it. Knows no connection."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

FREE_S = 0.01
"""What one may cost in the half of the loop that is for large answers; all who go beyond share a twentieth."""
AHEAD_S = 0.004
AROUND_S = 0.00005
"""What the loop does around a turn."""


class Turns:
    """One at a time, who has cost least first, and between two turns the loop is left to others.

    Costs are of this thread alone: a machine that had no time for us is no flood.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._rests_until = 0.0
        self._turning = False

    def wait(self, spent: float, go_on: Callable[[], None]) -> None:
        """`go_on` is called once, when it is the turn of one that has `spent` so many seconds of the loop."""
        heapq.heappush(self._waiting, (spent, next(self._numbers), go_on))
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        if not self._waiting:
            self._turning = False
            return
        spent, _, go_on = heapq.heappop(self._waiting)
        began = time.thread_time()
        try:
            go_on()
        finally:  # a fault of one is not to end the turns of all
            self._rest((time.thread_time() - began + AROUND_S) * (1 if spent < FREE_S else 19))

    def _rest(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._rests_until = max(self._rests_until, now) + seconds
        if self._rests_until < now + AHEAD_S:  # an honest large answer alone is through before it has to wait
            loop.call_soon(self._turn)
        else:
            loop.call_at(self._rests_until, self._turn)
