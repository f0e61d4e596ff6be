"""An endpoint as the engine sends to it: which headers, in which order, signed with which secrets at which moment."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulator import ids, signing
from simulator.models import Endpoint
from simulator.target import Headers, Target, Targets, host_header

pytestmark = pytest.mark.django_db
NOW = datetime.fromtimestamp(1_738_896_900.75, UTC)
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
BODY = b'{"id":"evt_1"}'
# By `openssl dgst -sha256 -hmac "$SECRET"` over `1738896900.{"id":"evt_1"}`.
SIGNED = "v1=e6ad7a04def3004a031d6e6457d45f14418ab265e4f6294a97beeb88c0a08609"


def endpoint(url: str = "http://127.0.0.1:3000/webhook", **fields: Any) -> Endpoint:
    return Endpoint.register(url=url, secret=SECRET, events=["*"], **fields)


def headers(target: Target, now: datetime = NOW) -> Headers:
    return target.headers("evt_00000000001", "lead.qualified", "dlv_00000000002", 3, BODY, now)


def signatures(target: Target, now: datetime) -> list[str]:
    return dict(headers(target, now))["x-ultrareach-signature"].split(",")


def by(secret: str, now: datetime) -> str:
    sign = signing.signer(signing.DEFAULT, [secret])
    return dict(sign(int(now.timestamp()), "evt_00000000001", BODY))["x-ultrareach-signature"]


def test_the_headers_go_out_in_this_order_and_spelling() -> None:
    assert headers(Target(endpoint(headers={"X-Team": "blue"}), 1)) == [
        ("host", "127.0.0.1:3000"),
        ("content-type", "application/json"),
        ("user-agent", "UltraReach-Webhooks/1.0 (simulator)"),
        ("accept-encoding", "identity"),
        ("content-length", "14"),
        ("x-ultrareach-timestamp", "1738896900"),
        ("x-ultrareach-signature", SIGNED),
        ("x-ultrareach-event", "lead.qualified"),
        ("x-ultrareach-event-id", "evt_00000000001"),
        ("x-ultrareach-delivery-id", "dlv_00000000002"),
        ("x-ultrareach-attempt", "3"),
        ("X-Team", "blue"),
    ]


def test_a_header_of_ones_own_replaces_ours_of_the_same_name() -> None:
    own = {"User-Agent": "mine/1", "CONTENT-TYPE": "application/json; charset=utf-8"}
    sent = headers(Target(endpoint(headers=own), 1))
    names = [name.lower() for name, _ in sent]
    assert sent[-2:] == list(own.items())
    assert len(names) == len(set(names))


def test_with_the_extras_switched_off_only_timestamp_and_signature_are_left() -> None:
    names = [name for name, _ in headers(Target(endpoint(extras=False), 1))]
    assert [name for name in names if name.startswith("x-")] == [
        "x-ultrareach-timestamp",
        "x-ultrareach-signature",
    ]


def test_a_profile_brings_its_own_headers() -> None:
    stripe = endpoint(signature=signing.as_dict(signing.PRESETS["stripe"]), extras=False)
    assert dict(headers(Target(stripe, 1))[-1:]).keys() == {"Stripe-Signature"}


def test_both_secrets_sign_to_the_very_end_of_the_overlap_newest_first() -> None:
    rotated = endpoint()
    new, end = rotated.rotate_secret(overlap_seconds=60)
    target = Target(rotated, 1)
    for now in (end - timedelta(seconds=59), end - timedelta(microseconds=1)):
        assert signatures(target, now) == [by(new, now), by(SECRET, now)]
    for now in (end, end + timedelta(days=365)):
        assert signatures(target, now) == [by(new, now)]


def test_after_a_second_rotation_only_the_two_newest_sign() -> None:
    rotated = endpoint()
    second, _ = rotated.rotate_secret(overlap_seconds=86_400)
    third, end = rotated.rotate_secret(overlap_seconds=60)
    now = end - timedelta(seconds=30)
    assert signatures(Target(rotated, 1), now) == [by(third, now), by(second, now)]


def test_a_paused_or_deleted_endpoint_is_not_sent_to() -> None:
    one, other = endpoint(), endpoint()
    assert Target(one, 1).sends
    one.pause()
    other.remove()
    assert not Target(one, 1).sends and not Target(other, 2).sends


def test_a_row_that_should_never_have_been_saved_fails_when_it_is_sent_not_when_it_is_loaded() -> None:
    target = Target(endpoint("http://["), 1)
    with pytest.raises(ValueError, match="IPv6"):
        headers(target)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://localhost/x", "localhost"),
        ("http://localhost:80/", "localhost"),
        ("https://example.com:443/", "example.com"),
        ("https://example.com:80/", "example.com:80"),
        ("http://localhost:3000?a=http://b:1/", "localhost:3000"),
        ("http://[::1]:3000/", "[::1]:3000"),
        ("http://[::1]/", "[::1]"),
    ],
)
def test_the_host_is_the_one_of_the_url_without_a_default_port(url: str, host: str) -> None:
    assert host_header(url) == host


def test_many_are_read_together_and_each_once(django_assert_num_queries: Any) -> None:
    targets, wanted = Targets(), [(ids.decode("ep", endpoint().pk) or 0, 1) for _ in range(3)]
    with django_assert_num_queries(2):  # the endpoints and their secrets
        targets.prepare(wanted)
        assert [targets.of(*each).id for each in wanted] == [number for number, _ in wanted]
        targets.prepare(wanted)
