"""Work that takes the loop more than a moment is done in turns, in a bounded share of its time. Knows no connection."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

FREE_S = 0.01
"""Up to this an answer may use half of the loop; those that need more share a twentieth of it."""
AHEAD_S = 0.004
AROUND_S = 0.00005
"""What the loop itself spends on a turn."""


class Turns:
    """One at a time, the cheapest so far first; between two turns the loop is left to others.

    Costs are processor time of this thread: a busy machine does not make an answer dear.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._rests_until = 0.0
        self._turning = False

    def wait(self, spent: float, go_on: Callable[[], None]) -> None:
        """Call `go_on` once, when it is the turn of an answer that has `spent` so many seconds of the loop."""
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
        finally:  # a fault in one turn must not end the others
            self._rest((time.thread_time() - began + AROUND_S) * (1 if spent < FREE_S else 19))

    def _rest(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._rests_until = max(self._rests_until, now) + seconds
        if self._rests_until < now + AHEAD_S:  # a large answer that is alone gets through without a wait
            loop.call_soon(self._turn)
        else:
            loop.call_at(self._rests_until, self._turn)
