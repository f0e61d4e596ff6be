"""Senders to compare with, in a process of their own: httpx as most would use it, and the product's transport alone.

`python -m simulator.bench.bare` reads one JSON object a line, {"sender", "url", "body", "in_flight", "seconds"}, and
answers {"per_s", "cpu_us"}, the second per request. Each sender signs every request, as the product does. Ends with its input. Knows no database.
Besides simulator.wire the only module that imports httpx: a plain client is what it is there to measure.
"""

import asyncio
import gc
import hashlib
import hmac
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx

from simulator import garbage
from simulator.wire import Transport

WARM_UP_S = 20.0  # at most
SECRET = b"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
Send = Callable[[], Awaitable[int]]  # the status


def _headers(body: bytes) -> list[tuple[str, str]]:
    now = int(time.time())
    signature = hmac.digest(SECRET, b"%d.%b" % (now, body), hashlib.sha256).hex()
    return [
        ("content-type", "application/json"),
        ("user-agent", "UltraReach-Webhooks/1.0 (simulator)"),
        ("x-ultrareach-timestamp", str(now)),
        ("x-ultrareach-signature", f"v1={signature}"),
    ]


def _by_client(client: httpx.AsyncClient, url: str, body: bytes) -> Send:
    async def send() -> int:
        return (await client.post(url, content=body, headers=_headers(body))).status_code

    return send


@asynccontextmanager
async def shared_client(url: str, body: bytes, in_flight: int) -> AsyncIterator[list[Send]]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield [_by_client(client, url, body)] * in_flight


@asynccontextmanager
async def client_each(url: str, body: bytes, in_flight: int) -> AsyncIterator[list[Send]]:
    async with AsyncExitStack() as open_ones:
        sends = []
        for _ in range(in_flight):
            client = await open_ones.enter_async_context(httpx.AsyncClient(trust_env=False))
            sends.append(_by_client(client, url, body))
        yield sends


@asynccontextmanager
async def transport(url: str, body: bytes, in_flight: int) -> AsyncIterator[list[Send]]:
    thresholds, wire = gc.get_threshold(), Transport()
    garbage.spare()  # as the server does; httpx is measured as it comes

    async def send() -> int:
        outcome = await wire.post(url, _headers(body), body, owner=1, timeout=15)
        return outcome.status_code or 0

    try:
        yield [send] * in_flight
    finally:
        await wire.aclose()
        gc.unfreeze()
        gc.set_threshold(*thresholds)


SENDERS = {"shared_client": shared_client, "client_each": client_each, "transport": transport}


async def measure(sender: str, url: str, body: str, in_flight: int, seconds: float) -> dict[str, float]:
    """Requests answered 200 per second, once all are connected and warm, and this process' CPU time for each."""
    answered, over, warm = 0, False, asyncio.Event()

    async def work(send: Send) -> None:
        nonlocal answered
        while not over:
            if await send() == 200:
                answered += 1
                if answered >= 2 * in_flight:
                    warm.set()

    async with SENDERS[sender](url, body.encode(), in_flight) as sends, asyncio.TaskGroup() as workers:
        for send in sends:
            workers.create_task(work(send))
        async with asyncio.timeout(WARM_UP_S):
            await warm.wait()
        before, began, used = answered, time.perf_counter(), time.process_time()
        await asyncio.sleep(seconds)
        count, used = answered - before, time.process_time() - used
        over = True
        return {"per_s": count / (time.perf_counter() - began), "cpu_us": used / max(1, count) * 1e6}


def main() -> None:
    for line in sys.stdin:
        wanted: dict[str, Any] = json.loads(line)
        print(json.dumps(asyncio.run(measure(**wanted))), flush=True)


if __name__ == "__main__":
    main()
