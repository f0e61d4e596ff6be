"""Maintenance of the database: checkpoints and text indexing, at moments when nobody has to wait for them.

Called between the turns of the engine, on its loop; the work is done in its database thread.
"""

import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from django.db import DatabaseError

from . import searchable, transaction
from .courtesy import Courtesy

CHECKPOINT_S = 0.25  # between checkpoints: each copies a few pages and keeps writers out for a few ms
CHECKPOINT_RESTS = 8  # times as long as a checkpoint took; with 16 it would not keep up with text indexing
QUIET_S = 0.2  # after so long without a claim or a result nobody minds if the writer is busy for 10 ms
INDEX_S = 1.0


class Upkeep:
    """`in_database` runs a step in the engine's database thread."""

    def __init__(
        self, courtesy: Courtesy, in_database: Callable[[Callable[[], Any]], Awaitable[Any]]
    ) -> None:
        self._courtesy = courtesy
        self._in_database = in_database
        self._busy_at = self._indexed_at = 0.0
        self.checkpoint_at = 0.0  # the earliest time of the next one, monotonic
        self.to_index = True  # there may be something to index

    async def after(self, *, busy: bool) -> bool:
        """To be called after a turn; `busy`: it claimed or recorded something. True: there is more, go on at once.

        Raises DatabaseError when a text cannot be indexed.
        """
        indexed = await self._index(busy)
        if busy or indexed:
            await self._checkpoint()
        return indexed

    async def _index(self, busy: bool) -> bool:
        """Indexing can wait: it happens when there is nothing else to do, or a group per second; a large text only when
        for a second nobody has been active and nothing was sent."""
        now = time.monotonic()
        if busy:
            self._busy_at = now
            self.to_index = True
        if self._courtesy.asked or now - self._busy_at < QUIET_S and now - self._indexed_at < INDEX_S:
            return False
        self._indexed_at = now
        large = not self._courtesy.recent and now - self._busy_at >= INDEX_S
        indexed: bool = await self._in_database(partial(searchable.index_some, large=large))
        self.to_index = indexed or not large
        return indexed

    async def _checkpoint(self) -> None:
        """Checkpoint before SQLite does so itself in the middle of a commit that the loop or a click waits for."""
        began = time.monotonic()
        if began < self.checkpoint_at + self._courtesy.asked:  # one second later if somebody is waiting now
            return
        with contextlib.suppress(DatabaseError):  # a commit will report it; until then the log has it all
            await self._in_database(transaction.checkpoint)
        ended = time.monotonic()
        self.checkpoint_at = ended + max(CHECKPOINT_S, CHECKPOINT_RESTS * (ended - began))
