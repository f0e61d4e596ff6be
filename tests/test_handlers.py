"""How requests reach views: whole in a kept thread, one request to each, more of them in a rush; or on the loop."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.urls import get_resolver, path

from console.handlers import KEPT, ONE_MORE_S, InThreads, OnLoop, Places

from .waiting import until

View = Callable[[HttpRequest], HttpResponse]


class Request:
    """One request, as an ASGI server makes it; `sent` is what came back, `gone` says that the client went away."""

    def __init__(self, body: bytes = b"", method: str = "GET", path: str = "/planted/"):
        self.scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}
        self.scope["headers"] = [(b"host", b"127.0.0.1"), (b"content-length", b"%d" % len(body))]
        self.parts = [{"type": "http.request", "body": body}]
        self.gone = asyncio.Event()
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        if self.parts:
            return self.parts.pop(0)
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, event: dict[str, Any]) -> None:
        self.sent.append(event)

    async def by(self, handler: Any) -> tuple[int, bytes]:
        await handler(self.scope, self.receive, self.send)
        return self.sent[0]["status"], b"".join(event["body"] for event in self.sent[1:])


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Callable[[View], InThreads]:
    def made(view: View) -> InThreads:
        monkeypatch.setattr(get_resolver(), "url_patterns", [path("planted/", view)])
        return InThreads()

    return made


def noting(seen: list[int], together: int = 1, until: threading.Event | None = None) -> View:
    """Ends when as many requests as `together` are in it at once, and `until` is set."""
    all_here = threading.Barrier(together)

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(threading.get_ident())
        all_here.wait(5)
        if until:
            until.wait(5)
        return HttpResponse(request.body)

    return view


async def test_a_request_after_another_runs_in_the_same_thread(handler: Callable[[View], InThreads]) -> None:
    seen: list[int] = []
    pages = handler(noting(seen))
    for number in range(5):
        assert await Request(b"%d" % number).by(pages) == (200, b"%d" % number)
    assert len(seen) == 5 and len(set(seen)) == 1


async def test_a_slow_query_holds_up_no_other_request(handler: Callable[[View], InThreads]) -> None:
    seen: list[int] = []
    pages = handler(noting(seen, together=KEPT * 2))
    await asyncio.gather(*[Request().by(pages) for _ in range(KEPT * 2)])
    assert len(set(seen)) == KEPT * 2


async def test_in_a_rush_a_few_are_answered_at_once_and_the_others_one_by_one(
    handler: Callable[[View], InThreads],
) -> None:
    """A thread for each of hundreds would keep the loop from its turn."""
    seen: list[int] = []
    go_on = threading.Event()
    pages = handler(noting(seen, until=go_on))
    began = time.monotonic()
    rush = [asyncio.create_task(Request().by(pages)) for _ in range(300)]
    await until(lambda: len(seen) > KEPT + 1)
    assert len(seen) <= KEPT + (time.monotonic() - began) / ONE_MORE_S
    go_on.set()
    await asyncio.wait(rush)
    assert len(seen) == 300


@pytest.fixture
def no_more_threads() -> Iterator[None]:
    """No memory is large enough for the stack of a thread that starts now."""
    before = threading.stack_size(1 << 46)
    yield
    threading.stack_size(before)


async def test_where_no_thread_can_start_a_request_waits_for_one_that_becomes_free(
    handler: Callable[[View], InThreads], request: pytest.FixtureRequest
) -> None:
    seen: list[int] = []
    go_on = threading.Event()
    pages = handler(noting(seen, until=go_on))
    first = asyncio.create_task(Request().by(pages))
    await until(lambda: seen)
    request.getfixturevalue("no_more_threads")
    others = [asyncio.create_task(Request().by(pages)) for _ in range(3)]
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(first, *others) == [(200, b"")] * 4
    assert len(seen) == 4 and len(set(seen)) == 1


async def test_no_place_is_lost_and_none_is_made() -> None:
    places = Places()

    async def entering(count: int) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(places.__aenter__()) for _ in range(count)]
        await asyncio.sleep(0)
        return tasks

    for _ in range(2):
        inside = await entering(KEPT + 3)
        assert [task.done() for task in inside] == [True] * KEPT + [False] * 3
        inside[-1].cancel()
        inside[-2].cancel()
        await inside[KEPT]  # nobody has left
        for _ in range(KEPT + 1):
            await places.__aexit__()


async def test_behind_slow_queries_a_place_that_was_added_goes_from_one_to_the_next() -> None:
    places = Places()
    for _ in range(KEPT):
        await places.__aenter__()
    first, second = [asyncio.create_task(places.__aenter__()) for _ in range(2)]
    await first
    await places.__aexit__()
    await asyncio.sleep(0)
    assert second.done()


async def test_after_a_rush_only_a_few_threads_are_kept(handler: Callable[[View], InThreads]) -> None:
    before = threading.active_count()
    pages = handler(noting([]))
    await asyncio.gather(*[Request().by(pages) for _ in range(KEPT * 4)])
    await until(lambda: threading.active_count() <= before + KEPT)


async def test_a_thread_whose_request_was_given_up_is_given_to_nobody(
    handler: Callable[[View], InThreads],
) -> None:
    seen: list[int] = []
    go_on = threading.Event()

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(threading.get_ident())
        go_on.wait(5 if len(seen) == 1 else 0)
        return HttpResponse()

    pages = handler(view)
    first = asyncio.create_task(Request().by(pages))
    await until(lambda: bool(seen))
    first.cancel()
    await asyncio.wait([first])
    assert (await Request().by(pages))[0] == 200, "it waited for the first one"
    go_on.set()
    assert len(set(seen)) == 2


async def test_whoever_goes_away_before_the_end_of_his_request_gets_no_view(
    handler: Callable[[View], InThreads],
) -> None:
    seen: list[int] = []
    request = Request()
    request.parts = [{"type": "http.request", "body": b"x", "more_body": True}]
    request.gone.set()
    await handler(noting(seen))(request.scope, request.receive, request.send)
    assert not seen and not request.sent


async def test_on_the_loop_a_view_ends_when_its_client_goes_away() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def view(request: HttpRequest) -> HttpResponse:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return HttpResponse()

    request = Request()
    asked = asyncio.create_task(OnLoop(view)(request.scope, request.receive, request.send))
    await began.wait()
    request.gone.set()
    async with asyncio.timeout(5):
        await ended.wait()
        await asked
    assert not request.sent


async def test_on_the_loop_a_request_that_nobody_can_mean_is_a_400() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        raise SuspiciousOperation("planted")

    assert (await Request().by(OnLoop(view)))[0] == 400
