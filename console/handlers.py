"""How requests reach Django: a view runs in one of a few kept threads, an async one on the loop. Knows no address.

Django's own handler switches between loop and threads for each part of a request and makes two tasks of it, which costs
a click a quarter of a millisecond. It would also start a thread and open a connection for each request, or let a slow
query hold up every page in one shared thread.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.core.signals import request_started
from django.db import close_old_connections, connections, reset_queries
from django.http import HttpRequest, HttpResponseBase
from django.urls import set_script_prefix

KEPT = 8
ONE_MORE_S = 0.02
# Django checks the connection before each request and after it: once is enough.
request_started.disconnect(close_old_connections)
request_started.disconnect(reset_queries)


class InThreads(ASGIHandler):
    """Middleware and views as Django runs them without a loop: each request in one thread, with that one's connection.

    The thread is a kept one, or a temporary one when those are all busy. The response is sent in one piece.
    """

    def __init__(self) -> None:
        self.load_middleware()
        self._free: list[ThreadPoolExecutor] = []
        self._places = Places()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        async with self._places:
            response = await self._in_a_thread(scope, body)
        await self.send_response(response, send)

    async def _in_a_thread(self, scope: Any, body: Any) -> HttpResponseBase:
        while True:
            thread = self._free.pop() if self._free else ThreadPoolExecutor(1, "request")
            try:
                answered = thread.submit(self._answer, scope, body)
                break
            except RuntimeError:  # this process may have no more threads now: one that is kept becomes free
                await asyncio.sleep(ONE_MORE_S)
        try:
            return await asyncio.wrap_future(answered)
        finally:
            if answered.done() and len(self._free) < KEPT:
                self._free.append(thread)
            else:
                thread.submit(connections.close_all)
                thread.shutdown(wait=False)

    def _answer(self, scope: Any, body: Any) -> HttpResponseBase:
        set_script_prefix(get_script_prefix(scope))
        request_started.send(sender=type(self), scope=scope)
        request, refusal = self.create_request(scope, body)
        response = refusal or self.get_response(request)
        response.close()
        return response


class Places:
    """Room for KEPT requests at a time, and for one more every ONE_MORE_S while any is waiting.

    Three hundred requests, each in a thread of its own, would block the loop for half a second. Yet none should have to
    wait until a slow query has ended.
    """

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(KEPT)
        self._waiting = self._added = 0
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        self._waiting += 1
        try:
            if self._room.locked() and self._timer is None:
                self._add_one_soon()
            await self._room.acquire()
        finally:
            self._waiting -= 1

    async def __aexit__(self, *exc: object) -> None:
        if self._added and not self._waiting:
            self._added -= 1
        else:
            self._room.release()

    def _add_one_soon(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(ONE_MORE_S, self._add_one)

    def _add_one(self) -> None:
        self._timer = None
        if self._waiting:
            self._added += 1
            self._room.release()
            self._add_one_soon()


class OnLoop(ASGIHandler):
    """One async view, without any middleware; it is cancelled when the client goes away."""

    def __init__(self, view: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        self._view = convert_exception_to_response(view)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.handle(scope, receive, send)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await self._view(request)
