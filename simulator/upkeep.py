"""What the database needs besides deliveries: its log copied and its texts indexed, when that is in nobody's way.

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

CHECKPOINT_S = 0.25  # so often the write-ahead log is copied: a few pages, for a few ms without writers
CHECKPOINT_RESTS = 8  # times as long as it took; twice as many, and it would not keep up with text indexing
QUIET_S = 0.2  # without a claim or a result: nobody minds if the writer is busy for 10 ms
INDEX_S = 1.0


class Upkeep:
    """`in_database` runs a step in the engine's database thread."""

    def __init__(
        self, courtesy: Courtesy, in_database: Callable[[Callable[[], Any]], Awaitable[Any]]
    ) -> None:
        self._courtesy = courtesy
        self._in_database = in_database
        self._busy_at = self._indexed_at = 0.0
        self.checkpoint_at = 0.0  # monotonic; not before that the next one
        self.to_index = True  # perhaps

    async def after(self, *, busy: bool) -> bool:
        """After a turn, which claimed or recorded something (`busy`). True: there is more, and no time to rest.

        Raises DatabaseError when a text cannot be indexed.
        """
        indexed = await self._index(busy)
        if busy or indexed:
            await self._checkpoint()
        return indexed

    async def _index(self, busy: bool) -> bool:
        """Text search can wait: index when there is nothing else to do, else a group a second. Large groups only after a
        second without visitors and without sending."""
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
        """Before SQLite would do it by itself in the middle of a commit, with the loop or a click behind it."""
        began = time.monotonic()
        if began < self.checkpoint_at + self._courtesy.asked:  # a second later, when somebody waits now
            return
        with contextlib.suppress(DatabaseError):  # commits say so; the log holds everything meanwhile
            await self._in_database(transaction.checkpoint)
        ended = time.monotonic()
        self.checkpoint_at = ended + max(CHECKPOINT_S, CHECKPOINT_RESTS * (ended - began))
