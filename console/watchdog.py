"""Says when the event loop stood still, for how long and where: every page, socket and delivery waits for it meanwhile.

Knows nothing of any of them. A browser that draws on the same two cores has kept even an idle process waiting for
0.7 s: where the loop had no core, that is said and no place. The processor time of all threads tells a fault of ours
from other waiting, as for a disk.
"""

import asyncio
import logging
import os
import sys
import threading
import time
import traceback
from typing import Any

STALL_S = 0.1
LOOK_S = 0.1  # ten looks a second cost a thousandth of a core
LONG_S = 0.02  # what has taken so long already is looked at: of a stall of 0.12 s and more the place is known
HANGS_S = 5  # it may never end: this is said at once
FRAMES = 8  # of the stack, the innermost ones: what called them is the loop
log = logging.getLogger(__name__)


class Watchdog:
    """Watches a selector loop, made in its thread, until it is closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        selector: Any = loop._selector
        self._select, selector.select = selector.select, self._selected
        self._loop_thread = threading.get_ident()
        self._busy_since: float | None = time.monotonic()
        self._computed = time.process_time()  # when it began to be busy
        self._schedstat = _opened(f"/proc/self/task/{threading.get_native_id()}/schedstat")
        self._waited_before = self._waited()
        self._seen: tuple[float, str] = (0.0, "")  # the newest stack, and since when the loop was busy then
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def _selected(self, timeout: float | None = None) -> Any:
        """The loop's own wait. All it does between two of them it does without looking at anything else."""
        since, self._busy_since = self._busy_since, None
        if since is not None and (stood := time.monotonic() - since) > STALL_S:
            self._tell(stood, since)
        try:
            return self._select(timeout)
        finally:
            self._computed = time.process_time()
            self._busy_since = time.monotonic()

    def _tell(self, stood: float, since: float) -> None:
        before, self._waited_before = self._waited_before, self._waited()
        if self._waited_before - before > stood / 2:
            log.info("The event loop stood still for %.2f s: the machine was busy with other programs", stood)
            return
        when, stack = self._seen
        where = f", in:\n{stack}" if when == since else ""
        computed = time.process_time() - self._computed
        words = "The event loop stood still for %.2f s, with %.2f s of processor time%s"
        log.warning(words, stood, computed, where)

    def _watch(self) -> None:
        """From another thread, because a loop that stands still cannot look at itself."""
        told = 0.0
        while not self._loop.is_closed():
            time.sleep(LOOK_S)
            since = self._busy_since
            if since is None or time.monotonic() - since < LONG_S:
                self._waited_before = self._waited()
                continue
            self._seen = since, self._stack()
            if time.monotonic() - since > HANGS_S and told != since:
                told = since
                log.error("The event loop has stood still for %d s, in:\n%s", HANGS_S, self._seen[1])

    def _waited(self) -> float:
        """Seconds in all that the loop's thread could have run and had no core; 0 where the system does not say."""
        return int(os.pread(self._schedstat, 100, 0).split()[1]) / 1e9 if self._schedstat else 0.0

    def _stack(self) -> str:
        frame = sys._current_frames()[self._loop_thread]
        return "".join(traceback.format_stack(frame, FRAMES)).rstrip()


def _opened(path: str) -> int | None:
    """Kept open: it is read ten times a second."""
    try:
        return os.open(path, os.O_RDONLY)
    except OSError:
        return None
