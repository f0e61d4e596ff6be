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
"""A new connection that got no byte for so long may be queued at the receiver behind an idle one of ours."""


class Idle:
    """By `Connection.key`; the one used last is taken first."""

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
        """One that is still alive, to be used."""
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
        """Close what a waiting connection may be queued behind.

        Some receivers serve one connection to its end before they take the next (Python's HTTPServer with HTTP/1.1).
        A new connection then waits until we close the idle one, and would seem to get no answer. So while one waits,
        connections to its address are not kept, and one that was answered meanwhile is not used again. If two were
        answered meanwhile, or one made later, the receiver does serve several at a time: then all are kept.
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
