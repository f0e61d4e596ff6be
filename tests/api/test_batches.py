"""Batches over the API: accepted at once, delivered each once, counted, stopped."""

import json

import pytest

from tests.receiving import Receiver
from tests.serving import Server
from tests.waiting import wait_until

from .conftest import Json, field_of, made, refused


def batch(api: Server, endpoint: Json, count: int) -> str:
    accepted = made(
        api.api(
            "POST", "/events/batch", {"type": "lead.qualified", "count": count, "endpoints": [endpoint["id"]]}
        )
    )
    assert list(accepted) == ["batch_id", "count"] and accepted["count"] == count
    return accepted["batch_id"]


def state(api: Server, id: str) -> Json:
    return made(api.api("GET", f"/events/batch/{id}"))


def test_every_event_of_a_batch_is_its_own_and_arrives_once(
    api: Server, endpoint: Json, receiver: Receiver
) -> None:
    id = batch(api, endpoint, 300)
    wait_until(lambda: state(api, id)["status"] == "finished", 20)
    bodies = [json.loads(request.body) for request in receiver.requests]
    assert len({body["id"] for body in bodies}) == len(bodies) == 300
    assert len({body["data"]["lead_id"] for body in bodies}) > 200


def test_a_stopped_batch_makes_no_more(api: Server, endpoint: Json, receiver: Receiver) -> None:
    receiver.delay = 30
    id = batch(api, endpoint, 100_000)
    receiver.wait_for(10)
    stopped = made(api.api("POST", f"/events/batch/{id}/stop"))
    assert stopped["status"] == "stopped"
    assert state(api, id)["made"] == stopped["made"] < 100_000
    refused(api.api("POST", f"/events/batch/{id}/stop"), 409)


def test_with_an_empty_list_of_endpoints_nobody_gets_it_one_event_or_many(
    api: Server, endpoint: Json, receiver: Receiver
) -> None:
    nobody = {"type": "lead.qualified", "endpoints": []}
    one = made(api.api("POST", "/events", nobody))
    assert one["deliveries"] == one["skipped"] == []
    assert made(api.api("GET", f"/events/{one['event']['id']}"))["deliveries"] == []
    id = made(api.api("POST", "/events/batch", nobody | {"count": 3}))["batch_id"]
    ended = wait_until(lambda: (now := state(api, id))["status"] != "running" and now, 10)
    assert (ended["status"], ended["made"]) == ("finished", 3)
    assert receiver.requests == []


def test_the_document_says_of_both_what_an_empty_list_of_endpoints_means(api: Server) -> None:
    schemas = api.get("/api/v1/openapi.json").json["components"]["schemas"]
    one, many = (schemas[name]["properties"]["endpoints"] for name in ("EventIn", "BatchIn"))
    assert one == many
    assert "minItems" not in one and "an empty list" in one["description"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"count": 0}, "count"),
        ({"count": 100_001}, "count"),
        ({"count": "5"}, "count"),
        ({"count": True}, "count"),
        ({"type": "lead.qualifed"}, "type"),
        ({"endpoints": ["ep_nonsense"]}, "endpoints.0"),
        ({"data": {}}, "data"),
    ],
)
def test_a_bad_batch_is_refused_at_its_field(api: Server, fields: Json, field: str) -> None:
    reply = api.api("POST", "/events/batch", {"type": "lead.qualified", "count": 5, **fields})
    assert field_of(reply)[0] == field


def test_an_unknown_batch_is_not_found(api: Server) -> None:
    refused(api.api("GET", "/events/batch/bat_00000000000"), 404)
