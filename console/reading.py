"""Database reads for what is live: one thread and one connection for all sockets, so that no page can hold them up."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, connection

P = ParamSpec("P")
T = TypeVar("T")
_thread = ThreadPoolExecutor(1, "live-reads")


async def read(query: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Run `query` in the reading thread and return its result. Keep it short: all sockets share this thread."""
    return await asyncio.get_running_loop().run_in_executor(_thread, _run, query, args, options)


def read_within(seconds: float, query: Callable[[], T]) -> T:
    """The same for a thread that can wait. Raises TimeoutError."""
    asked = _thread.submit(_run, query, (), {})
    try:
        return asked.result(seconds)
    except TimeoutError:
        asked.cancel()  # otherwise it would still run, and hold up the sockets
        raise


def _run(query: Callable[..., T], args: tuple[object, ...], options: dict[str, object]) -> T:
    try:
        return query(*args, **options)
    except DatabaseError:
        connection.close()  # the next read opens the file anew: it may have been replaced
        raise
