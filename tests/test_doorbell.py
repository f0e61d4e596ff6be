"""The doorbell: rings from any thread, heard at once, gathered, never lost."""

import asyncio
import threading
import time

import pytest

from console import doorbell
from simulator import feed

BURST = 1000


async def test_a_change_made_in_another_thread_is_heard_at_once():
    async with doorbell.subscription() as bell:
        threading.Thread(target=feed.ring).start()
        await asyncio.wait_for(bell.wait(), 0.04)


async def test_a_thousand_changes_are_a_few_rings_and_the_last_one_is_heard():
    seen = []
    changes = 0

    async def listen(bell: doorbell.Bell) -> None:
        while not seen or seen[-1] < BURST:
            await bell.wait()
            seen.append(changes)

    async with doorbell.subscription() as bell:
        listening = asyncio.ensure_future(listen(bell))
        began = time.monotonic()
        for _ in range(BURST):
            changes += 1
            feed.ring()
            await asyncio.sleep(0)
        await asyncio.wait_for(listening, 5)
    assert seen[-1] == BURST
    assert len(seen) <= 2 + (time.monotonic() - began) / doorbell.INTERVAL_S


async def test_rings_from_many_threads_at_once_are_heard_by_every_reader():
    async with doorbell.subscription() as one, doorbell.subscription() as two:
        threads = [threading.Thread(target=feed.ring) for _ in range(20)]
        for thread in threads:
            thread.start()
        await asyncio.wait_for(asyncio.gather(one.wait(), two.wait()), 1)
        for thread in threads:
            thread.join()


async def test_a_ring_while_the_reader_is_busy_waits_for_it():
    async with doorbell.subscription() as bell:
        feed.ring()
        await bell.wait()
        feed.ring()  # the reader is reading now, and reads too early for this one
        await asyncio.wait_for(bell.wait(), 1)


async def test_nothing_is_heard_when_nothing_changes():
    async with doorbell.subscription() as bell:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bell.wait(), 2 * doorbell.INTERVAL_S)


async def test_without_readers_the_feed_is_left_alone():
    before = list(feed._on_change)
    async with doorbell.subscription():
        assert len(feed._on_change) == len(before) + 1
    assert feed._on_change == before


def test_a_ring_after_the_loop_has_ended_harms_no_writer():
    loop = asyncio.new_event_loop()
    left_open = doorbell.subscription()
    loop.run_until_complete(left_open.__aenter__())
    loop.close()
    try:
        feed.ring()
    finally:
        with pytest.raises(StopIteration):
            left_open.gen.aclose().send(None)
