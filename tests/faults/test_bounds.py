"""What a misbehaving receiver may cost: memory and processor, measured in a fresh process; and the neighbour.

The figures are properties of the tests: `manage.py test tests/faults/test_bounds.py --junitxml=figures.xml`.
"""

import asyncio
import json
import os
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from simulator.outcome import Outcome
from simulator.wire import Transport

from ..waiting import until
from .behaviours import MIB
from .ending import post
from .receiver import FaultReceiver

Record = Callable[[str, object], None]


async def measured(url: str, timeout: float = 2.0, size: int = 10, **env: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.measure", url, str(timeout), str(size)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **env},
    )
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    result: dict[str, Any] = json.loads(out)
    return result


async def best(measure: Callable[[], Awaitable[float]], bound: float) -> float:
    """The first of three that is within the bound, or the least: a neighbour's moment spoils one, a defect all."""
    taken = [await measure()]
    while min(taken) > bound and len(taken) < 3:
        taken.append(await measure())
    return min(taken)


@pytest.mark.parametrize(
    ("path", "mib", "seconds"),
    [
        ("/big", 8, 0.5),
        ("/big-chunked", 8, 0.5),
        ("/gzip-bomb", 8, 3),
        ("/huge-header", 4, 1),
        ("/many-headers", 8, 1),
    ],
)
async def test_a_huge_answer_costs_a_few_mebibytes_at_most(
    faulty: FaultReceiver, path: str, mib: float, seconds: float, record_property: Record
) -> None:
    result = await measured(faulty.url(path))
    record_property("mib", result["mib"])
    assert result["mib"] <= mib, result
    assert result["seconds"] <= seconds, result


async def test_r34_a_receiver_that_stops_reading_costs_the_body_and_little_more(
    faulty: FaultReceiver,
) -> None:
    result = await measured(faulty.url("/stop-reading"), size=MIB)
    assert result["error"] == "send_timeout"
    assert result["mib"] <= 9


@pytest.mark.alone
@pytest.mark.parametrize("flood", ["/1xx-flood", "/103-flood"])
async def test_r04_a_flood_of_interim_answers_takes_a_tenth_of_a_core_at_most(
    faulty: FaultReceiver, flood: str
) -> None:
    async def share() -> float:
        result = await measured(faulty.url(flood))
        assert result["error"] == "no_response"
        return float(result["cpu"])

    assert await best(share, 0.10) <= 0.10


async def test_r36_a_proxy_of_the_shell_is_not_asked(faulty: FaultReceiver) -> None:
    async with FaultReceiver() as proxy:
        variables = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        result = await measured(faulty.url("/"), **dict.fromkeys(variables, proxy.url("")))
        assert result["error"] is None
        assert (len(faulty.requests), proxy.connections) == (2, 0)


async def latencies(transport: Transport, url: str) -> list[float]:
    taken = []
    for _ in range(60):
        outcome = await transport.exchange(post(url), owner="healthy", timeout=5)
        assert outcome.error is None, outcome
        taken.append(outcome.duration_ms)
        await asyncio.sleep(0.01)
    return taken


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


@pytest.mark.alone
async def test_g5_a_hundred_hung_sends_do_not_slow_a_healthy_endpoint(
    faulty: FaultReceiver, transport: Transport, record_property: Record
) -> None:
    async def beyond_twice_the_baseline() -> float:
        baseline = p95(await latencies(transport, healthy.url("/")))
        hung = [
            asyncio.ensure_future(transport.exchange(post(faulty.url("/never")), owner="hung", timeout=4))
            for _ in range(100)
        ]
        await until(lambda: faulty.now_open == 100, 3, "a hundred hung sends")
        meanwhile = p95(await latencies(transport, healthy.url("/")))
        assert not any(send.done() for send in hung)
        for send in hung:
            send.cancel()
        await asyncio.gather(*hung, return_exceptions=True)
        record_property("p95_ms_before_and_meanwhile", (baseline, meanwhile))
        return meanwhile - 2 * baseline

    async with FaultReceiver() as healthy:
        assert await best(beyond_twice_the_baseline, 50) <= 50


@pytest.mark.alone
async def test_g5_twenty_hung_look_ups_delay_neither_localhost_nor_an_address(
    record_property: Record,
) -> None:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hangs(host: str, port: int) -> list[tuple[Any, ...]]:
        asyncio.run_coroutine_threadsafe(done.wait(), loop).result(8)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def seconds(url: str) -> float:
        """Of a send that has to look up and dial: no connection belongs to this owner yet."""
        began = time.perf_counter()
        outcome = await transport.exchange(post(url), owner=object(), timeout=2)
        assert outcome.error is None, outcome
        return time.perf_counter() - began

    transport = Transport(resolve=hangs)
    async with FaultReceiver() as faulty:
        hung = [
            asyncio.ensure_future(transport.exchange(post(f"http://h{n}.test/"), owner=n, timeout=10))
            for n in range(20)
        ]
        for host in ("localhost", "127.0.0.1", "127.1", "app.localhost"):
            took = await best(partial(seconds, faulty.url("/", host=host)), 0.05)
            record_property(f"seconds_to_{host}", took)
            assert took <= 0.05
        assert not any(send.done() for send in hung)
        done.set()
        assert {(await send).error for send in hung} == {"dns_failed"}
    await transport.aclose()


async def test_every_fault_leaves_neither_descriptors_nor_tasks_behind(transport: Transport) -> None:
    paths = [
        "/never",
        "/slow-headers",
        "/trickle",
        "/rst-now",
        "/close-now",
        "/bad-status",
        "/big",
        "/early-413",
    ]

    def in_use() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())

    before = in_use()
    async with FaultReceiver() as faulty:
        sends = [
            transport.exchange(post(faulty.url(path)), owner=path, timeout=0.5, on_late=lambda late: None)
            for path in paths * 5
        ]
        ends: list[Outcome] = await asyncio.gather(*sends)
        assert all(end.error or end.status_code == 200 for end in ends)

    def given_back() -> bool:
        return all(now <= then + 5 for now, then in zip(in_use(), before, strict=True))

    await until(given_back, 5, "descriptors and tasks back")
