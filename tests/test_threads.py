"""The threads behind the views: kept, given to one request at a time, more of them in a rush."""

import asyncio
import threading
from typing import Any

from asgiref.sync import sync_to_async

from console.threads import KEPT, Threads

from .waiting import until


def application(seen: list[int], together: int = 1) -> Any:
    """Two synchronous steps, each of which ends when as many requests as `together` are in it at once."""
    all_here = threading.Barrier(together)

    async def run(scope: Any, receive: Any, send: Any) -> None:
        def work() -> None:
            seen.append(threading.get_ident())
            all_here.wait(5)

        await sync_to_async(work)()
        await sync_to_async(work)()

    return run


async def test_a_request_after_another_runs_in_the_same_thread() -> None:
    seen: list[int] = []
    threads = Threads(application(seen))
    for _ in range(5):
        await threads({}, None, None)
    assert len(seen) == 10 and len(set(seen)) == 1


async def test_a_slow_query_holds_up_no_other_request() -> None:
    seen: list[int] = []
    threads = Threads(application(seen, together=KEPT * 2))
    await asyncio.gather(*[threads({}, None, None) for _ in range(KEPT * 2)])
    assert len(set(seen)) == KEPT * 2
    assert all(seen.count(thread) == 2 for thread in seen), "a request changed its thread"


async def test_after_a_rush_only_a_few_threads_are_kept() -> None:
    before = threading.active_count()
    threads = Threads(application([]))
    await asyncio.gather(*[threads({}, None, None) for _ in range(KEPT * 4)])
    await until(lambda: threading.active_count() <= before + KEPT)
