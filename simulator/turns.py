"""Answers that cost the loop more than a moment take turns, and share a part of its time. Knows no connection."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

FREE_S = 0.01
"""Up to this cost an answer shares half of the loop with the other large ones; beyond it, a twentieth."""
AHEAD_S = 0.004
AROUND_S = 0.00005
"""What the loop itself spends on a turn."""


class Turns:
    """One at a time, cheapest so far first; between two turns the loop is free for other work.

    Costs are this thread's processor time: a busy machine must not look like a flood of bytes.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._rests_until = 0.0
        self._turning = False

    def wait(self, spent: float, go_on: Callable[[], None]) -> None:
        """Call `go_on` once, when its turn comes; `spent` is how many seconds of the loop it has had so far."""
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
        finally:  # an error in one must not stop the turns of the others
            self._rest((time.thread_time() - began + AROUND_S) * (1 if spent < FREE_S else 19))

    def _rest(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._rests_until = max(self._rests_until, now) + seconds
        if self._rests_until < now + AHEAD_S:  # a single ordinary large answer is done before it has to wait
            loop.call_soon(self._turn)
        else:
            loop.call_at(self._rests_until, self._turn)
