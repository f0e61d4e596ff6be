"""Secrets: how new ones look, and which texts can be a key under which profile."""

import base64
import hmac
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.models import Endpoint
from simulator.signing import (
    DEFAULT,
    PRESETS,
    BadSecret,
    Profile,
    as_dict,
    check_secret,
    new_secret,
    signer,
    standard_spelling,
)

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
NOW = 1738896900
BODY = b'{"id":"evt_1"}'


def headers_of(profile: Profile, secret: str) -> dict[str, str]:
    return dict(signer(profile, [secret])(timestamp=NOW, event_id="evt_1", body=BODY))


def test_new_secrets_are_32_random_bytes_behind_whsec() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    for secret in made:
        assert re.fullmatch(r"whsec_[0-9A-Za-z_-]{43}", secret)
        assert len(base64.urlsafe_b64decode(secret[6:] + "=")) == 32


def test_a_new_secret_for_standard_webhooks_is_read_by_a_strict_base64_decoder() -> None:
    for _ in range(50):
        secret = new_secret(PRESETS["standard-webhooks"])
        assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32


@pytest.mark.parametrize("secret", ["x", "without prefix", "schlüssel-🙂", SECRET, "a" * 4096, "whsec_", " "])
def test_as_utf8_any_text_is_a_key(secret: str) -> None:
    check_secret(secret)
    made = headers_of(DEFAULT, secret)["x-ultrareach-signature"]
    assert made == "v1=" + hmac.new(secret.encode(), b"%d." % NOW + BODY, "sha256").hexdigest()


@pytest.mark.parametrize("secret", ["", "a" * 10_240, "é" * 2049, "nul\0", "\ud800", None, 5, b"bytes"])
def test_what_cannot_be_a_key_is_refused_with_the_rule(secret: object) -> None:
    with pytest.raises(BadSecret, match=r"1 to 4096 bytes|must be a string|surrogate"):
        check_secret(secret)


def _base64(size: int) -> str:
    return base64.b64encode(bytes(range(size))).decode()


@pytest.mark.parametrize(
    "secret", ["whsec_" + _base64(24), "whsec_" + _base64(64), _base64(32), SECRET, "whsec_" + "-_" * 20]
)
def test_as_base64_24_to_64_bytes_are_a_key(secret: str) -> None:
    check_secret(secret, PRESETS["standard-webhooks"])


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "x",
        "whsec_",
        "whsec_" + _base64(23),
        "whsec_" + _base64(65),
        "whsec_not base64 but long enough to be",
        "whsec_" + "é" * 40,
        "whsec_" + "+_" * 20,
        "whsec_" + _base64(32) + "=",
        "whsec_" + "A" * 41,
        "a" * 10_240,
        "whsec_" + _base64(32) + "\n",
    ],
)
def test_as_base64_anything_else_is_refused_with_the_rule(secret: str) -> None:
    with pytest.raises(BadSecret, match="24 to 64 bytes|1 to 4096 bytes"):
        check_secret(secret, PRESETS["standard-webhooks"])


def test_the_key_behind_the_prefix_is_what_it_decodes_to() -> None:
    raw = base64.b64decode("whsec/wechse" * 3)  # begins with the letters of the prefix
    for encoded in (base64.b64encode(raw), base64.urlsafe_b64encode(raw).rstrip(b"=")):
        made = headers_of(PRESETS["standard-webhooks"], "whsec_" + encoded.decode())["webhook-signature"]
        right = hmac.new(raw, b"evt_1.%d." % NOW + BODY, "sha256").digest()
        assert made == "v1," + base64.b64encode(right).decode()


@pytest.mark.parametrize("secret", ["whsec_" + "-_" * 20, "-_" * 16 + "-_8", SECRET, "whsec_" + _base64(25)])
def test_another_spelling_of_a_secret_is_the_same_key_for_a_strict_decoder(secret: str) -> None:
    spelled = standard_spelling(secret)
    assert spelled.startswith("whsec_") == secret.startswith("whsec_")
    raw = base64.b64decode(spelled.removeprefix("whsec_"), validate=True)
    assert raw == base64.urlsafe_b64decode(
        secret.replace("+", "-").replace("/", "_").removeprefix("whsec_") + "=="
    )
    assert standard_spelling(spelled) == spelled


def test_both_secrets_of_an_overlap_are_spelled_for_the_libraries_that_decode_them(db: None) -> None:
    endpoint = Endpoint.register(url="http://localhost:1/x", events=["*"], secret="whsec_" + "-_" * 20)
    endpoint.rotate_secret()
    endpoint.change(signature=as_dict(PRESETS["standard-webhooks"]))
    kept = [
        base64.b64decode(value.removeprefix("whsec_"), validate=True) for value in endpoint.valid_secrets()
    ]
    assert [len(key) for key in kept] == [32, 30]


def test_under_a_profile_that_takes_it_as_a_text_a_secret_stays_as_it_is(db: None) -> None:
    endpoint = Endpoint.register(url="http://localhost:1/x", events=["*"], secret="whsec_" + "-_" * 20)
    endpoint.change(signature=as_dict(PRESETS["stripe"]))
    assert endpoint.valid_secrets() == ["whsec_" + "-_" * 20]


@given(st.sampled_from(sorted(PRESETS)), st.text(max_size=40))
def test_a_signer_refuses_exactly_the_secrets_that_check_secret_refuses(preset: str, secret: str) -> None:
    assert refused(signer, PRESETS[preset], [secret]) == refused(check_secret, secret, PRESETS[preset])


def refused(step: Callable[..., object], *given: object) -> bool:
    try:
        step(*given)
    except BadSecret:
        return True
    return False
