"""The threads that views run in: a few are kept, each with its database connection. Knows no request.

Django would start a thread and open a connection for every request, which is most of what a small answer costs,
and one shared thread would let a slow query hold up every page.
"""

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.db import connections

from simulator import engine

from .security import RECEIVER

KEPT = 8
Application = Callable[[Any, Any, Any], Awaitable[None]]


class Threads:
    """Gives each request a thread of its own for its synchronous parts: a kept one, or a passing one in a rush."""

    def __init__(self, application: Application):
        self._application = application
        self._free: list[ThreadPoolExecutor] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        thread = self._free.pop() if self._free else ThreadPoolExecutor(1, "request")
        # What is sent to the built-in receiver is bulk itself, if a batch is.
        waits = nullcontext() if scope["path"].startswith(RECEIVER) else engine.attending()
        try:
            with waits:
                async with ThreadSensitiveContext(executor=thread):
                    await self._application(scope, receive, send)
        finally:
            if len(self._free) < KEPT:
                self._free.append(thread)
            else:
                thread.submit(connections.close_all)
                thread.shutdown(wait=False)
