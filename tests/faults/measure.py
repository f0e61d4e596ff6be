"""Measured in a process of its own: `python -m tests.faults.measure URL TIMEOUT` prints JSON about one exchange."""

import asyncio
import json
import re
import sys
import time
from pathlib import Path

import httpx

from simulator.decoding import as_text
from simulator.wire import Transport


def peak_kib() -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


async def main(url: str, timeout: float, size: int) -> None:
    transport = Transport()
    quiet = url[: url.index("/", 8)] + "/"
    await transport.exchange(httpx.Request("POST", quiet, content=b"{}"), owner="warm-up", timeout=5)
    request = httpx.Request("POST", url, content=b"x" * size)
    before, cpu, began = peak_kib(), time.process_time(), time.perf_counter()
    outcome = await transport.exchange(request, owner="measured", timeout=timeout)
    took, busy = time.perf_counter() - began, time.process_time() - cpu
    as_text(outcome.body, outcome.headers)
    await transport.aclose()
    grown = (peak_kib() - before) / 1024
    print(json.dumps({"error": outcome.error, "mib": grown, "seconds": took, "cpu": busy / took}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
