"""A loop that stands still is told of: for how long, and where."""

import asyncio
import logging
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from console.watchdog import STALL_S, Watchdog

from .faults.planted import planted
from .serving import Server
from .waiting import wait_until

pytestmark = pytest.mark.alone


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def stands_still(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def computes(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_e23_a_stall_is_told_with_its_length_and_its_place(loop, caplog):
    async def life() -> None:
        Watchdog(loop)
        await asyncio.sleep(0)
        stands_still(3 * STALL_S)
        await asyncio.sleep(0)

    loop.run_until_complete(life())
    (told,) = caplog.records
    assert told.levelno == logging.WARNING and "stood still for 0.3" in told.getMessage()
    assert "in stands_still" in told.getMessage(), "the innermost frames are shown"


def test_e23_processor_time_tells_computing_from_waiting(loop, caplog):
    async def life() -> None:
        Watchdog(loop)
        await asyncio.sleep(0)
        computes(2 * STALL_S)
        await asyncio.sleep(0)
        threading.Event().wait(2 * STALL_S)
        await asyncio.sleep(0)

    loop.run_until_complete(life())
    told = [record.getMessage() for record in caplog.records]
    times = [float(re.search("with ([0-9.]+) s of processor time", words)[1]) for words in told]
    assert max(times) >= 2 * STALL_S and min(times) < STALL_S / 2, told


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="only Linux says who had no core")
def test_a_machine_that_is_busy_with_other_programs_is_named_instead_of_a_place(loop, caplog):
    caplog.set_level(logging.INFO)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]

    async def life() -> None:
        Watchdog(loop)
        await asyncio.sleep(0)
        computes(2 * STALL_S)
        await asyncio.sleep(0)

    try:
        loop.run_until_complete(life())
    finally:
        for other in others:
            other.kill()
            other.wait()
        os.sched_setaffinity(0, cores)
    (told,) = caplog.records
    assert told.levelno == logging.INFO and told.getMessage().endswith("busy with other programs")


def test_waiting_and_working_in_small_steps_is_no_stall(loop, caplog):
    async def life() -> None:
        Watchdog(loop)
        await asyncio.sleep(2 * STALL_S)
        for _ in range(6):
            stands_still(STALL_S / 4)
            await asyncio.sleep(0)

    loop.run_until_complete(life())
    assert not caplog.records


def test_each_stall_is_told_once_and_with_its_own_place(loop, caplog):
    def here() -> None:
        stands_still(2 * STALL_S)

    def there() -> None:
        stands_still(2 * STALL_S)

    async def life() -> None:
        Watchdog(loop)
        loop.call_soon(here)
        await asyncio.sleep(0)
        loop.call_soon(there)
        for _ in range(3):
            await asyncio.sleep(0)

    loop.run_until_complete(life())
    first, second = (record.getMessage() for record in caplog.records)
    assert "in here" in first and "in there" not in first
    assert "in there" in second and "in here" not in second


def test_a_stall_without_end_is_told_while_it_lasts(loop, caplog, monkeypatch):
    monkeypatch.setattr("console.watchdog.HANGS_S", 0.2)
    told: list[int] = []

    async def life() -> None:
        Watchdog(loop)
        await asyncio.sleep(0)
        stands_still(5 * STALL_S)
        told.append(len(caplog.records))
        await asyncio.sleep(0)

    loop.run_until_complete(life())
    assert told == [1] and len(caplog.records) == 2


def test_e23_the_server_has_one(tmp_path: Path):
    server = Server(tmp_path, **planted("sleeping_loop")).start()
    try:
        wait_until(lambda: "event loop stood still for 0.5" in server.errors, 5, "the stall in the log")
    finally:
        server.finish()
