"""kill -9 at the exact stages (E02 to E06), with exact counts. Three runs a stage; fifty with --kills 200."""

import http.client
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from ..receiving import Receiver
from ..serving import Server
from ..waiting import wait_until
from . import stages
from .planted import planted

pytestmark = pytest.mark.long

EVENT = {"type": "lead.qualified", "data": {"score": 87}}


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    return make_server(**planted("stages"))


@pytest.fixture
def endpoint(server: Server, receiver: Receiver) -> str:
    made = server.api("POST", "/webhooks", json={"url": receiver.url, "events": ["*"], "timeout": 5})
    return made.json["id"]


@pytest.fixture
def runs(pytestconfig: pytest.Config) -> range:
    return range(50 if pytestconfig.getoption("--kills") >= 200 else 3)


def killed_at(server: Server, stage: str, once: str, path: str = "/events") -> bool:
    """Send an event on the way of which the server ends at this stage; start it again. Whether a 202 came."""
    stages.arm(server.data_dir, stage)
    try:
        answered = bool(send(server, once, path))
    except (OSError, http.client.HTTPException):
        answered = False
    assert server.wait(10) == -9, f"it did not come to the stage {stage!r}"
    server.start()
    return answered


def send(server: Server, once: str, path: str = "/events") -> Any:
    told = server.api("POST", path, json=EVENT, Idempotency_Key=once)
    assert told.status == 202
    return told.json


def attempts(server: Server, event: str) -> list[tuple[int, str, str]]:
    """(number, status, trigger) of the one delivery of an event, once it has succeeded."""

    def succeeded() -> str | None:
        (delivery,) = server.api("GET", f"/events/{event}").json["deliveries"]
        return delivery["id"] if delivery["status"] == "succeeded" else None

    delivery = wait_until(succeeded, 5, "the delivery's success")
    made = server.api("GET", f"/deliveries/{delivery}").json["attempts"]
    return [(attempt["number"], attempt["status"], attempt["trigger"]) for attempt in made]


def stored_events(server: Server) -> int:
    with closing(sqlite3.connect(server.data_dir / "simulator.sqlite3")) as rows:
        return int(rows.execute("SELECT count(*) FROM simulator_event").fetchone()[0])


def arrived(receiver: Receiver, event: str) -> list[str]:
    """The attempt numbers with which an event arrived."""
    requests = [r.headers for r in receiver.requests if r.headers["x-ultrareach-event-id"] == event]
    return [headers["x-ultrareach-attempt"] for headers in requests]


def test_killed_before_the_commit_there_is_neither_event_nor_202(
    server: Server, endpoint: str, receiver: Receiver, runs: range
):
    for run in runs:
        assert not killed_at(server, stages.BEFORE_EVENT, f"run {run}")
        assert stored_events(server) == 0
    assert receiver.requests == []


def test_killed_between_commit_and_202_a_repeat_gets_the_same_event(
    server: Server, endpoint: str, receiver: Receiver, runs: range
):
    for run in runs:
        assert not killed_at(server, stages.AFTER_EVENT, f"run {run}")
        event = send(server, f"run {run}")["event"]["id"]
        assert stored_events(server) == run + 1
        assert attempts(server, event)[-1][1] == "succeeded"
        assert len(arrived(receiver, event)) == 1


CUT_OFF = [(1, "interrupted", "automatic"), (2, "succeeded", "recovery")]


@pytest.mark.parametrize(
    "stage, seen",
    [
        (stages.AFTER_CLAIM, ["2"]),
        (stages.FIRST_BYTE, ["2"]),
        (stages.BEFORE_RESULT, ["1", "2"]),  # the one duplicate that cannot be avoided
    ],
)
def test_killed_in_an_attempt_it_is_made_once_more(
    server: Server, endpoint: str, receiver: Receiver, runs: range, stage: str, seen: list[str]
):
    for run in runs:
        killed_at(server, stage, f"run {run}")
        event = send(server, f"run {run}")["event"]["id"]
        assert attempts(server, event) == CUT_OFF
        assert arrived(receiver, event) == seen
    assert stored_events(server) == len(runs)


def test_a_click_killed_between_its_commit_and_its_hand_over_is_sent_once(
    server: Server, endpoint: str, receiver: Receiver, runs: range
):
    """It is stored as claimed already: nothing of it has left, and the next start takes it up."""
    path = f"/webhooks/{endpoint}/test"
    for run in runs:
        assert not killed_at(server, stages.AFTER_CLAIM, f"run {run}", path)
        event = send(server, f"run {run}", path)["event"]["id"]
        assert attempts(server, event) == CUT_OFF
        assert arrived(receiver, event) == ["2"]
    assert stored_events(server) == len(runs)
