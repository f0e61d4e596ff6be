"""What a person waits for goes before bulk. Knows no request and no row; lives on the engine's loop.

Bulk stands still while somebody waits, but at most nine tenths of the time: no polling may keep a batch from getting
on. While people are active it moves in small steps with rests between them, since the next one waits for a step's end.
While somebody waits, threads also hand over the GIL sooner: a click passes from one to another several times, and each
time waits for one that computes, such as one that renders a page.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MOST_S = 0.25  # at a stretch
EARNS = 9  # seconds of standing still for each second in which bulk may go on
RECENT_S = 1.0
TURNS_S = 0.00002  # interval for handing over the GIL; even five times this, if permanent, slows bulk by 7 %
REST_S = 0.024  # between small steps of 2 to 4 ms: a newcomer finds the loop free 7 times out of 8


class Courtesy:
    """`resume` is called when bulk may go on."""

    def __init__(self, resume: Callable[[], object]) -> None:
        self._resume = resume
        self._waiting = 0
        self._began = self._ended = time.monotonic() - RECENT_S  # nobody has been here yet
        self._usual_turns = TURNS_S
        self._saved = MOST_S  # seconds that bulk may stand still, earned while it could go on
        self._limit: asyncio.TimerHandle | None = None
        self._rest: asyncio.TimerHandle | None = None

    @property
    def asked(self) -> bool:
        """Somebody waits, and bulk has not stood still for long."""
        return self._limit is not None

    @property
    def recent(self) -> bool:
        """Somebody waits or did a moment ago: bulk moves in small steps, since the next one waits for a step's end."""
        return self.asked or time.monotonic() - self._ended < RECENT_S

    def rests(self, since: float) -> bool:
        """Whether it is too early for a small step after one at `since` (monotonic); if so, `resume` comes later."""
        left = since + REST_S - time.monotonic()
        if self._rest is not None:
            self._rest.cancel()
        self._rest = asyncio.get_running_loop().call_later(left, self._rested) if left > 0 else None
        return left > 0

    def _rested(self) -> None:
        if not self.asked:  # otherwise `_end` resumes it; now it would only be in the way of whoever waits
            self._resume()

    @contextmanager
    def attending(self) -> Iterator[None]:
        """Somebody waits for what is done inside."""
        self._waiting += 1
        if not self.asked:
            self._begin()
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._end()

    def _begin(self) -> None:
        self._began = time.monotonic()
        self._saved = min(MOST_S, self._saved + EARNS * (self._began - self._ended))
        self._limit = asyncio.get_running_loop().call_later(self._saved, self._end)
        self._usual_turns = sys.getswitchinterval()
        sys.setswitchinterval(TURNS_S)

    def _end(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
            sys.setswitchinterval(self._usual_turns)
            self._ended = time.monotonic()
            self._saved = max(0.0, self._saved - (self._ended - self._began))
            self._resume()
