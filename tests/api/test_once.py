"""Idempotency-Key: a lost answer and a repeat make one."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from tests.receiving import Receiver
from tests.serving import Server

from .conftest import Json, field_of, made, refused


@pytest.fixture
def key() -> str:
    return str(uuid4())


def test_fifty_calls_at_once_with_one_key_make_one_event(
    api: Server, endpoint: Json, receiver: Receiver, key: str
) -> None:
    """A15."""
    event = {"type": "lead.qualified", "endpoints": [endpoint["id"]]}
    with ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(api.api, "POST", "/events", event, Idempotency_Key=key) for _ in range(50)]
        replies = [call.result() for call in calls]
    assert {(reply.status, reply.body) for reply in replies} == {(202, replies[0].body)}
    deliveries = made(api.api("GET", f"/deliveries?endpoint={endpoint['id']}"))["data"]
    assert len(deliveries) == 1


def test_another_body_with_the_same_key_is_a_conflict(api: Server, key: str) -> None:
    event = {"type": "lead.qualified", "endpoints": []}
    made(api.api("POST", "/events", event, Idempotency_Key=key))
    other = {"type": "message.received", "endpoints": []}
    assert refused(api.api("POST", "/events", other, Idempotency_Key=key), 409)["type"] == "conflict_error"


def test_the_same_key_means_something_else_at_another_address(api: Server, key: str) -> None:
    body = {"url": "http://localhost:1/x", "events": ["*"]}
    first = api.api("POST", "/webhooks", body, Idempotency_Key=key)
    again = api.api("POST", "/webhooks", body, Idempotency_Key=key)
    assert (again.status, again.body) == (first.status, first.body) == (201, first.body)
    assert again.json["secret"]
    made(api.api("POST", f"/webhooks/{first.json['id']}/test", {}, Idempotency_Key=key))


def test_a_refused_call_leaves_its_key_free(api: Server, key: str) -> None:
    refused(api.api("POST", "/events", {"type": "nope"}, Idempotency_Key=key))
    refused(
        api.api("POST", "/events", {"type": "lead.qualified", "endpoints": ["ep_1"]}, Idempotency_Key=key)
    )
    made(api.api("POST", "/events", {"type": "lead.qualified", "endpoints": []}, Idempotency_Key=key))


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb", "\xe9"])
def test_a_key_that_is_none_is_refused(api: Server, key: str) -> None:
    event = {"type": "lead.qualified", "endpoints": []}
    assert field_of(api.api("POST", "/events", event, Idempotency_Key=key))[0] == "Idempotency-Key"


def test_a_key_outlives_a_kill(make_server, key: str) -> None:  # type: ignore[no-untyped-def]
    """E03: the 202 was lost with the process; its repeat finds the same event."""
    server = make_server()
    event = {"type": "lead.qualified", "endpoints": []}
    first = server.api("POST", "/events", event, Idempotency_Key=key)
    server.kill()
    server.start()
    assert server.api("POST", "/events", event, Idempotency_Key=key).body == first.body
