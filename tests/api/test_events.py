"""Events over the API: who gets them, with which bytes."""

import hashlib
import json
from typing import Any

import pytest

from tests.receiving import Receiver
from tests.serving import Server

from .conftest import Json, field_of, made


def only(endpoint: Json, **event: Any) -> Json:
    return {"type": "lead.qualified", "endpoints": [endpoint["id"]], **event}


def test_what_the_receiver_gets_is_what_the_api_shows(
    api: Server, endpoint: Json, receiver: Receiver, ended: Any
) -> None:
    data = {"z": 1, "a": {"ü": "😀", "n": 2**63, "f": 1.0, "e": []}}
    sent = made(api.api("POST", "/events", only(endpoint, data=data, overrides={"a.new": None})))
    assert list(sent) == ["event", "deliveries", "skipped"]
    (request,) = receiver.wait_for(1)
    event = sent["event"]
    assert request.body == event["body"].encode()
    assert event["sha256"] == hashlib.sha256(request.body).hexdigest()
    assert event["size"] == len(request.body)
    envelope = json.loads(request.body)
    assert list(envelope) == ["id", "type", "created", "data", "version"]
    assert envelope["id"] == event["id"]
    assert envelope["data"] == {**data, "a": {**data["a"], "new": None}}
    (delivery,) = sent["deliveries"]
    attempt = ended(delivery["id"])["attempts"][0]
    assert attempt["request"]["body"] == event["body"]
    read = made(api.api("GET", f"/events/{event['id']}"))
    assert {name: read[name] for name in event} == event
    assert [each["id"] for each in read["deliveries"]] == [delivery["id"]]


def test_a_raw_body_is_sent_byte_for_byte(api: Server, endpoint: Json, receiver: Receiver) -> None:
    """A05, A07."""
    raw = '{"b": 1.0,  "a": 1e2, "a": "\\u00e9é", "n": 9223372036854775808}\n'
    sent = made(api.api("POST", "/events", only(endpoint, raw_body=raw)))
    (request,) = receiver.wait_for(1)
    assert request.body == raw.encode() == sent["event"]["body"].encode()


def test_without_endpoints_everyone_who_subscribes_gets_it_and_the_others_are_named(
    api: Server, receiver: Receiver
) -> None:
    def endpoint(events: list[str], **fields: Any) -> str:
        new = {"url": receiver.url, "events": events, **fields}
        return made(api.api("POST", "/webhooks", new))["id"]

    subscribed, everything = endpoint(["property.matched"]), endpoint(["*"])
    other, paused = endpoint(["lead.qualified"]), endpoint(["*"], status="paused")
    sent = made(api.api("POST", "/events", {"type": "property.matched"}))
    getting = {each["endpoint"]["id"] for each in sent["deliveries"]}
    skipped = {each["endpoint"]: each["reason"] for each in sent["skipped"]}
    assert getting >= {subscribed, everything} and not getting & {other, paused}
    assert skipped[other] == "not_subscribed" and skipped[paused] == "paused"
    for id in (subscribed, everything, other, paused):
        assert api.api("DELETE", f"/webhooks/{id}").status == 204


def test_an_event_to_a_url_needs_no_registration_and_the_same_url_is_one_endpoint(
    api: Server, receiver: Receiver
) -> None:
    event = {"type": "lead.qualified", "to": receiver.url, "trigger": "cli"}
    first, second = (made(api.api("POST", "/events", event))["deliveries"][0] for _ in range(2))
    assert first["trigger"] == "cli"
    assert first["endpoint"] == second["endpoint"]
    assert len(receiver.wait_for(2)) == 2
    listed = made(api.api("GET", "/webhooks?limit=200"))["data"]
    assert first["endpoint"]["id"] not in [each["id"] for each in listed]
    assert made(api.api("GET", f"/webhooks/{first['endpoint']['id']}"))["url"] == receiver.url


@pytest.mark.parametrize(
    ("event", "place", "reason"),
    [
        ({}, "type", "required"),
        ({"type": 5}, "type", "invalid_type"),
        ({"type": ""}, "type", "too_short"),
        ({"type": "x" * 101}, "type", "too_long"),
        ({"type": "lead.qualfied"}, "type", "unknown_event_type"),
        ({"data": []}, "data", "invalid_type"),
        ({"data": "x"}, "data", "invalid_type"),
        ({"data": None}, "data", "invalid_type"),
        ({"overrides": {"triggers.0": 1}}, "overrides.triggers.0", "invalid_override"),
        ({"overrides": {"": 1}}, "overrides.", "invalid_override"),
        ({"overrides": {f"a{n}": 1 for n in range(101)}}, "overrides", "too_long"),
        ({"raw_body": 5}, "raw_body", "invalid_type"),
        ({"raw_body": "{}", "data": {}}, "raw_body", "conflict"),
        ({"raw_body": "{}", "overrides": {}}, "raw_body", "conflict"),
        ({"endpoints": "ep_1"}, "endpoints", "invalid_type"),
        ({"endpoints": ["ep_1"]}, "endpoints.0", "not_found"),
        ({"endpoints": [5]}, "endpoints.0", "invalid_type"),
        ({"endpoints": [], "to": "http://localhost:1/"}, "to", "conflict"),
        ({"to": "ftp://localhost/"}, "to", "unsupported_scheme"),
        ({"to": "http://example.com/"}, "to", "https_required"),
        ({"trigger": "schedule"}, "trigger", "invalid_format"),
    ],
)
def test_a_bad_event_is_refused_at_its_field_and_nothing_is_stored(
    api: Server, event: Json, place: str, reason: str
) -> None:
    newest = made(api.api("GET", "/events?limit=1"))["data"]
    full = event if event == {} or "type" in event else {"type": "lead.qualified", **event}
    assert field_of(api.api("POST", "/events", full)) == (place, reason)
    assert made(api.api("GET", "/events?limit=1"))["data"] == newest


def test_an_unknown_type_lists_what_was_perhaps_meant(api: Server) -> None:
    error = api.api("POST", "/events", {"type": "lead.qualfied"}).json["error"]
    assert error["details"]["suggestions"][0] == "lead.qualified"
    assert "lead.qualified" in error["message"]


def test_the_list_shows_each_event_with_its_body_and_deliveries(api: Server, endpoint: Json) -> None:
    events = [made(api.api("POST", "/events", only(endpoint)))["event"] for _ in range(3)]
    listed = made(api.api("GET", "/events?limit=3"))["data"]
    assert [each["id"] for each in listed] == [each["id"] for each in reversed(events)]
    assert [each["body"] for each in listed] == [each["body"] for each in reversed(events)]
    assert all(len(each["deliveries"]) == 1 for each in listed)


def test_a_page_of_large_events_ends_early_but_none_is_left_out(api: Server) -> None:
    size = 1_000_000
    for number in range(10):
        raw = json.dumps({"number": number, "pad": "x" * size})
        made(api.api("POST", "/events", {"type": "lead.qualified", "endpoints": [], "raw_body": raw}))
    page = made(api.api("GET", "/events?limit=10"))
    assert page["has_more"] and 1 <= len(page["data"]) < 10
    assert sum(each["size"] for each in page["data"]) <= 8 * 1024 * 1024
    rest = made(api.api("GET", f"/events?limit=10&cursor={page['next_cursor']}"))["data"]
    numbers = [json.loads(each["body"])["number"] for each in (page["data"] + rest)[:10]]
    assert numbers == list(range(9, -1, -1))
