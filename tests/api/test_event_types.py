"""Event types over the API: four built-in ones, and one's own."""

import pytest

from tests.receiving import Receiver
from tests.serving import Server

from .conftest import Json, field_of, made, refused

BUILT_IN = ["lead.qualified", "property.matched", "message.received", "analysis.completed"]


@pytest.fixture
def own(api: Server) -> Json:
    """A custom type; deleted by the test that minds."""
    name = (
        f"own.type-{made(api.api('POST', '/events', {'type': BUILT_IN[0], 'endpoints': []}))['event']['id']}"
    )
    new = {
        "type": name,
        "description": "Mine",
        "example": {"b": 1, "a": [True]},
        "schema": {"type": "object"},
    }
    return made(api.api("POST", "/event-types", new))


def test_the_four_of_the_vendor_are_there_and_cannot_be_changed(api: Server) -> None:
    types = made(api.api("GET", "/event-types?limit=200"))["data"]
    assert [each["type"] for each in types if each["built_in"]] == BUILT_IN
    for each in types[-4:]:
        assert set(each) == {"type", "description", "example", "schema", "built_in"}
        assert set(each["example"]) == set(each["schema"]["required"])
    for name in BUILT_IN:
        refused(api.api("PATCH", f"/event-types/{name}", {"description": "x"}), 409)
        refused(api.api("DELETE", f"/event-types/{name}"), 409)
        refused(api.api("POST", "/event-types", {"type": name, "example": {}}), 409)


def test_a_type_of_ones_own_can_be_subscribed_to_and_sent(api: Server, own: Json, receiver: Receiver) -> None:
    new = {"url": receiver.url, "events": [own["type"]]}
    endpoint = made(api.api("POST", "/webhooks", new))
    sent = made(api.api("POST", "/events", {"type": own["type"], "overrides": {"c.d": 2}}))
    assert endpoint["id"] in [each["endpoint"]["id"] for each in sent["deliveries"]]
    (request,) = receiver.wait_for(1)
    assert request.json["type"] == own["type"] == request.headers["x-ultrareach-event"]
    assert request.json["data"] == {"b": 1, "a": [True], "c": {"d": 2}}
    error = refused(api.api("DELETE", f"/event-types/{own['type']}"), 409)
    assert endpoint["id"] in error["message"]
    assert api.api("DELETE", f"/webhooks/{endpoint['id']}").status == 204
    gone = api.api("DELETE", f"/event-types/{own['type']}")
    assert gone.status == 204 and "content-type" not in gone.headers
    assert field_of(api.api("POST", "/events", {"type": own["type"]})) == ("type", "unknown_event_type")
    refused(api.api("DELETE", f"/event-types/{own['type']}"), 404)


def test_a_type_cannot_vanish_from_under_a_batch(api: Server, own: Json, receiver: Receiver) -> None:
    receiver.delay = 0.2
    endpoint = made(api.api("POST", "/webhooks", {"url": receiver.url, "events": ["lead.qualified"]}))
    batch = {"type": own["type"], "count": 100_000, "endpoints": [endpoint["id"]]}
    batch_id = made(api.api("POST", "/events/batch", batch))["batch_id"]
    refused(api.api("DELETE", f"/event-types/{own['type']}"), 409)
    made(api.api("POST", f"/events/batch/{batch_id}/stop"))
    assert api.api("DELETE", f"/event-types/{own['type']}").status == 204


def test_a_change_touches_only_what_it_names(api: Server, own: Json) -> None:
    path = f"/event-types/{own['type']}"
    assert made(api.api("PATCH", path, {"schema": None})) == own | {"schema": None}
    assert made(api.api("PATCH", path, {"example": {}})) == own | {"schema": None, "example": {}}
    assert own["type"] in [each["type"] for each in made(api.api("GET", "/event-types?limit=200"))["data"]]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("type", "", "too_short"),
        ("type", "x" * 101, "too_long"),
        ("type", "two words", "invalid_format"),
        ("type", "a..b", "invalid_format"),
        ("type", "é", "invalid_format"),
        ("type", "a\n", "invalid_format"),
        ("type", "*", "invalid_format"),
        ("type", None, "invalid_type"),
        ("example", [], "invalid_type"),
        ("example", None, "invalid_type"),
        ("schema", "x", "invalid_type"),
        ("description", 5, "invalid_type"),
        ("built_in", True, "unknown_field"),
    ],
)
def test_a_bad_type_is_refused_at_its_field(api: Server, field: str, value: object, reason: str) -> None:
    new = {"type": "fine.name", "example": {}, field: value}
    assert field_of(api.api("POST", "/event-types", new)) == (field, reason)


def test_the_pages_of_the_list_are_its_parts(api: Server, own: Json) -> None:
    whole = made(api.api("GET", "/event-types?limit=200"))["data"]
    parts, cursor = [], ""
    while True:
        page = made(api.api("GET", f"/event-types?limit=2{cursor}"))
        parts += page["data"]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert parts == whole


def test_a_page_goes_on_where_the_one_before_ended_although_its_last_type_was_deleted(api: Server) -> None:
    for name in ("paged.1", "paged.2", "paged.3"):
        made(api.api("POST", "/event-types", {"type": name, "example": {}}))
    first = made(api.api("GET", "/event-types?limit=2"))
    assert [each["type"] for each in first["data"]] == ["paged.3", "paged.2"]
    assert api.api("DELETE", "/event-types/paged.2").status == 204
    second = made(api.api("GET", f"/event-types?limit=1&cursor={first['next_cursor']}"))
    assert [each["type"] for each in second["data"]] == ["paged.1"]
    for name in ("paged.1", "paged.3"):
        assert api.api("DELETE", f"/event-types/{name}").status == 204
    third = made(api.api("GET", f"/event-types?limit=200&cursor={second['next_cursor']}"))
    assert [each["type"] for each in third["data"]][-4:] == BUILT_IN
    assert not {"paged.1", "paged.3"} & {each["type"] for each in third["data"]}
