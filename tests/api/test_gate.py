"""What every call passes: key, media type, size, strict JSON, known names, and one envelope for every error."""

import gzip
import http.client
import json
import socket

import pytest

from tests.serving import Reply, Server

from .conftest import field_of, made, refused

EVENT = {"type": "lead.qualified"}


def test_the_registration_call_of_the_vendors_guide_works_verbatim(api: Server) -> None:
    body = (
        b'{"url": "https://your-domain.com/webhooks", "events": ["lead.qualified", "property.matched"],'
        b' "description": "Production webhook endpoint"}'
    )
    reply = api.request(
        "POST",
        "/api/v1/webhooks",
        body,
        Authorization=f"Bearer {api.key}",
        Content_Type="application/json",
    )
    assert reply.status == 201
    assert reply.json["secret"].startswith("whsec_")
    assert reply.json["url"] == "https://your-domain.com/webhooks"
    assert reply.json["events"] == ["lead.qualified", "property.matched"]


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "{key}",
        "Basic {key}",
        "bearer {key}",
        "BEARER {key}",
        "Bearer  {key}",
        "Bearer {key} ",
        "Bearer {key},Bearer {key}",
        "Bearer {swapped}",
        "Bearer " + "x" * 10_000,
        "Bearer \xe9",
    ],
)
def test_without_exactly_the_key_nothing_is_answered(api: Server, authorization: str | None) -> None:
    """A21. A trailing space is no part of a header's value, so that one is the key."""
    headers = {}
    if authorization is not None:
        headers["Authorization"] = authorization.format(key=api.key, swapped=api.key.swapcase())
    reply = api.get("/api/v1/webhooks", **headers)
    if authorization == "Bearer {key} ":
        assert reply.status == 200
        return
    error = refused(reply, 401)
    assert error["type"] == "authentication_error"
    assert reply.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("name", ["key", "api_key", "access_token", "token", "Authorization"])
def test_a_key_in_the_query_is_no_key(api: Server, name: str) -> None:
    refused(api.get(f"/api/v1/webhooks?{name}={api.key}"), 401)
    assert field_of(api.api("GET", f"/webhooks?{name}=x")) == (name, "unknown_field")


def test_unknown_addresses_are_a_json_404_with_the_key_and_a_401_without(api: Server) -> None:
    for path in ("", "nope", "webhooks/", "webhooks/ep_1/nope", "deliveries/..%2f", "webhooks/%00"):
        assert refused(api.api("GET", f"/{path}"), 404)["type"] == "not_found_error"
        refused(api.get(f"/api/v1/{path}"), 401)
    refused(api.request("GET", "/api/v2/webhooks", Authorization=f"Bearer {api.key}"), 404)
    refused(api.request("GET", "/api/v1", Authorization=f"Bearer {api.key}"), 404)
    for method in ("GET", "POST", "DELETE"):
        refused(api.api(method, "/"), 404)
        refused(api.request(method, "/api/v1/"), 401)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods_are_405_and_say_which_are_allowed(api: Server, method: str) -> None:
    reply = api.api(method, "/webhooks")
    assert reply.status == 405
    assert set(reply.headers["allow"].split(", ")) == {"GET", "POST"}
    assert refused(reply, 405)["code"] == "METHOD_NOT_ALLOWED"
    assert api.request(method, "/api/v1/webhooks").status == 401


def test_head_is_get_without_its_body(api: Server) -> None:
    for path, status in (
        ("/webhooks", 200),
        ("/openapi.json", 200),
        ("/webhooks/ep_1", 404),
        ("/events/batch", 405),
    ):
        asked, headed = api.api("GET", path), api.api("HEAD", path)
        assert (headed.status, headed.body) == (status, b"")
        assert headed.headers["content-type"] == asked.headers["content-type"]
    assert api.request("HEAD", "/api/v1/docs").status == 200
    assert api.request("HEAD", "/api/v1/webhooks").status == 401


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json; version=1",
        "application/jsonp",
        "text/json",
        "",
    ],
)
def test_only_json_is_json(api: Server, kind: str) -> None:
    reply = api.request(
        "POST",
        "/api/v1/events",
        json.dumps(EVENT).encode(),
        Authorization=f"Bearer {api.key}",
        Content_Type=kind,
    )
    refused(reply, 415)


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, identity", "x"])
def test_a_packed_body_is_refused_also_when_it_is_none(api: Server, coding: str) -> None:
    for body in (gzip.compress(json.dumps(VERIFY).encode()), json.dumps(VERIFY).encode()):
        headers = {"Content_Type": "application/json", "Content_Encoding": coding}
        authorization = f"Bearer {api.key}"
        reply = api.request("POST", "/api/v1/signatures/verify", body, Authorization=authorization, **headers)
        assert "Content-Encoding" in refused(reply, 415)["message"]
    made(api.api("POST", "/signatures/verify", VERIFY, Content_Encoding="identity"))


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", 'Application/JSON; Charset="UTF-8"']
)
def test_json_may_name_its_charset(api: Server, kind: str) -> None:
    made(api.api("POST", "/signatures/verify", VERIFY, Content_Type=kind))


VERIFY = {"payload": "{}", "signature": "v1=00", "timestamp": 1, "secret": "s"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b'{"type":"lead.qualified"} x', "body"),
        (b'\xef\xbb\xbf{"type":"lead.qualified"}', "body"),
        (b'\xff{"type":"lead.qualified"}', "body"),
        (b"[]", "body"),
        (b"null", "body"),
        (b'"text"', "body"),
        (b'{"type":"lead.qualified","type":"lead.qualified"}', "type"),
        (b'{"type":"lead.qualified","data":{"a":1,"a":2}}', "data.a"),
        (b'{"type":"lead.qualified","data":{"a":[0,NaN]}}', "data.a.1"),
        (b'{"type":"lead.qualified","data":{"a":Infinity}}', "data.a"),
        (b'{"type":"lead.qualified","data":{"a":1e999}}', "data.a"),
        (b'{"type":"lead.qualified","data":{"a":' + b"9" * 5000 + b"}}", "data.a"),
        (b'{"type":"lead.qualified","data":{"a":"\\ud800"}}', "data.a"),
        (b'{"type":"lead.qualified","data":{"a":"\\u0000"}}', "data.a"),
        (b'{"type":"lead.qualified","raw_body":"\\ud800"}', "raw_body"),
        (b'{"type":"lead.qualified","data":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}", "body"),
        (b"[" * 200_000, "body"),
    ],
)
def test_what_a_receiver_would_read_differently_is_refused_with_its_place(
    api: Server, body: bytes, field: str
) -> None:
    """A01, A03, A04, A05."""
    reply = api.request(
        "POST", "/api/v1/events", body, Authorization=f"Bearer {api.key}", Content_Type="application/json"
    )
    assert refused(reply)["details"]["field"] == field


def test_raw_body_alone_may_hold_nul(api: Server) -> None:
    body = b'{"type":"lead.qualified","endpoints":[],"raw_body":"a\\u0000\\\\u0000b"}'
    reply = api.request(
        "POST", "/api/v1/events", body, Authorization=f"Bearer {api.key}", Content_Type="application/json"
    )
    assert made(reply)["event"]["body"] == "a\0\\u0000b"


def test_unknown_fields_and_parameters_are_named(api: Server) -> None:
    assert field_of(api.api("POST", "/events", {**EVENT, "typo": 1})) == ("typo", "unknown_field")
    assert field_of(api.api("GET", "/deliveries?stauts=failed")) == ("stauts", "unknown_field")
    assert field_of(api.api("GET", "/webhooks?limit=1&limit=2")) == ("limit", "repeated")
    assert field_of(api.api("POST", "/webhooks?dry_run=1", {})) == ("dry_run", "unknown_field")


def test_a_call_without_a_body_takes_none(api: Server) -> None:
    assert field_of(api.api("POST", "/deliveries/dlv_1/retry", {"force": True})) == ("body", "unknown_field")
    refused(api.api("POST", "/deliveries/dlv_1/retry", {}), 404)
    refused(api.api("POST", "/deliveries/dlv_1/retry"), 404)


def test_a_mebibyte_is_taken_and_one_byte_more_is_not(api: Server) -> None:
    frame = len(json.dumps({**VERIFY, "payload": ""}))
    fits = json.dumps({**VERIFY, "payload": "x" * (1024 * 1024 - frame)}).encode()
    assert len(fits) == 1024 * 1024
    assert _post(api, fits).status == 200
    assert refused(_post(api, fits[:-1] + b" }"), 413)["code"] == "PAYLOAD_TOO_LARGE"


def test_one_byte_too_many_is_also_seen_when_no_length_was_declared(api: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)
    headers = {"Authorization": f"Bearer {api.key}", "Content-Type": "application/json"}
    connection.request("POST", "/api/v1/events", iter([b"{}", b" " * (1024 * 1024 - 1)]), headers)
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["error"]["code"] == "PAYLOAD_TOO_LARGE"
    connection.close()


def _post(api: Server, body: bytes) -> Reply:
    return api.request(
        "POST",
        "/api/v1/signatures/verify",
        body,
        Authorization=f"Bearer {api.key}",
        Content_Type="application/json",
    )


def test_a_body_that_does_not_say_its_length_is_counted_while_it_comes(api: Server) -> None:
    """A06: the answer is there although the body, in chunks, has not come to its end."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as connection:
        connection.sendall(
            b"POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer " + api.key.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        answer = http.client.HTTPResponse(connection)
        for _ in range(20):
            connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        answer.begin()
        assert answer.status == 413
        assert json.loads(answer.read())["error"]["code"] == "PAYLOAD_TOO_LARGE"
        answer.close()


def test_a_page_of_another_origin_is_refused_in_the_envelope_of_the_api(api: Server) -> None:
    reply = api.api("POST", "/events", EVENT, Origin="http://localhost:3000")
    assert reply.status == 403
    assert reply.json["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("limit", "reason"),
    [(limit, "out_of_range") for limit in ("0", "201", "-1", "1000000000", "9" * 300)]
    + [(limit, "invalid_type") for limit in ("5.0", "1e1", "", "abc", "-", "+5", "%205", "1_0")],
)
def test_a_limit_out_of_range_is_refused_not_clamped(api: Server, limit: str, reason: str) -> None:
    assert field_of(api.api("GET", f"/deliveries?limit={limit}")) == ("limit", reason)


def test_zeros_before_a_limit_count_nothing(api: Server) -> None:
    assert len(made(api.api("GET", "/event-types?limit=00000000003"))["data"]) == 3
    assert len(made(api.api("GET", f"/event-types?limit={'0' * 5000}1"))["data"]) == 1
    assert field_of(api.api("GET", "/event-types?limit=00000000201"))[0] == "limit"


@pytest.mark.parametrize("path", ["webhooks", "event-types", "events", "deliveries", "activity"])
def test_a_forged_cursor_is_refused(api: Server, path: str) -> None:
    for cursor in ("x", "", "MTIz", "dlv_00000000001~abc", "%00", "~", "e" * 200):
        assert field_of(api.api("GET", f"/{path}?cursor={cursor}"))[0] == "cursor"


@pytest.mark.parametrize(
    "id", ["ep_1", "..", "1" * 30, "ep_zzzzzzzzzzz", "dlv_00000000001", "ep_0000000000é"]
)
def test_an_id_of_nothing_is_404(api: Server, id: str) -> None:
    from urllib.parse import quote

    refused(api.api("GET", f"/webhooks/{quote(id)}"), 404)
    refused(api.api("GET", f"/events/{quote(id)}"), 404)
    refused(api.api("GET", f"/deliveries/{quote(id)}"), 404)


def test_openapi_and_docs_need_no_key_and_nothing_from_elsewhere(api: Server) -> None:
    schema = api.get("/api/v1/openapi.json")
    assert schema.status == 200
    assert "/api/v1/webhooks/{id}/rotate-secret" in schema.json["paths"]
    docs = api.get("/api/v1/docs")
    assert docs.status == 200
    assert "//cdn" not in docs.text and "https://" not in docs.text
    for part in docs.text.split('src="')[1:]:
        assert api.get(part.split('"')[0]).status == 200
    assert refused(api.request("POST", "/api/v1/openapi.json"), 401)


def test_every_operation_of_openapi_declares_its_errors_and_has_a_name_of_its_own(api: Server) -> None:
    operations = [
        (method, path, operation)
        for path, methods in api.get("/api/v1/openapi.json").json["paths"].items()
        for method, operation in methods.items()
    ]
    names = [operation["operationId"] for _, _, operation in operations]
    assert len(names) == len(set(names))
    for method, path, operation in operations:
        declared = set(operation["responses"])
        assert {"400", "401", "503"} <= declared, (method, path)
        assert ("404" in declared) == ("{" in path), (method, path)
        assert ({"403", "413", "415"} <= declared) == (method != "get"), (method, path)
        assert operation["security"] == [{"Key": []}], (method, path)
