"""Signatures, checked by published vectors, by openssl and by a second implementation written here."""

import base64
import hashlib
import hmac
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simulator.signing import (
    DEFAULT,
    PRESETS,
    REASONS,
    BadSecret,
    Profile,
    Verdict,
    check_secret,
    new_secret,
    profile_from,
    signer,
    verify,
)

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
OLD_SECRET = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA"
BODY = b'{"id":"evt_1"}'
NOW = 1738896900
RIGHT = "v1=e6ad7a04def3004a031d6e6457d45f14418ab265e4f6294a97beeb88c0a08609"

bodies = st.binary(max_size=300)
seconds = st.integers(min_value=0, max_value=2**40)
secrets = st.text(min_size=1, max_size=80).filter(lambda text: _is_secret(text))


def _is_secret(text: str) -> bool:
    try:
        check_secret(text)
    except BadSecret:
        return False
    return True


def by_hand(secret: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA256 out of the two hashes of RFC 2104, so that it shares nothing with the code under test."""
    key = secret.encode()
    key = hashlib.sha256(key).digest() if len(key) > 64 else key
    key = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + str(timestamp).encode() + b"." + body)
    return "v1=" + hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner.digest()).hexdigest()


def judge(**changes: Any) -> Verdict:
    """The verdict on a right request of the default profile, with some things changed."""
    request: dict[str, Any] = {
        "profile": DEFAULT,
        "secrets": [SECRET],
        "signature": RIGHT,
        "timestamp": str(NOW),
        "body": BODY,
        "now": NOW,
    }
    request |= changes
    return verify(request.pop("profile"), request.pop("secrets"), **request)


def headers_of(profile: Profile, *keys: str, timestamp: int = NOW, body: bytes = BODY) -> dict[str, str]:
    return dict(signer(profile, keys)(timestamp=timestamp, event_id="evt_1", body=body))


def test_the_documented_vector_comes_out() -> None:
    assert signer(DEFAULT, [SECRET])(timestamp=NOW, event_id="evt_1", body=BODY) == [
        ("x-ultrareach-timestamp", "1738896900"),
        ("x-ultrareach-signature", RIGHT),
    ]
    assert judge().valid


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl on this machine")
@pytest.mark.parametrize("body", [BODY, b"", bytes(range(256)), "Grüße 🙂".encode()])
def test_openssl_makes_the_same_signature(body: bytes, tmp_path: Path) -> None:
    file = tmp_path / "signed"
    file.write_bytes(b"%d." % NOW + body)
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"key:{SECRET}", str(file)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    assert headers_of(DEFAULT, SECRET, body=body)["x-ultrareach-signature"] == "v1=" + said.split()[-1]


@given(secrets, seconds, bodies)
def test_a_second_implementation_makes_the_same_signature(secret: str, timestamp: int, body: bytes) -> None:
    made = headers_of(DEFAULT, secret, timestamp=timestamp, body=body)
    assert made["x-ultrareach-signature"] == by_hand(secret, timestamp, body)


SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
PUBLISHED = {
    # docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation"
    "github": (
        "It's a Secret to Everybody",
        0,
        "evt_1",
        b"Hello, World!",
        {
            "X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        },
    ),
    # docs.slack.dev, "Verifying requests from Slack"
    "slack": (
        "8f742231b10e8888abcd99yyyzzz85a5",
        1531420618,
        "evt_1",
        SLACK_BODY,
        {
            "X-Slack-Request-Timestamp": "1531420618",
            "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        },
    ),
    # docs.svix.com, "Verifying webhooks manually": the scheme that became Standard Webhooks
    "standard-webhooks": (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        1614265330,
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
    ),
}


@pytest.mark.parametrize("preset", PUBLISHED)
def test_the_vendors_own_vector_comes_out(preset: str) -> None:
    secret, timestamp, event_id, body, expected = PUBLISHED[preset]
    made = signer(PRESETS[preset], [secret])(timestamp=timestamp, event_id=event_id, body=body)
    assert dict(made) == expected


def test_stripe_puts_the_timestamp_in_front_of_its_signature() -> None:
    right = hmac.new(SECRET.encode(), b"%d." % NOW + BODY, "sha256").hexdigest()
    assert headers_of(PRESETS["stripe"], SECRET) == {"Stripe-Signature": f"t={NOW},v1={right}"}


def test_shopify_sends_bare_base64_of_the_body_alone() -> None:
    right = base64.b64encode(hmac.new(SECRET.encode(), BODY, "sha256").digest()).decode()
    assert headers_of(PRESETS["shopify"], SECRET) == {"X-Shopify-Hmac-SHA256": right}


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_every_digest_and_encoding_makes_what_it_verifies(digest: str, encoding: str) -> None:
    profile = profile_from(
        {"digest": digest, "encoding": encoding, "content": "100%{body}%d|{timestamp}|{id}"}
    )
    raw = hmac.new(SECRET.encode(), b"100%" + BODY + b"%%d|%d|evt_1" % NOW, digest).digest()
    made = headers_of(profile, SECRET)["x-ultrareach-signature"]
    assert made == "v1=" + (raw.hex() if encoding == "hex" else base64.b64encode(raw).decode())
    assert judge(profile=profile, signature=made, event_id="evt_1").valid


def test_during_a_rotation_both_sign_newest_first_and_either_verifies() -> None:
    both = headers_of(DEFAULT, SECRET, OLD_SECRET)["x-ultrareach-signature"]
    assert both == f"{RIGHT},{by_hand(OLD_SECRET, NOW, BODY)}"
    assert judge(signature=both, secrets=[SECRET]).valid
    assert judge(signature=both, secrets=[OLD_SECRET]).valid
    assert not judge(signature=both, secrets=[new_secret()]).valid


@pytest.mark.parametrize("preset", ["github", "slack", "shopify"])
def test_vendors_without_overlap_get_the_newest_signature_only(preset: str) -> None:
    assert headers_of(PRESETS[preset], SECRET, OLD_SECRET) == headers_of(PRESETS[preset], SECRET)


@pytest.mark.parametrize("preset", PRESETS)
@given(body=bodies, timestamp=seconds)
def test_what_a_preset_signs_it_verifies(preset: str, body: bytes, timestamp: int) -> None:
    profile = PRESETS[preset]
    key = base64.b64encode(b"0123456789abcdef01234567").decode()
    made = headers_of(profile, key, timestamp=timestamp, body=body)
    verdict = verify(
        profile,
        [key],
        signature=made[profile.signature_header],
        timestamp=made.get(profile.timestamp_header or ""),
        event_id="evt_1",
        body=body,
        now=timestamp,
    )
    assert verdict.valid
    assert verdict.reason is None
    assert verdict.signed_content is not None
    assert body in verdict.signed_content


@given(body=st.binary(min_size=1, max_size=60), data=st.data())
def test_any_one_bit_changed_in_the_body_is_refused(body: bytes, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, 8 * len(body) - 1))
    changed = bytearray(body)
    changed[bit // 8] ^= 1 << bit % 8
    made = headers_of(DEFAULT, SECRET, body=body)["x-ultrareach-signature"]
    assert judge(signature=made, body=body).valid
    assert judge(signature=made, body=bytes(changed)).reason == "signature_mismatch"


@given(bit=st.integers(0, 8 * len(RIGHT) - 1))
def test_any_one_bit_changed_in_the_signature_is_refused(bit: int) -> None:
    changed = bytearray(RIGHT.encode())
    changed[bit // 8] ^= 1 << bit % 8
    assert not judge(signature=changed.decode("latin-1")).valid


@given(bit=st.integers(0, 8 * len(str(NOW)) - 1))
def test_any_one_bit_changed_in_the_timestamp_is_refused(bit: int) -> None:
    changed = bytearray(str(NOW).encode())
    changed[bit // 8] ^= 1 << bit % 8
    assert not judge(timestamp=changed.decode("latin-1")).valid


def test_any_one_character_changed_in_the_secret_is_refused() -> None:
    for position in range(len(SECRET)):
        other = SECRET[:position] + ("A" if SECRET[position] != "A" else "B") + SECRET[position + 1 :]
        assert judge(secrets=[other]).reason == "signature_mismatch"


@pytest.mark.parametrize("age", [-300, -299, 0, 299, 300])
def test_a_timestamp_up_to_300_seconds_away_is_accepted(age: int) -> None:
    verdict = judge(now=NOW + age)
    assert (verdict.valid, verdict.age_seconds) == (True, age)


@pytest.mark.parametrize(("age", "reason"), [(301, "timestamp_too_old"), (-301, "timestamp_in_future")])
def test_at_301_seconds_it_is_refused_and_told_why(age: int, reason: str) -> None:
    verdict = judge(now=NOW + age)
    assert (verdict.valid, verdict.reason, verdict.age_seconds) == (False, reason, age)
    assert "301 s" in verdict.message
    assert "300 s" in verdict.message


def test_fractions_of_a_second_of_our_own_clock_do_not_count() -> None:
    assert judge(now=NOW + 300.999).valid


def test_the_tolerance_can_be_chosen() -> None:
    assert judge(now=NOW + 10, tolerance=10).valid
    assert judge(now=NOW + 1, tolerance=0).reason == "timestamp_too_old"


def test_a_wrong_signature_is_told_before_an_old_timestamp() -> None:
    assert judge(now=NOW + 9999, body=b"other").reason == "signature_mismatch"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"signature": None}, "missing_signature"),
        ({"signature": ""}, "missing_signature"),
        ({"signature": "  "}, "missing_signature"),
        ({"signature": RIGHT.removeprefix("v1=")}, "malformed_signature"),
        ({"signature": "v2=" + RIGHT[3:]}, "malformed_signature"),
        ({"signature": RIGHT[:-1]}, "malformed_signature"),
        ({"signature": RIGHT + "0"}, "malformed_signature"),
        ({"signature": RIGHT[:-1] + "g"}, "malformed_signature"),
        ({"signature": RIGHT[:-1] + "é"}, "malformed_signature"),
        ({"signature": RIGHT[:-1] + "\udcff"}, "malformed_signature"),
        ({"signature": "v1="}, "malformed_signature"),
        ({"signature": ",,,"}, "malformed_signature"),
        ({"signature": "v1=" + RIGHT[3:].upper()}, "signature_mismatch"),
        ({"timestamp": None}, "missing_timestamp"),
        ({"timestamp": " "}, "missing_timestamp"),
        ({"timestamp": "yesterday"}, "malformed_timestamp"),
        ({"timestamp": "-5"}, "malformed_timestamp"),
        ({"timestamp": -5}, "malformed_timestamp"),
        ({"timestamp": "1e9"}, "malformed_timestamp"),
        ({"timestamp": f"{NOW}.0"}, "malformed_timestamp"),
        ({"timestamp": f"+{NOW}"}, "malformed_timestamp"),
        ({"timestamp": "1_738_896_900"}, "malformed_timestamp"),
        ({"timestamp": "١٧٣٨٨٩٦٩٠٠"}, "malformed_timestamp"),
        ({"timestamp": "2025-02-07T02:55:00Z"}, "malformed_timestamp"),
        ({"timestamp": "9" * 5000}, "malformed_timestamp"),
        ({"timestamp": 10**5000}, "malformed_timestamp"),
        ({"timestamp": "\udcff"}, "malformed_timestamp"),
        ({"timestamp": f"0{NOW}"}, "signature_mismatch"),
        ({"body": BODY + b" "}, "signature_mismatch"),
        ({"body": BODY + b"\n"}, "signature_mismatch"),
        ({"body": b'{"id": "evt_1"}'}, "signature_mismatch"),
        ({"secrets": [OLD_SECRET]}, "signature_mismatch"),
        ({"secrets": [SECRET + "\n"]}, "signature_mismatch"),
        ({"timestamp": NOW + 1}, "signature_mismatch"),
    ],
)
def test_whatever_arrives_gets_a_verdict_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    verdict = judge(**changes)
    assert (verdict.valid, verdict.reason) == (False, reason)
    assert len(verdict.message) > 20
    assert "{" not in verdict.message.replace("{timestamp}", "")


@pytest.mark.parametrize(
    ("preset", "changes", "header"),
    [
        ("ultrareach", {"signature": ""}, "x-ultrareach-signature"),
        ("ultrareach", {"timestamp": ""}, "x-ultrareach-timestamp"),
        ("stripe", {"timestamp": ""}, "Stripe-Signature"),
        ("standard-webhooks", {"event_id": "", "signature": f"v1,{'A' * 43}="}, "webhook-id"),
    ],
)
def test_of_what_is_missing_it_is_said_where_it_arrives(
    preset: str, changes: dict[str, str], header: str
) -> None:
    assert f"arrives in the header {header}." in judge(profile=PRESETS[preset], **changes).message


@pytest.mark.parametrize(
    "around",
    ["{}", " {} ", "v1=00,{}", "v0=abc,{}", "{},v1=" + "0" * 64, "v1=" + "0" * 64 + ", {}", ",{},"],
)
def test_one_right_signature_among_several_is_enough(around: str) -> None:
    assert judge(signature=around.format(RIGHT)).valid


def test_the_expected_signature_and_the_signed_bytes_are_told_even_when_the_given_one_is_unreadable() -> None:
    verdict = judge(signature="nonsense")
    assert (verdict.expected, verdict.signed_content) == (RIGHT, b"1738896900." + BODY)
    assert judge(timestamp="x").expected is None


@given(
    signature=st.text(max_size=100), timestamp=st.text(max_size=30) | st.integers() | st.none(), id=st.text()
)
@example(signature="t=" + "1" * 5000, timestamp=None, id="")
@example(signature="t=", timestamp=5, id="\ud800")
@pytest.mark.parametrize("preset", PRESETS)
def test_no_header_whatsoever_makes_it_stumble(
    preset: str, signature: str, timestamp: str | int | None, id: str
) -> None:
    key = base64.b64encode(b"x" * 32).decode()
    request = {"signature": signature, "timestamp": timestamp, "event_id": id, "body": b"{}", "now": NOW}
    verdict = verify(PRESETS[preset], [key], **request)  # type: ignore[arg-type]
    assert not verdict.valid
    assert verdict.reason in REASONS


def test_stripes_timestamp_is_read_from_the_signature_header() -> None:
    stripe, made = PRESETS["stripe"], headers_of(PRESETS["stripe"], SECRET)["Stripe-Signature"]
    assert judge(profile=stripe, signature=made, timestamp=None).valid
    assert judge(profile=stripe, signature=made, timestamp="5").valid
    assert judge(profile=stripe, signature="v1=" + made[-64:], timestamp=None).reason == "missing_timestamp"
    assert (
        judge(profile=stripe, signature="t=x,v1=" + made[-64:], timestamp=None).reason
        == "malformed_timestamp"
    )


def test_where_no_timestamp_is_signed_none_is_judged() -> None:
    made = headers_of(PRESETS["github"], SECRET)["X-Hub-Signature-256"]
    verdict = judge(profile=PRESETS["github"], signature=made, timestamp="5")
    assert (verdict.valid, verdict.age_seconds) == (True, None)


@given(shift=st.integers(1, 10**12), body=bodies)
def test_a_dot_in_the_id_cannot_move_the_border_of_what_is_signed(shift: int, body: bytes) -> None:
    """Same signed bytes, other reading: id `evt_1.<timestamp>`, and the timestamp taken from the body."""
    profile, key = PRESETS["standard-webhooks"], base64.b64encode(b"x" * 32).decode()
    made = headers_of(profile, key, body=b"%d." % shift + body)
    forged = verify(
        profile,
        [key],
        signature=made["webhook-signature"],
        timestamp=shift,
        event_id=f"evt_1.{NOW}",
        body=body,
        now=shift,
    )
    assert (forged.valid, forged.reason) == (False, "malformed_id")
    with pytest.raises(ValueError, match="Not an event id"):
        signer(profile, [key])(timestamp=shift, event_id=f"evt_1.{NOW}", body=body)


def test_an_id_that_is_signed_must_be_there() -> None:
    key = base64.b64encode(b"x" * 32).decode()
    made = headers_of(PRESETS["standard-webhooks"], key)["webhook-signature"]
    verdict = judge(profile=PRESETS["standard-webhooks"], secrets=[key], signature=made)
    assert (verdict.reason, "webhook-id" in verdict.message) == ("missing_id", True)


def test_an_id_with_a_line_break_never_becomes_a_header() -> None:
    with pytest.raises(ValueError, match="Not an event id"):
        signer(profile_from({"id_header": "x-id"}), [SECRET])(timestamp=NOW, event_id="a\r\nb: c", body=b"")


def test_without_a_secret_nothing_is_signed() -> None:
    with pytest.raises(ValueError, match="at least one secret"):
        signer(DEFAULT, [])
    with pytest.raises(ValueError, match="at least one secret"):
        judge(secrets=[])
