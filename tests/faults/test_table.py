"""The fault table at the wire: every row at once against one receiver, then one test a row."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from simulator.failures import CODES
from simulator.hints import hint_for
from simulator.outcome import Outcome
from simulator.wire import Transport

from .behaviours import BEHAVIOURS, BOMBS, gzipped_zeros
from .receiver import FaultReceiver

D = 2.0
Record = Callable[[str, object], None]
TABLE: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "table.yaml").read_text())


def request(url: str, size: int | None = None) -> httpx.Request:
    content = b'{"id":"evt_1"}' if size is None else b"x" * size
    return httpx.Request("POST", url, headers={"content-type": "application/json"}, content=content)


async def run_all(at_once: bool) -> dict[str, tuple[Outcome, float, int]]:
    """id → what came of the row, seconds it took, connections a second request on it needed in all.

    `at_once` as a click is sent, else as everything else is.
    """
    transport = Transport()
    BOMBS[200] = gzipped_zeros(200)  # on a busy machine it takes longer than a sender has patience

    async def send(url: str, owner: str, size: int | None = None) -> Outcome:
        sent = request(url, size)
        headers = [(name.decode(), value.decode()) for name, value in sent.headers.raw]
        return await transport.post(url, headers, sent.content, owner=owner, timeout=D, at_once=at_once)

    async def run(row: dict[str, Any]) -> tuple[Outcome, float, int]:
        async with FaultReceiver() as receiver:  # one each, so that connections can be counted
            began = time.perf_counter()
            outcome = await send(receiver.url(row["path"]), row["id"], row.get("send"))
            took = time.perf_counter() - began
            if "keeps" in row:
                await send(receiver.url(row["path"]), row["id"])
            return outcome, took, receiver.connections

    results = await asyncio.gather(*(run(row) for row in TABLE))
    await transport.aclose()
    return {row["id"]: result for row, result in zip(TABLE, results, strict=True)}


@pytest.fixture(scope="module", params=[True, False], ids=["click", "bulk"])
def results(request: pytest.FixtureRequest) -> dict[str, tuple[Outcome, float, int]]:
    return asyncio.run(run_all(request.param))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row['id']}-{row['path'].strip('/') or 'ok'}")
def test_a_misbehaving_receiver_ends_the_attempt_with_its_exact_code(
    row: dict[str, Any], results: dict[str, tuple[Outcome, float, int]], record_property: Record
) -> None:
    outcome, took, connections = results[row["id"]]
    record_property("seconds", took)
    assert (outcome.error, outcome.status_code) == (row["error"], row["status"]), outcome
    assert took <= (D + 1 if row["within"] == "D" else row["within"])
    assert bool(outcome.message) == bool(outcome.error) == bool(outcome.phase)
    assert all(phase >= 0 for phase in outcome.phases.values())
    assert sum(outcome.phases.values()) <= outcome.duration_ms + 0.01
    _check_body(row, outcome)
    pairs = [
        pair for pair in outcome.headers if pair[0].lower() in {n.lower() for n, _ in row.get("headers", [])}
    ]
    assert pairs == [tuple(pair) for pair in row.get("headers", [])]
    assert len(outcome.headers) == row.get("shown", len(outcome.headers))
    assert outcome.headers_dropped == row.get("dropped", 0)
    assert outcome.retry_after == row.get("retry_after")
    assert row.get("says", "") in outcome.message
    if "keeps" in row:
        assert connections == (1 if row["keeps"] else 2)
    if outcome.error:
        hint = hint_for(
            outcome.error,
            status_code=outcome.status_code,
            headers=outcome.headers,
            body=outcome.body,
            url="http://127.0.0.1:1" + row["path"],
            message=outcome.message,
        )
        assert hint and row.get("hint", "") in hint


def _check_body(row: dict[str, Any], outcome: Outcome) -> None:
    if "body" in row:
        assert outcome.body.decode() == row["body"]
    if "kept" in row:
        assert len(outcome.body) == row["kept"]
    if "declared" in row:
        assert outcome.declared == row["declared"]
    assert outcome.body.startswith(row.get("starts", "").encode())
    assert outcome.truncated == row.get("truncated", False)
    assert outcome.status_code is None or outcome.size >= len(outcome.body)


def test_every_behaviour_of_the_receiver_is_in_the_table_and_the_codes_are_the_contracts() -> None:
    elsewhere = {"/close-soon", "/close-second"}  # more than one request: see tests/test_connection.py
    assert {row["path"].partition("?")[0] for row in TABLE} | elsewhere == set(BEHAVIOURS) | {"/"}
    assert {row["error"] for row in TABLE} - {None} <= set(CODES)
    assert len({row["id"] for row in TABLE}) == len(TABLE)
