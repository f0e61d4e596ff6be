"""Verifying a signature over the API."""

import time
from typing import Any

import pytest

from tests.receiving import Receiver
from tests.serving import Server

from .conftest import Json, field_of, made

VECTOR = {
    "payload": '{"id":"evt_1"}',
    "signature": "v1=e6ad7a04def3004a031d6e6457d45f14418ab265e4f6294a97beeb88c0a08609",
    "timestamp": "1738896900",
    "secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY",
    "tolerance": 1_000_000_000,
}


def test_the_published_vector_is_valid(api: Server) -> None:
    verdict = made(api.api("POST", "/signatures/verify", VECTOR))
    assert verdict["valid"] is True and verdict["reason"] is None
    assert verdict["expected"] == VECTOR["signature"]
    assert verdict["signed_content"] == '1738896900.{"id":"evt_1"}'
    assert verdict["age_seconds"] == pytest.approx(time.time() - 1738896900, abs=5)
    assert verdict["diagnosis"] == []
    assert made(api.api("POST", "/signatures/verify", {**VECTOR, "timestamp": 1738896900}))["valid"] is True


def test_what_the_receiver_got_is_valid_and_a_changed_byte_is_not(
    api: Server, endpoint: Json, receiver: Receiver
) -> None:
    made(api.api("POST", f"/webhooks/{endpoint['id']}/test"))
    (request,) = receiver.wait_for(1)
    seen = {
        "payload": request.body.decode(),
        "signature": request.headers["x-ultrareach-signature"],
        "timestamp": request.headers["x-ultrareach-timestamp"],
        "secret": endpoint["secret"],
    }
    assert made(api.api("POST", "/signatures/verify", seen))["valid"] is True
    changed = made(api.api("POST", "/signatures/verify", {**seen, "payload": seen["payload"] + " "}))
    assert (changed["valid"], changed["reason"]) == (False, "signature_mismatch")
    assert changed["message"]


def test_what_was_sent_with_a_nul_can_be_verified_and_no_other_field_has_one(
    api: Server, endpoint: Json, receiver: Receiver
) -> None:
    made(api.api("POST", f"/webhooks/{endpoint['id']}/test", {"raw_body": "a\0\\u0000b"}))
    (request,) = receiver.wait_for(1)
    seen = {
        "payload": request.body.decode(),
        "signature": request.headers["x-ultrareach-signature"],
        "timestamp": request.headers["x-ultrareach-timestamp"],
        "secret": endpoint["secret"],
    }
    verdict = made(api.api("POST", "/signatures/verify", seen))
    assert verdict["valid"] is True
    assert verdict["signed_content"] == f"{seen['timestamp']}.a\0\\u0000b"
    for name in ("signature", "timestamp", "secret"):
        refused = api.api("POST", "/signatures/verify", {**VECTOR, name: "a\0b"})
        assert field_of(refused) == (name, "invalid_json")


def test_a_right_signature_that_is_old_is_refused_by_its_age(api: Server) -> None:
    verdict = made(api.api("POST", "/signatures/verify", {**VECTOR, "tolerance": 300}))
    assert (verdict["valid"], verdict["reason"]) == (False, "timestamp_too_old")


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("payload", None, "payload"),
        ("payload", {"id": 1}, "payload"),
        ("signature", 5, "signature"),
        ("timestamp", 1.5, "timestamp"),
        ("timestamp", True, "timestamp"),
        ("timestamp", None, "timestamp"),
        ("secret", "", "secret"),
        ("tolerance", -1, "tolerance"),
        ("tolerance", "300", "tolerance"),
        ("profile", None, "profile"),
        ("profile", "nope", "profile.preset"),
        ("profile", {"digest": "md5"}, "profile.digest"),
        ("nope", 1, "nope"),
    ],
)
def test_bad_input_is_refused_at_its_field(api: Server, field: str, value: Any, place: str) -> None:
    assert field_of(api.api("POST", "/signatures/verify", {**VECTOR, field: value}))[0] == place


@pytest.mark.parametrize("signature", ["", "v1=", "x" * 10_000, "v1=zz", "é", "v1=" + "0" * 64])
def test_whatever_a_sender_wrote_gets_a_verdict(api: Server, signature: str) -> None:
    verdict = made(api.api("POST", "/signatures/verify", {**VECTOR, "signature": signature}))
    assert verdict["valid"] is False and verdict["reason"]


@pytest.mark.parametrize("timestamp", ["", "now", -1, 10**300, "1738896900.0", "\u0661"])
def test_whatever_stands_in_the_timestamp_gets_a_verdict(api: Server, timestamp: Any) -> None:
    assert made(api.api("POST", "/signatures/verify", {**VECTOR, "timestamp": timestamp}))["valid"] is False


def test_nothing_at_all_can_be_signed(api: Server) -> None:
    verdict = made(api.api("POST", "/signatures/verify", {**VECTOR, "payload": "", "profile": "github"}))
    assert verdict["signed_content"] == "" and verdict["expected"].startswith("sha256=")
