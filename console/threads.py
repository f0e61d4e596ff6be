"""The threads that views run in: a few are kept, each with its database connection. Knows no request.

Django would start a thread and open a connection for every request, which is most of what a small answer costs,
and one shared thread would let a slow query hold up every page.
"""

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.core.signals import request_started
from django.db import close_old_connections, connections, reset_queries

KEPT = 8
# Before each request Django would go to its thread only to look after the connection: it does so after each, too.
request_started.disconnect(close_old_connections)
request_started.disconnect(reset_queries)
Application = Callable[[Any, Any, Any], Awaitable[None]]


class Threads:
    """Gives each request a thread of its own for its synchronous parts: a kept one, or a passing one in a rush."""

    def __init__(self, application: Application):
        self._application = application
        self._free: list[ThreadPoolExecutor] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        thread = self._free.pop() if self._free else ThreadPoolExecutor(1, "request")
        try:
            async with ThreadSensitiveContext(executor=thread):
                await self._application(scope, receive, send)
        finally:
            if len(self._free) < KEPT:
                self._free.append(thread)
            else:
                thread.submit(connections.close_all)
                thread.shutdown(wait=False)
