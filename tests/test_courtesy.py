"""Courtesy: bulk stands still while somebody waits, for nine tenths of the time at most."""

import asyncio
import sys
import time

import pytest

from simulator import courtesy
from simulator.courtesy import Courtesy


class Bulk:
    """What stands back: how often it was told to go on."""

    def __init__(self) -> None:
        self.told = 0
        self.courtesy = Courtesy(self.go_on)

    def go_on(self) -> None:
        self.told += 1


@pytest.fixture
async def bulk() -> Bulk:
    return Bulk()


async def test_bulk_stands_still_as_long_as_somebody_waits(bulk: Bulk):
    assert not bulk.courtesy.asked
    with bulk.courtesy.attending():
        assert bulk.courtesy.asked
        with bulk.courtesy.attending():
            pass
        assert bulk.courtesy.asked and not bulk.told, "the first one still waits"
    assert not bulk.courtesy.asked and bulk.told == 1


async def test_it_goes_on_too_when_what_they_wait_for_fails(bulk: Bulk):
    with pytest.raises(RuntimeError), bulk.courtesy.attending():
        raise RuntimeError
    assert not bulk.courtesy.asked and bulk.told == 1


async def test_the_threads_take_turns_sooner_while_somebody_waits_and_then_as_ever(
    monkeypatch: pytest.MonkeyPatch,
):
    bulk, of_python = Bulk(), sys.getswitchinterval()
    usual = 0.0008  # as `up` does it, once everything has been made
    sys.setswitchinterval(usual)
    try:
        with bulk.courtesy.attending():
            with bulk.courtesy.attending():
                pass
            assert sys.getswitchinterval() == pytest.approx(courtesy.TURNS_S, rel=0.02), (
                "the first one still waits"
            )
        assert sys.getswitchinterval() == pytest.approx(usual, rel=0.02)
        monkeypatch.setattr(courtesy, "MOST_S", 0.01)
        with Bulk().courtesy.attending():
            async with asyncio.timeout(5):
                while sys.getswitchinterval() < usual / 2:
                    await asyncio.sleep(0)
        assert sys.getswitchinterval() == pytest.approx(usual, rel=0.02)
    finally:
        sys.setswitchinterval(of_python)


async def test_whoever_waits_for_long_does_not_hold_it_up(bulk: Bulk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(courtesy, "MOST_S", 0.02)
    bulk = Bulk()
    began = time.monotonic()
    with bulk.courtesy.attending():
        async with asyncio.timeout(5):
            while bulk.courtesy.asked:
                await asyncio.sleep(0)
        assert bulk.told == 1 and time.monotonic() - began >= 0.02
    assert bulk.told == 1, "it is told once"


async def test_whoever_asks_all_the_time_leaves_a_tenth_of_it(monkeypatch: pytest.MonkeyPatch):
    clock = 1000.0
    monkeypatch.setattr(courtesy.time, "monotonic", lambda: clock)
    bulk = Bulk()
    stood = 0.0
    for _ in range(3000):  # 19 ms of each 20 ms somebody waits
        with bulk.courtesy.attending():
            before, patience = clock, bulk.courtesy._saved
            clock += min(patience, 0.019)
            stood += clock - before
            if patience < 0.019:
                bulk.courtesy._end()  # what its timer does
                clock = before + 0.019
        clock += 0.001
    share = stood / (clock - 1000)
    assert 0.85 <= share <= 0.9 + courtesy.MOST_S / (clock - 1000)


async def test_a_small_step_is_followed_by_a_rest_and_bulk_is_told_when_it_is_over(bulk: Bulk):
    ended = time.monotonic()
    assert bulk.courtesy.rests(ended) and bulk.courtesy.rests(ended)
    async with asyncio.timeout(5):
        while bulk.courtesy.rests(ended):
            await asyncio.sleep(courtesy.REST_S / 4)
    assert time.monotonic() - ended >= courtesy.REST_S
    bulk.told = 0
    assert bulk.courtesy.rests(time.monotonic())
    async with asyncio.timeout(5):
        while not bulk.told:
            await asyncio.sleep(0)
    assert bulk.told == 1 and not bulk.courtesy.rests(ended)


async def test_while_somebody_waits_the_end_of_a_rest_wakes_nobody(bulk: Bulk):
    with bulk.courtesy.attending():
        assert bulk.courtesy.rests(time.monotonic() - courtesy.REST_S + 0.001)
        over = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.002, over.set_result, None)  # after that of the rest
        await over
        assert not bulk.told
    assert bulk.told == 1
