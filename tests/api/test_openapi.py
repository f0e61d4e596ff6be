"""The description and the answers are the same thing: every answer has exactly the fields that are declared."""

import re
from typing import Any

import pytest

from simulator import failures
from tests.receiving import Receiver
from tests.serving import Server

from .conftest import Json, field_of, made

TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}


@pytest.fixture(scope="module")
def description(api: Server) -> Json:
    return api.get("/api/v1/openapi.json").json


def wrong(root: Json, schema: Json, value: Any, place: str = "") -> str | None:
    """Where a value does not have the form of its schema; None when it does. Knows what our schemas use."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return wrong(root, root["components"]["schemas"][name], value, place)
    if "anyOf" in schema:
        faults = [wrong(root, each, value, place) for each in schema["anyOf"]]
        return None if None in faults else "; ".join(map(str, faults))
    kind = schema.get("type")
    if kind and not (isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))):
        return f"{place}: {value!r} is not {kind}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{place}: {value!r} is none of {schema['enum']}"
    parts: list[tuple[Json, Any, str]] = []
    if "properties" in schema:
        if set(value) != set(schema["properties"]) or set(schema["required"]) != set(value):
            return f"{place}: {sorted(set(value) ^ set(schema['properties']))} or not required"
        parts = [(each, value[name], f"{place}.{name}") for name, each in schema["properties"].items()]
    elif kind == "array":
        shapes = schema.get("prefixItems") or [schema.get("items", {})] * len(value)
        parts = [
            (each, item, f"{place}.{n}") for n, (each, item) in enumerate(zip(shapes, value, strict=True))
        ]
    return next(filter(None, (wrong(root, *part) for part in parts)), None)


def check(api: Server, description: Json, method: str, path: str, body: Any = None, **ids: str) -> Json:
    """Make a call, hold its answer against the description, and return it."""
    operation = description["paths"][f"/api/v1{path.partition('?')[0]}"][method.lower()]
    reply = api.api(method, path.format(**ids), body)
    answer = made(reply)
    schema = operation["responses"][str(reply.status)]["content"]["application/json"]["schema"]
    assert wrong(description, schema, answer) is None
    return answer


def test_every_answer_has_the_declared_form(
    api: Server, description: Json, receiver: Receiver, ended: Any
) -> None:
    receiver.answer(500, 200)
    new = {"url": receiver.url, "events": ["*"]}
    endpoint = check(api, description, "POST", "/webhooks", new)
    id = endpoint["id"]
    check(api, description, "GET", "/webhooks")
    check(api, description, "GET", "/webhooks/{id}", id=id)
    check(api, description, "PATCH", "/webhooks/{id}", {"timeout": 2.5}, id=id)
    check(api, description, "GET", "/webhooks/{id}/secret", id=id)
    check(api, description, "POST", "/webhooks/{id}/rotate-secret", id=id)
    check(api, description, "POST", "/webhooks/{id}/check", id=id)
    delivery = check(api, description, "POST", "/webhooks/{id}/test", id=id)
    ended(delivery["id"])
    check(api, description, "GET", "/deliveries?limit=200")
    check(api, description, "GET", "/deliveries/{id}", id=delivery["id"])
    check(api, description, "POST", "/deliveries/{id}/resend", id=delivery["id"])
    receiver.stop()
    made(api.api("PATCH", f"/webhooks/{id}", {"retry": {"delays": [80_000]}}))
    check(api, description, "POST", "/webhooks/{id}/check", id=id)
    sent = check(api, description, "POST", "/events", {"type": "lead.qualified", "endpoints": [id]})
    check(api, description, "GET", "/events")
    check(api, description, "GET", "/events/{id}", id=sent["event"]["id"])
    waiting = sent["deliveries"][0]["id"]
    check(api, description, "POST", "/deliveries/{id}/cancel", id=waiting)
    check(api, description, "GET", "/deliveries/{id}", id=waiting)
    check(api, description, "GET", "/event-types")
    kind = check(api, description, "POST", "/event-types", {"type": f"x.{waiting}", "example": {}})["type"]
    check(api, description, "PATCH", "/event-types/{type}", {"schema": {}}, type=kind)
    verify = {"payload": "", "signature": "", "timestamp": "", "secret": "s"}
    check(api, description, "POST", "/signatures/verify", verify)
    check(api, description, "GET", "/activity")


def test_every_error_has_the_declared_form(api: Server, description: Json) -> None:
    for path in ("/webhooks?limit=0", "/webhooks/ep_1"):
        reply = api.api("GET", path)
        declared = description["paths"]["/api/v1/webhooks/{id}"]["get"]["responses"]
        schema = declared[str(reply.status)]["content"]["application/json"]["schema"]
        assert wrong(description, schema, reply.json) is None


def test_what_a_call_says_to_a_body_it_cannot_take_is_declared(api: Server, description: Json) -> None:
    operations = [
        (method, path, operation["responses"])
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
        if method != "get"
    ]
    assert len(operations) > 15
    for method, path, declared in operations:
        for kind, body in (("text/plain", b"x"), ("application/json", b" " * 1024 * 1024 + b"x")):
            headers = {"Authorization": f"Bearer {api.key}", "Content_Type": kind}
            reply = api.request(method.upper(), path.format(id="x", type="x"), body, **headers)
            assert str(reply.status) in declared, (method, path, reply.status)


def test_what_a_call_of_another_web_page_is_told_is_declared(api: Server, description: Json) -> None:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            headers = {"Authorization": f"Bearer {api.key}", "Origin": "http://evil.example"}
            reply = api.request(method.upper(), path.format(id="x", type="x"), **headers)
            assert reply.status == 403 or method == "get", (method, path)
            assert str(reply.status) in operation["responses"], (method, path, reply.status)


def test_every_body_is_described_by_the_name_of_its_model_alone(description: Json) -> None:
    """openapi-python-client leaves out every call whose body has a default beside its model."""
    bodies = [
        operation["requestBody"]["content"]["application/json"]["schema"]
        for methods in description["paths"].values()
        for operation in methods.values()
        if "requestBody" in operation
    ]
    assert len(bodies) == 10
    assert all(list(body) == ["$ref"] for body in bodies)


def test_a_body_that_may_be_left_out_may_also_be_empty(
    api: Server, description: Json, receiver: Receiver, ended: Any
) -> None:
    id = made(api.api("POST", "/webhooks", {"url": receiver.url, "events": ["*"]}))["id"]
    delivery = ended(made(api.api("POST", f"/webhooks/{id}/test"))["id"])
    calls = [
        (method, path)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
        if not operation.get("requestBody", {"required": True})["required"]
    ]
    assert len(calls) == 3
    for method, path in calls:
        place = path.format(id=delivery["id"] if "deliveries" in path else id)
        for body in (None, {}):
            made(api.api(method.upper(), place.removeprefix("/api/v1"), body))


def test_the_description_is_openapi_3_1_with_examples_where_openapi_wants_them(description: Json) -> None:
    assert description["openapi"].startswith("3.1")
    for methods in description["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                assert isinstance(parameter.get("examples", {}), dict)  # a list belongs into the schema
                assert parameter["schema"]["type"] in ("string", "integer")
    assert description["components"]["securitySchemes"]["Key"]["scheme"] == "bearer"


def test_the_bounds_of_a_delay_are_described_in_words_of_json_schema(description: Json) -> None:
    delay = description["components"]["schemas"]["RetryIn"]["properties"]["delays"]["items"]
    assert delay == {"type": "number", "minimum": 0, "maximum": 86_400}


def test_a_whole_number_may_be_written_with_its_point_as_json_schema_allows(api: Server) -> None:
    new = {"url": f"{api.url}/receiver/ok", "events": ["*"], "max_in_flight": 20.0}
    endpoint = made(api.api("POST", "/webhooks", new))
    assert type(endpoint["max_in_flight"]) is int and endpoint["max_in_flight"] == 20
    id, batch = endpoint["id"], {"type": "lead.qualified", "count": 2.0, "endpoints": []}
    assert type(made(api.api("POST", "/events/batch", batch))["count"]) is int
    made(api.api("POST", f"/webhooks/{id}/rotate-secret", {"overlap_seconds": 60.0}))
    verify = {"payload": "", "signature": "", "timestamp": 1738896900.0, "secret": "s"}
    assert made(api.api("POST", "/signatures/verify", verify))["signed_content"] == "1738896900."
    for number in (20.5, 1001.0, 1e300):
        assert field_of(api.api("POST", "/webhooks", new | {"max_in_flight": number}))[0] == "max_in_flight"


def test_times_and_closed_lists_are_described_as_such(description: Json) -> None:
    """What contract.md closes is an enum, so that a client made from the document knows every case."""
    models = {name: model["properties"] for name, model in description["components"]["schemas"].items()}
    assert models["FailureOut"]["code"]["enum"] == list(failures.CODES)
    assert models["LastAttempt"]["error"]["anyOf"][0]["enum"] == list(failures.CODES)
    assert models["ErrorBody"]["type"]["enum"][-1] == "server_error"
    assert models["BatchOut"]["status"]["enum"] == ["running", "finished", "stopped"]
    assert models["Skipped"]["reason"]["enum"] == ["paused", "not_subscribed"]
    assert models["Profile"]["digest"]["enum"] == ["sha256", "sha1", "sha512"]
    assert models["Profile"]["encoding"]["enum"] == ["hex", "base64"]
    assert models["Profile"]["key"]["enum"] == ["utf8", "base64-after-prefix"]
    fields = [(name, field) for model in models.values() for name, field in model.items()]
    fields += [
        (each["name"], each["schema"])
        for methods in description["paths"].values()
        for operation in methods.values()
        for each in operation["parameters"]
    ]
    times = [field for name, field in fields if re.fullmatch("created|updated|since|until|.*_at", name)]
    assert len(times) > 15
    for field in times:
        assert field.get("anyOf", [field])[0]["format"] == "date-time", field


def test_an_export_is_described_as_text_first(description: Json) -> None:
    """Generators of clients read an answer as the first type says: as JSON, curl's command raised an exception."""
    answer = description["paths"]["/api/v1/deliveries/{id}/export"]["get"]["responses"]["200"]
    assert list(answer["content"]) == ["text/plain", "application/json"]


def test_the_fields_of_a_profile_are_described_where_they_are_given_as_where_they_are_shown(
    description: Json,
) -> None:
    models = description["components"]["schemas"]
    shown = models["Profile"]["properties"]
    for model, field in (("WebhookIn", "signature"), ("WebhookPatch", "signature"), ("VerifyIn", "profile")):
        presets, given = models[model]["properties"][field]["anyOf"]
        assert "stripe" in presets["enum"] and given["additionalProperties"] is False
        assert "required" not in given and set(given["properties"]) == set(shown)
        for name, kind in given["properties"].items():
            assert kind.get("enum") == shown[name].get("enum")
            assert ("null" in kind["type"]) == ("anyOf" in shown[name])
    assert models["WebhookIn"]["properties"]["secret"]["maxLength"] == 4096
    assert models["VerifyIn"]["properties"]["secret"]["minLength"] == 1
