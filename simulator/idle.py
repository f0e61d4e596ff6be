"""Idle connections, kept for the next request of the same kind. Knows no request and no answer."""

import resource
import time
from collections import Counter
from collections.abc import Collection, Hashable, Iterator

from .connection import Connection

IDLE_SECONDS = 4.0
"""Below the 5 s after which common servers (Node, uvicorn) close an idle connection."""
SCARCE_FILES = 64
PATIENCE_S = 0.25
"""A new connection without an answer for this long may be queued behind another one of ours."""


class Idle:
    """Keyed by `Connection.key`; the most recently used one is taken first."""

    def __init__(self) -> None:
        self._stacks: dict[Hashable, list[Connection]] = {}
        self._count = 0
        self._limit = _limit()

    def __iter__(self) -> Iterator[Connection]:
        for stack in self._stacks.values():
            yield from stack

    def __len__(self) -> int:
        return self._count

    def take(self, key: Hashable) -> Connection | None:
        """Take out one that is still alive."""
        stack = self._stacks.get(key)
        while stack:
            connection = stack.pop()
            self._count -= 1
            if connection.is_alive():
                return connection
            connection.abort()
        return None

    def put(self, connection: Connection) -> None:
        """Keep it, if there is room."""
        if self._count >= self._limit:
            connection.abort()
            return
        connection.last_sent_at, connection.idle_since = connection.answer.started_at, time.perf_counter()
        self._stacks.setdefault(connection.key, []).append(connection)
        self._count += 1

    def forget(self, owner: Hashable) -> None:
        """Close those of this owner."""
        for connection in [c for c in self if c.owner == owner]:
            self._close(connection)

    def close_old(self, now: float) -> None:
        for key, stack in list(self._stacks.items()):
            while stack and (stack[0].closed or stack[0].idle_since < now - IDLE_SECONDS):
                self._close(stack[0])
            if not stack:
                del self._stacks[key]

    def make_way(self, busy: Collection[Connection], greeting: Collection[Connection], now: float) -> None:
        """A receiver may serve one connection until it closes before it serves the next (Python's HTTPServer with
        HTTP/1.1 does): a new connection then waits for our idle one, and would time out. So while a new one waits, none
        to its address is kept idle, and one that got a request after it is not used again. If there are two such, or
        one that was opened later, the receiver serves several at a time and is only slow with this one: then all stay.
        """
        waiting: dict[str, float] = {}
        for connection in (*busy, *greeting):
            if connection.waits_in_line(now - PATIENCE_S):
                since = waiting.get(connection.address, now)
                waiting[connection.address] = min(since, connection.answer.started_at)
        if not waiting:
            return
        idle = [c for c in self if c.address in waiting]
        overtook = [c for c in (*idle, *busy) if c.last_sent_at > waiting.get(c.address, now)]
        times = Counter(connection.address for connection in overtook)
        several = {address for address, count in times.items() if count > 1}
        several |= {c.address for c in overtook if c.made_at > waiting[c.address]}
        for connection in [c for c in idle if c.address not in several]:
            self._close(connection)
        for connection in [c for c in overtook if c.address not in several]:
            connection.key = None

    def _close(self, connection: Connection) -> None:
        self._stacks[connection.key].remove(connection)
        self._count -= 1
        connection.abort()


def _limit() -> int:
    """How many in all: a quarter of the file descriptors that are not scarce, a thousand at most."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(0, min(1000, (soft - SCARCE_FILES) // 4)) if soft > 0 else 1000
