"""Waiting for something to become true. The only place in the tests that polls."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PAUSE_S = 0.01


def wait_until(condition: Callable[[], T], within: float = 5.0, what: str = "") -> T:
    """The first truthy value of `condition`; fails the test when there is none in `within` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within} s: {what or condition}"
        time.sleep(PAUSE_S)
    return value


async def until(condition: Callable[[], T], within: float = 5.0, what: str = "") -> T:
    """`wait_until` for async tests: lets the loop run meanwhile."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within} s: {what or condition}"
        await asyncio.sleep(PAUSE_S)
    return value
