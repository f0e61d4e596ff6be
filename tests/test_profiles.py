"""Signature profiles: what a user may set, and what is refused with the field and the cure."""

import pytest

from simulator.profiles import DEFAULT, PRESETS, BadProfile, as_dict, profile_from


def test_the_contract_names_every_field_in_this_order() -> None:
    assert as_dict(profile_from("ultrareach")) == {
        "preset": "ultrareach",
        "content": "{timestamp}.{body}",
        "digest": "sha256",
        "encoding": "hex",
        "prefix": "v1=",
        "separator": ",",
        "signature_header": "x-ultrareach-signature",
        "timestamp_header": "x-ultrareach-timestamp",
        "timestamp_prefix": None,
        "id_header": None,
        "key": "utf8",
    }


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_reads_back_as_the_object_it_was_set_by(name: str) -> None:
    assert profile_from(as_dict(profile_from(name))) == PRESETS[name]
    assert profile_from({"preset": name}) == PRESETS[name]


def test_six_presets_are_ready() -> None:
    assert list(PRESETS) == ["ultrareach", "standard-webhooks", "stripe", "github", "slack", "shopify"]


def test_a_preset_with_one_field_changed_is_called_custom_and_reads_back() -> None:
    profile = profile_from({"preset": "stripe", "digest": "sha512"})
    assert (profile.preset, profile.digest, profile.signature_header) == (
        "custom",
        "sha512",
        "Stripe-Signature",
    )
    assert profile_from(as_dict(profile)) == profile


def test_what_was_set_as_custom_stays_custom() -> None:
    assert profile_from({"preset": "custom"}).preset == "custom"
    assert profile_from(as_dict(profile_from({"preset": "custom"}))).preset == "custom"


def test_fields_without_a_preset_start_from_the_default() -> None:
    profile = profile_from({"prefix": "sig="})
    assert (profile.preset, profile.prefix, profile.content) == ("custom", "sig=", DEFAULT.content)
    assert profile_from({}) == DEFAULT


@pytest.mark.parametrize(
    ("value", "field", "cure"),
    [
        ("strpe", "preset", "stripe"),
        (5, "", "preset name"),
        (None, "", "preset name"),
        (["stripe"], "", "preset name"),
        ({"preset": None}, "preset", "ultrareach"),
        ({"preset": ["stripe"]}, "preset", "ultrareach"),
        ({"colour": "red"}, "colour", "signature_header"),
        ({"content": "{body}{when}"}, "content", "{timestamp}"),
        ({"content": "{timestamp}"}, "content", "{body} is missing"),
        ({"content": "{body}}"}, "content", "brace"),
        ({"content": "{body!r}{timestamp}"}, "content", "Unknown placeholder"),
        ({"content": ""}, "content", "{timestamp}.{body}"),
        ({"content": 5}, "content", "string"),
        ({"content": "é{body}"}, "content", "ASCII"),
        ({"digest": "md5"}, "digest", "sha256"),
        ({"digest": None}, "digest", "string"),
        ({"encoding": "base32"}, "encoding", "base64"),
        ({"key": "hex"}, "key", "utf8"),
        ({"prefix": "a\r\nb"}, "prefix", "printable"),
        ({"prefix": "v1,"}, "prefix", "separator"),
        ({"separator": "a"}, "separator", "letters"),
        ({"separator": "="}, "separator", "letters"),
        ({"signature_header": "x signature"}, "signature_header", "hyphens"),
        ({"signature_header": ""}, "signature_header", "hyphens"),
        ({"signature_header": "x-é"}, "signature_header", "hyphens"),
        ({"signature_header": "x\r\ny"}, "signature_header", "hyphens"),
        ({"signature_header": "x-signature\n"}, "signature_header", "hyphens"),
        ({"signature_header": None}, "signature_header", "string"),
        ({"signature_header": "Content-Length"}, "signature_header", "another"),
        ({"signature_header": "X-Ultrareach-Attempt"}, "signature_header", "another"),
        ({"timestamp_header": "X-Ultrareach-Signature"}, "signature_header", "different"),
        ({"timestamp_header": None}, "content", "timestamp_prefix"),
        ({"timestamp_prefix": "t="}, "timestamp_prefix", "not both"),
        ({"preset": "stripe", "timestamp_prefix": "v1="}, "timestamp_prefix", "differ"),
        ({"preset": "stripe", "separator": ""}, "separator", "comma"),
    ],
)
def test_a_bad_profile_names_the_field_and_the_cure(value: object, field: str, cure: str) -> None:
    with pytest.raises(BadProfile) as refused:
        profile_from(value)
    assert refused.value.field == field
    assert cure in refused.value.message
