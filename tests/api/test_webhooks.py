"""Endpoints over the API: register, read, change, delete; secrets, test, check."""

import base64
import hashlib
import hmac
from typing import Any

import pytest

from tests.receiving import Receiver
from tests.serving import Server

from .conftest import Json, field_of, made, refused

FIELDS = [
    "id",
    "url",
    "events",
    "description",
    "status",
    "timeout",
    "retry",
    "headers",
    "signature",
    "extras",
    "max_in_flight",
    "tls_verify",
    "created",
    "updated",
]


def registered(api: Server, **fields: Any) -> Json:
    return made(api.api("POST", "/webhooks", {"url": "http://localhost:1/x", "events": ["*"], **fields}))


def test_a_new_endpoint_has_the_defaults_of_the_contract_and_shows_its_secret_once(api: Server) -> None:
    endpoint = registered(api, description="CRM")
    assert list(endpoint) == [*FIELDS, "secret"]
    assert endpoint["id"].startswith("ep_")
    assert endpoint["status"] == "enabled"
    assert endpoint["timeout"] == 15
    assert endpoint["retry"] == {"delays": [2, 4, 8, 16, 32]}
    assert endpoint["headers"] == {}
    assert endpoint["extras"] is True and endpoint["tls_verify"] is True
    assert endpoint["max_in_flight"] == 10
    assert endpoint["signature"]["preset"] == "ultrareach"
    assert endpoint["created"].endswith("Z") and len(endpoint["created"]) == 24
    assert len(endpoint["secret"]) == len("whsec_") + 43
    read = made(api.api("GET", f"/webhooks/{endpoint['id']}"))
    assert read == {name: endpoint[name] for name in FIELDS}
    listed = made(api.api("GET", "/webhooks?limit=200"))["data"]
    assert read in listed
    assert not any("secret" in each for each in listed)


def test_every_setting_reads_back_as_it_was_given(api: Server) -> None:
    given = {
        "url": "https://example.com/hook?a=1",
        "events": ["lead.qualified", "analysis.completed"],
        "description": "<b>' OR 1=1 --{{ 7*7 }}",
        "status": "paused",
        "timeout": 0.1,
        "retry": {"delays": [0, 0.5, 86400]},
        "headers": {"X-Tenant": "acme", "Authorization": "Bearer abc"},
        "extras": False,
        "max_in_flight": 1000,
        "tls_verify": False,
    }
    endpoint = registered(api, **given, secret="my own secret é", signature="github")
    assert {name: endpoint[name] for name in given} == given
    assert endpoint["secret"] == "my own secret é"
    assert endpoint["signature"]["signature_header"] == "X-Hub-Signature-256"
    again = registered(api, signature=endpoint["signature"])
    assert again["signature"] == endpoint["signature"]


@pytest.mark.parametrize(
    ("field", "value", "place", "reason"),
    [
        ("url", "ftp://example.com/", "url", "unsupported_scheme"),
        ("url", "javascript:alert(1)", "url", "unsupported_scheme"),
        ("url", "file:///etc/passwd", "url", "unsupported_scheme"),
        ("url", "http://example.com/", "url", "https_required"),
        ("url", "https://user:pass@example.com/", "url", "credentials_in_url"),
        ("url", "https://", "url", "invalid_host"),
        ("url", "https://[::1", "url", "invalid_format"),
        ("url", "https://example.com:99999/", "url", "invalid_port"),
        ("url", "https://example.com:0/", "url", "invalid_port"),
        ("url", "https://exa mple.com/", "url", "invalid_format"),
        ("url", "https://example.com/\r\nx: y", "url", "invalid_format"),
        ("url", "https://example.com/" + "x" * 70_000, "url", "too_long"),
        ("url", "", "url", "invalid_format"),
        ("url", 5, "url", "invalid_type"),
        ("url", None, "url", "invalid_type"),
        ("events", [], "events", "too_short"),
        ("events", "*", "events", "invalid_type"),
        ("events", ["lead.qualfied"], "events.0", "unknown_event_type"),
        ("events", ["lead.qualified", 5], "events.1", "invalid_type"),
        ("events", ["*", "lead.qualified"], "events", "conflict"),
        ("events", ["lead.qualified", "lead.qualified"], "events.1", "repeated"),
        ("description", 5, "description", "invalid_type"),
        ("description", None, "description", "invalid_type"),
        ("status", "off", "status", "invalid_choice"),
        ("timeout", 0.09, "timeout", "out_of_range"),
        ("timeout", 120.1, "timeout", "out_of_range"),
        ("timeout", "5", "timeout", "invalid_type"),
        ("timeout", True, "timeout", "invalid_type"),
        ("retry", {"delays": [1] * 51}, "retry.delays", "too_long"),
        ("retry", {"delays": [1, 2, -1]}, "retry.delays.2", "out_of_range"),
        ("retry", {"delays": [86_401]}, "retry.delays.0", "out_of_range"),
        ("retry", {"delays": [1, "2"]}, "retry.delays.1", "invalid_type"),
        ("retry", {"delays": [True]}, "retry.delays.0", "invalid_type"),
        ("retry", {"delay": [1]}, "retry.delays", "required"),
        ("retry", [2, 4], "retry", "invalid_type"),
        ("headers", [], "headers", "invalid_type"),
        ("retry", {"delays": [1], "jitter": 1}, "retry.jitter", "unknown_field"),
        ("max_in_flight", 0, "max_in_flight", "out_of_range"),
        ("max_in_flight", 1001, "max_in_flight", "out_of_range"),
        ("max_in_flight", 1.5, "max_in_flight", "invalid_type"),
        ("tls_verify", 0, "tls_verify", "invalid_type"),
        ("extras", "yes", "extras", "invalid_type"),
        ("signature", "nope", "signature.preset", "invalid_profile"),
        ("signature", {"digest": "md5"}, "signature.digest", "invalid_profile"),
        ("signature", 5, "signature", "invalid_profile"),
        ("secret", "", "secret", "invalid_secret"),
        ("secret", "x" * 10_000, "secret", "invalid_secret"),
        ("secret", 5, "secret", "invalid_type"),
        ("nope", 5, "nope", "unknown_field"),
        ("id", "ep_1", "id", "unknown_field"),
    ],
)
def test_a_bad_setting_is_refused_at_its_field_when_registering_and_when_changing(
    api: Server, endpoint: Json, field: str, value: object, place: str, reason: str
) -> None:
    """A02, A08, A09, S07."""
    before = made(api.api("GET", f"/webhooks/{endpoint['id']}"))
    new = {"url": "http://localhost:1/x", "events": ["*"], field: value}
    assert field_of(api.api("POST", "/webhooks", new)) == (place, reason)
    changed = field_of(api.api("PATCH", f"/webhooks/{endpoint['id']}", {"description": "half", field: value}))
    assert changed == ((place, reason) if field != "secret" else ("secret", "unknown_field"))
    assert made(api.api("GET", f"/webhooks/{endpoint['id']}")) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "a\r\nX-B: 1"),
        ("X-A", "a\nb"),
        ("X-A", "a\rb"),
        ("X A", "1"),
        ("", "1"),
        ("X-A", ""),
        ("X-A", "é"),
        ("X-É", "1"),
        ("X-A", " a"),
        ("X-A", "a "),
        ("X-A:", "1"),
        ("X-A", "a\x7fb"),
        ("Host", "evil"),
        ("content-length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("CONNECTION", "close"),
        ("Keep-Alive", "1"),
        ("TE", "trailers"),
        ("Trailer", "x"),
        ("Upgrade", "websocket"),
        ("Proxy-Authorization", "x"),
        ("Expect", "100-continue"),
        ("x-ultrareach-signature", "v1=00"),
        ("X-UltraReach-Timestamp", "1"),
        ("x-ultrareach-attempt", "1"),
    ],
)
def test_a_header_that_would_break_or_forge_the_request_is_refused(
    api: Server, name: str, value: str
) -> None:
    """A11."""
    new = {"url": "http://localhost:1/x", "events": ["*"], "headers": {"X-Fine": "1", name: value}}
    assert field_of(api.api("POST", "/webhooks", new))[0] == f"headers.{name}".rstrip(".") or name == ""


def test_the_refusal_of_a_header_says_why(api: Server) -> None:
    def said(name: str) -> str:
        new = {"url": "http://localhost:1/x", "events": ["*"], "headers": {name: "1"}}
        return api.api("POST", "/webhooks", new).json["error"]["message"]

    assert said("Host") == "The simulator writes Host itself."
    assert said("Expect") == "Expect controls how a request is sent, which the simulator decides."


@pytest.mark.parametrize("description", ["", "   ", "\t\n", "\u00a0\u200b\u2060"])
def test_a_description_with_nothing_to_see_is_none(api: Server, description: str) -> None:
    endpoint = registered(api, description=description)
    assert endpoint["description"] == ""
    api.api("PATCH", f"/webhooks/{endpoint['id']}", {"description": " Lead sync"})
    changed = api.api("PATCH", f"/webhooks/{endpoint['id']}", {"description": description})
    assert changed.json["description"] == ""


def test_two_spellings_of_one_header_and_the_names_of_the_own_profile_are_refused(api: Server) -> None:
    new = {"url": "http://localhost:1/x", "events": ["*"]}
    twice = {**new, "headers": {"X-A": "1", "x-a": "2"}}
    assert field_of(api.api("POST", "/webhooks", twice)) == ("headers.x-a", "repeated")
    forged = {**new, "signature": "stripe", "headers": {"stripe-signature": "v1=0"}}
    assert field_of(api.api("POST", "/webhooks", forged)) == ("headers.stripe-signature", "reserved_header")
    endpoint = registered(api, headers={"Stripe-Signature": "x"})
    later = api.api("PATCH", f"/webhooks/{endpoint['id']}", {"signature": "stripe"})
    assert field_of(later) == ("headers.Stripe-Signature", "reserved_header")


def test_a_secret_must_fit_its_profile_also_when_the_profile_changes(api: Server) -> None:
    new = {"url": "http://localhost:1/x", "events": ["*"], "signature": "standard-webhooks"}
    assert field_of(api.api("POST", "/webhooks", {**new, "secret": "whsec_short"})) == (
        "secret",
        "invalid_secret",
    )
    own = registered(api, secret="no base64 at all")
    reply = api.api("PATCH", f"/webhooks/{own['id']}", {"signature": "standard-webhooks"})
    assert field_of(reply) == ("signature", "secret_does_not_fit")
    made(api.api("PATCH", f"/webhooks/{registered(api)['id']}", {"signature": "standard-webhooks"}))


def test_after_a_change_to_a_base64_key_the_presets_own_libraries_read_both_secrets(
    api: Server, endpoint: Json, receiver: Receiver
) -> None:
    path = f"/webhooks/{endpoint['id']}"
    rotated = made(api.api("POST", f"{path}/rotate-secret"))["secret"]
    made(api.api("PATCH", path, {"signature": "standard-webhooks"}))
    shown = made(api.api("GET", f"{path}/secret"))["secret"]
    keys = [base64.b64decode(shown.removeprefix("whsec_"), validate=True)]
    keys.append(base64.urlsafe_b64decode(endpoint["secret"].removeprefix("whsec_") + "="))
    assert keys[0] == base64.urlsafe_b64decode(rotated.removeprefix("whsec_") + "=")
    made(api.api("POST", f"{path}/test"))
    (request,) = receiver.wait_for(1)
    signed = ".".join((request.headers["webhook-id"], request.headers["webhook-timestamp"], "")).encode()
    made_here = [hmac.digest(key, signed + request.body, "sha256") for key in keys]
    assert request.headers["webhook-signature"] == " ".join(
        "v1," + base64.b64encode(signature).decode() for signature in made_here
    )


def test_a_change_touches_only_what_it_names(api: Server, endpoint: Json) -> None:
    changed = made(api.api("PATCH", f"/webhooks/{endpoint['id']}", {"timeout": 3, "status": "paused"}))
    del endpoint["secret"]
    assert changed == endpoint | {"timeout": 3, "status": "paused", "updated": changed["updated"]}
    assert changed["updated"] > endpoint["updated"]
    assert made(api.api("PATCH", f"/webhooks/{endpoint['id']}", {})) == changed


def test_a_built_in_endpoint_can_be_changed_and_still_subscribes_to_nothing(api: Server) -> None:
    listed = made(api.api("GET", "/webhooks?limit=200"))["data"]
    flaky = next(each for each in listed if each["description"] == "Flaky receiver")
    changed = made(api.api("PATCH", f"/webhooks/{flaky['id']}", {"timeout": 7}))
    assert (changed["timeout"], changed["events"]) == (7, [])


def test_a_deleted_endpoint_is_gone_but_its_history_stays(api: Server, endpoint: Json) -> None:
    made(api.api("PATCH", f"/webhooks/{endpoint['id']}", {"status": "paused"}))
    held = made(api.api("POST", f"/webhooks/{endpoint['id']}/test", {}))
    assert held["next_attempt_at"] is None
    reply = api.api("DELETE", f"/webhooks/{endpoint['id']}")
    assert (reply.status, reply.body) == (204, b"")
    assert not {"content-type", "content-length"} & set(reply.headers)
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("GET", "/secret"),
        ("POST", "/rotate-secret"),
        ("POST", "/test"),
        ("POST", "/check"),
    ):
        body = {} if method == "PATCH" else None
        refused(api.api(method, f"/webhooks/{endpoint['id']}{path}", body), 404)
    assert endpoint["id"] not in {each["id"] for each in made(api.api("GET", "/webhooks?limit=200"))["data"]}
    sent = made(api.api("POST", "/events", {"type": "lead.qualified"}))
    named = [each["endpoint"]["id"] for each in sent["deliveries"]] + [
        each["endpoint"] for each in sent["skipped"]
    ]
    assert endpoint["id"] not in named
    history = made(api.api("GET", f"/deliveries?endpoint={endpoint['id']}"))["data"]
    assert [(each["id"], each["status"]) for each in history] == [(held["id"], "cancelled")]
    assert history[0]["endpoint"] == {"id": endpoint["id"], "url": endpoint["url"]}
    assert refused(api.api("POST", f"/deliveries/{held['id']}/resend"), 409)["type"] == "conflict_error"


def test_during_a_rotation_both_secrets_sign_newest_first(
    api: Server, endpoint: Json, receiver: Receiver
) -> None:
    path = f"/webhooks/{endpoint['id']}"
    assert made(api.api("GET", f"{path}/secret")) == {"secret": endpoint["secret"]}
    rotated = made(api.api("POST", f"{path}/rotate-secret", {"overlap_seconds": 60}))
    assert rotated["secret"] != endpoint["secret"]
    assert rotated["previous_secret_expires_at"].endswith("Z")
    assert made(api.api("GET", f"{path}/secret")) == {"secret": rotated["secret"]}
    made(api.api("POST", f"{path}/test"))
    (request,) = receiver.wait_for(1)
    signatures = [
        "v1="
        + hmac.new(
            secret.encode(),
            request.headers["x-ultrareach-timestamp"].encode() + b"." + request.body,
            hashlib.sha256,
        ).hexdigest()
        for secret in (rotated["secret"], endpoint["secret"])
    ]
    assert request.headers["x-ultrareach-signature"] == ",".join(signatures)


def test_a_rotation_without_a_body_overlaps_for_a_day_and_odd_overlaps_are_refused(
    api: Server, endpoint: Json
) -> None:
    path = f"/webhooks/{endpoint['id']}/rotate-secret"
    made(api.api("POST", path))
    for value in (-1, True, "60", 1.5, 10**9, None):
        assert field_of(api.api("POST", path, {"overlap_seconds": value}))[0] == "overlap_seconds"


def test_a_test_event_goes_to_this_endpoint_whatever_it_subscribes_to(
    api: Server, endpoint: Json, receiver: Receiver, ended: Any
) -> None:
    body = {"type": "message.received", "data": {"text": "é"}, "overrides": {"sender.name": "Ann"}}
    delivery = made(api.api("POST", f"/webhooks/{endpoint['id']}/test", body))
    assert delivery["trigger"] == "test" and delivery["event"]["type"] == "message.received"
    (request,) = receiver.wait_for(1)
    assert request.json["data"] == {"text": "é", "sender": {"name": "Ann"}}
    ended(delivery["id"])
    usual = made(api.api("POST", f"/webhooks/{endpoint['id']}/test"))
    assert usual["event"]["type"] == "lead.qualified"


def test_checking_an_endpoint_says_whether_it_can_be_reached_without_sending_anything(
    api: Server, endpoint: Json, receiver: Receiver
) -> None:
    found = made(api.api("POST", f"/webhooks/{endpoint['id']}/check"))
    assert found["reachable"] is True and found["error"] is None
    assert found["remote_address"] == f"127.0.0.1:{receiver.port}"
    assert found["phases"]["connect"] >= 0
    receiver.stop()
    found = made(api.api("POST", f"/webhooks/{endpoint['id']}/check"))
    assert found["reachable"] is False
    assert found["error"]["code"] == "refused"
    assert str(receiver.port) in found["error"]["hint"]
    assert receiver.requests == []


def test_checking_our_own_console_is_blocked_as_a_delivery_would_be(api: Server) -> None:
    endpoint = registered(api, url=f"http://127.0.0.1:{api.port}/api/v1/events")
    assert made(api.api("POST", f"/webhooks/{endpoint['id']}/check"))["error"]["code"] == "blocked_self"
