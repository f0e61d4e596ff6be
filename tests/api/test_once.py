"""Idempotency-Key: a lost answer and a repeat make one."""

import http.client
import json
import re
import sqlite3
from uuid import uuid4

import pytest

from tests.serving import Server

from .conftest import Json, field_of, made, refused


@pytest.fixture
def key() -> str:
    return str(uuid4())


def test_fifty_calls_at_once_with_one_key_make_one_event(api: Server, endpoint: Json, key: str) -> None:
    """A15. The database is held until all of them have arrived, so that they really are at once."""
    body = json.dumps({"type": "lead.qualified", "endpoints": [endpoint["id"]]})
    headers = {
        "Authorization": f"Bearer {api.key}",
        "Content-Type": "application/json",
        "Idempotency-Key": key,
    }
    holder = sqlite3.connect(api.data_dir / "simulator.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    connections = [http.client.HTTPConnection("127.0.0.1", api.port, timeout=20) for _ in range(50)]
    for connection in connections:
        connection.request("POST", "/api/v1/events", body, headers)
    assert api.get("/healthz").status == 200
    holder.execute("ROLLBACK")
    holder.close()
    answers = [connection.getresponse() for connection in connections]
    bodies = {(answer.status, answer.read()) for answer in answers}
    for connection in connections:
        connection.close()
    assert [status for status, _ in bodies] == [202]
    assert len(made(api.api("GET", f"/deliveries?endpoint={endpoint['id']}"))["data"]) == 1


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


@pytest.mark.parametrize("key", ["!", "of 2025, ~two  spaces", '"8e03978e-40d5"', "x" * 201, "a\tb", "\xe9"])
def test_the_description_allows_exactly_the_keys_that_are_taken(api: Server, key: str) -> None:
    operation = api.get("/api/v1/openapi.json").json["paths"]["/api/v1/events"]["post"]
    schema = next(each["schema"] for each in operation["parameters"] if each["name"] == "Idempotency-Key")
    allowed = re.search(schema["pattern"], key) is not None and len(key) <= schema["maxLength"]
    event = {"type": "lead.qualified", "endpoints": []}
    assert (api.api("POST", "/events", event, Idempotency_Key=key).status == 202) == allowed


def test_a_key_outlives_a_kill(make_server, key: str) -> None:  # type: ignore[no-untyped-def]
    """E03: the 202 was lost with the process; its repeat finds the same event."""
    server = make_server()
    event = {"type": "lead.qualified", "endpoints": []}
    first = server.api("POST", "/events", event, Idempotency_Key=key)
    server.kill()
    server.start()
    assert server.api("POST", "/events", event, Idempotency_Key=key).body == first.body
