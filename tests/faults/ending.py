"""What the tests of failing sends share: one send with its time, and the hint its failure is shown with."""

import time
from typing import Any

import httpx

from simulator.hints import hint_for
from simulator.outcome import Outcome
from simulator.wire import Transport


def post(url: str, content: bytes = b"{}") -> httpx.Request:
    return httpx.Request("POST", url, content=content)


async def ends(transport: Transport, url: str, timeout: float = 8.0, **options: Any) -> tuple[Outcome, float]:
    began = time.perf_counter()
    outcome = await transport.exchange(post(url), owner=url, timeout=timeout, **options)
    return outcome, time.perf_counter() - began


def hint(outcome: Outcome, url: str) -> str:
    return hint_for(
        outcome.error or "",
        status_code=outcome.status_code,
        headers=outcome.headers,
        body=outcome.body,
        url=url,
        message=outcome.message,
    )
