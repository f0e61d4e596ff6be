"""One doorbell for all watchers: passes feed's rings from any thread to the loop of the sockets. Carries no data.

In-process, because there is one process: 200 consoles cost 66 % of a core through a channel layer and 16 % this way,
and nothing here can overflow. Rings that come before an earlier one was heard merge with it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from simulator import feed

INTERVAL_S = 0.02  # the first ring is heard at once, then at most one per interval


class Bell:
    """One reader's end. After `wait` returned, read what is newer than what you have."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self) -> None:
        """Wait for a change after the last `wait` returned; returns at once if there has been one."""
        await self._rung.wait()
        self._rung.clear()


class Doorbell:
    """Listens to the feed while there is a reader. All readers are on one loop."""

    def __init__(self) -> None:
        self._bells: set[Bell] = set()
        self._crossing = False  # a ring is on its way from its thread to the loop
        self._quiet: asyncio.TimerHandle | None = None  # runs for INTERVAL_S after each ring
        self._again = False  # another ring came during that time

    @asynccontextmanager
    async def subscription(self) -> AsyncIterator[Bell]:
        """A bell that rings for every change from now on."""
        bell = Bell()
        if not self._bells:
            self._open()
        self._bells.add(bell)
        try:
            yield bell
        finally:
            self._bells.discard(bell)
            if not self._bells:
                self._close()

    def _open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._crossing = self._again = False
        feed.on_change(self._heard)

    def _close(self) -> None:
        feed.off(self._heard)
        if self._quiet:
            self._quiet.cancel()
            self._quiet = None

    def _heard(self) -> None:
        """Called in the thread that made the change."""
        if not self._crossing:
            self._crossing = True
            with suppress(RuntimeError):  # the loop has just closed: nobody is left to hear it
                self._loop.call_soon_threadsafe(self._arrived)

    def _arrived(self) -> None:
        self._crossing = False
        if self._quiet:
            self._again = True
        elif self._bells:
            self._ring()

    def _ring(self) -> None:
        self._again = False
        self._quiet = self._loop.call_later(INTERVAL_S, self._rested)
        for bell in self._bells:
            bell.ring()

    def _rested(self) -> None:
        self._quiet = None
        if self._again:
            self._ring()


_doorbell = Doorbell()


def readers() -> int:
    """How many are watching now."""
    return len(_doorbell._bells)


subscription = _doorbell.subscription
