"""The bytes of an event: strict JSON in, overrides, and the envelope out."""

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.payload import BadJSON, BadOverride, check_json, envelope, override, parse_json

CREATED = datetime(2025, 2, 7, 2, 55, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def refusal(text: str | bytes) -> BadJSON:
    with pytest.raises(BadJSON) as refused:
        parse_json(text)
    return refused.value


def test_the_envelope_is_the_contracts_byte_for_byte() -> None:
    assert (
        envelope("evt_1", "lead.qualified", CREATED, {"score": 90, "name": "Zoë"})
        == (
            '{"id":"evt_1","type":"lead.qualified","created":"2025-02-07T02:55:00Z",'
            '"data":{"score":90,"name":"Zoë"},"version":"2024-01-01"}'
        ).encode()
    )


def test_the_time_is_utc_in_whole_seconds() -> None:
    berlin = datetime(2025, 2, 7, 3, 55, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    assert b'"created":"2025-02-07T02:55:00Z"' in envelope("evt_1", "a.b", berlin, {})


@given(st.dictionaries(texts, values, max_size=5))
def test_the_data_of_an_envelope_reads_back_as_it_was_given(data: dict[str, Any]) -> None:
    body = envelope("evt_1", "a.b", CREATED, data)
    assert json.loads(body)["data"] == data
    assert parse_json(body)["data"] == data


def test_numbers_and_key_order_survive() -> None:
    data = parse_json('{"z":9223372036854775808,"a":1.0,"m":1e2,"u":"\\u00e9\\ud83d\\ude42"}')
    assert (
        envelope("evt_1", "a.b", CREATED, data)
        .decode()
        .split('"data":')[1]
        .startswith('{"z":9223372036854775808,"a":1.0,"m":100.0,"u":"é🙂"}')
    )


@given(values)
def test_strict_json_reads_everything_that_json_can_say(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False, indent=2).encode()) == value
    check_json(value)


@given(
    st.text('{}[]",:\\u0123 \n-.eEtrfalsn\ufeff\0ND', max_size=30)
    | st.text(max_size=20)
    | st.binary(max_size=20)
)
def test_any_text_is_read_exactly_or_refused_with_its_place(text: str | bytes) -> None:
    try:
        value = parse_json(text)
    except BadJSON as error:
        assert error.message
        assert error.line is not None and error.column is not None
        assert error.line >= 1 and error.column >= 1
        error.path.encode()
    else:
        assert value == json.loads(text)
        check_json(value)


@pytest.mark.parametrize(
    ("text", "path", "line", "column", "words"),
    [
        ('{"a": {"b": [1, NaN]}}', "a.b[1]", 1, 17, "NaN"),
        ('{"a": -Infinity}', "a", 1, 7, "NaN and Infinity"),
        ('{"a":\n  1e999}', "a", 2, 3, "too large"),
        ('{"a": ' + "9" * 5000 + "}", "a", 1, 7, "too large"),
        ("-1" + "0" * 309, "", 1, 1, "too large"),
        ('{"a": "x\\ud800y"}', "a", 1, 7, "surrogate"),
        ('{"a": "\ud800"}', "a", 1, 7, "surrogate"),
        ('{"\\udfff": 1}', "\\udfff", 1, 2, "surrogate"),
        ('["\\u0000"]', "[0]", 1, 2, "raw_body"),
        ('{"a": 1,\n "a": 2}', "a", 2, 2, "twice"),
        ('{"o": {"k": 1}, "l": [{"k": 1, "\\u006b": 2}]}', "l[0].k", 1, 32, "twice"),
        ('{"a": NaN, "b": tru}', "a", 1, 7, "NaN"),
        ('{"a": "NaN \\q"}', "", 1, 12, "escape"),
        ("{} {}", "", 1, 4, "Remove what follows"),
        ("", "", 1, 1, "missing"),
        ('{"a": 1', "", 1, 8, "closing bracket"),
        ("{a: 1}", "", 1, 2, "double quotes"),
        ("{'a': 1}", "", 1, 2, "double quotes"),
        ('{"a" 1}', "", 1, 6, "colon"),
        ('{"a": "b\n"}', "", 1, 9, "control character"),
        ('{"a": "b', "", 1, 7, "closing quote"),
        ('"' + "[" * 100, "", 1, 1, "closing quote"),
        ("\ufeff{}", "", 1, 1, "BOM"),
        (b"\xef\xbb\xbf{}", "", 1, 1, "BOM"),
        (b'{"a":\n"\xff"}', "", 2, 2, "0xff is not UTF-8"),
        ("[" * 65 + "]" * 65, "", 1, 65, "64"),
    ],
)
def test_what_is_not_strict_json_is_refused_with_its_place(
    text: str | bytes, path: str, line: int, column: int, words: str
) -> None:
    error = refusal(text)
    assert (error.path, error.line, error.column) == (path, line, column)
    assert words in error.message


def test_64_levels_are_fine() -> None:
    text = "[" * 64 + "]" * 64
    check_json(parse_json(text))
    assert len(json.dumps(parse_json('{"a":' * 64 + "1" + "}" * 64))) > 64


@pytest.mark.alone
@pytest.mark.parametrize("what", ["object", "array"])
def test_what_a_newer_python_says_of_a_trailing_comma_is_said_plainly_too(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(text: str) -> Any:
        raise json.JSONDecodeError(f"Illegal trailing comma before end of {what}", text, 7)

    monkeypatch.setattr("simulator.payload._DECODER", SimpleNamespace(decode=decode))
    refused = refusal('{"a": 1,}')
    assert (refused.message, refused.column) == ("Nothing follows this comma. Remove it.", 8)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":[', '["]",'])
@pytest.mark.parametrize("depth", [5_000, 200_000])
def test_absurd_nesting_is_refused_at_once(opening: str, depth: int) -> None:
    text = opening * depth
    began = time.perf_counter()
    assert "64" in refusal(text).message
    assert time.perf_counter() - began < 0.05


@pytest.mark.alone
def test_absurd_nesting_in_a_value_is_refused_at_once() -> None:
    value: list[Any] = []
    for _ in range(200_000):
        value = [value]
    began = time.perf_counter()
    with pytest.raises(BadJSON, match="64"):
        check_json(value)
    assert time.perf_counter() - began < 0.05
    while value:  # taken apart by hand: letting go of it in one piece would nest as deep
        value = value[0]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [1, {"b": float("nan")}]}, "a[1].b"),
        ({"a": float("inf")}, "a"),
        ({"a": 10**309}, "a"),
        ({"a": "\ud800"}, "a"),
        ({"a": {"\0": 1}}, "a.\\u0000"),
        ({"a": {5: 1}}, "a.5"),
        ({"a": b"bytes"}, "a"),
        ({"a": (1, 2)}, "a"),
        (object(), ""),
    ],
)
def test_a_value_is_judged_like_a_text(value: object, path: str) -> None:
    with pytest.raises(BadJSON) as refused:
        check_json(value)
    assert (refused.value.path, refused.value.line) == (path, None)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"score": 90}, {"score": 90, "lead": {"id": "lead_1"}, "tags": ["x"]}),
        ({"lead.score": 90}, {"score": 1, "lead": {"id": "lead_1", "score": 90}, "tags": ["x"]}),
        ({"lead": None}, {"score": 1, "lead": None, "tags": ["x"]}),
        ({"tags": []}, {"score": 1, "lead": {"id": "lead_1"}, "tags": []}),
        ({"a.b.c": True}, {"score": 1, "lead": {"id": "lead_1"}, "tags": ["x"], "a": {"b": {"c": True}}}),
        ({"a": {}, "a.b": 1}, {"score": 1, "lead": {"id": "lead_1"}, "tags": ["x"], "a": {"b": 1}}),
        ({}, {"score": 1, "lead": {"id": "lead_1"}, "tags": ["x"]}),
    ],
)
def test_an_override_sets_what_its_dotted_path_names(
    overrides: dict[str, Any], expected: dict[str, Any]
) -> None:
    data = {"score": 1, "lead": {"id": "lead_1"}, "tags": ["x"]}
    before = json.dumps(data)
    assert override(data, overrides) == expected
    assert json.loads(envelope("evt_1", "a.b", CREATED, data, overrides))["data"] == expected
    assert json.dumps(data) == before


def test_an_override_does_not_change_the_value_of_another() -> None:
    given_value: dict[str, Any] = {}
    assert override({}, {"a": given_value, "a.b": 1}) == {"a": {"b": 1}}
    assert given_value == {}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("score.x", 1, "score is a number"),
        ("name.x", 1, "name is a string"),
        ("none.x", 1, "none is null"),
        ("yes.x", 1, "yes is true or false"),
        ("tags.0", 1, "tags is a list"),
        ("deep.name.x", 1, "deep.name is a string"),
        ("", 1, "joined by dots"),
        (".", 1, "joined by dots"),
        ("a.", 1, "joined by dots"),
        ("a..b", 1, "joined by dots"),
        ("a\0", 1, "NUL"),
        ("a", float("nan"), "NaN"),
        ("a", {"b": "\ud800"}, "surrogate"),
        (".".join("a" * 65), 1, "64"),
        (".".join("a" * 64), [], "64"),
    ],
)
def test_an_impossible_override_names_its_path(path: str, value: object, words: str) -> None:
    data = {"score": 1, "name": "x", "none": None, "yes": True, "tags": ["x"], "deep": {"name": "x"}}
    with pytest.raises(BadOverride) as refused:
        override(data, {path: value})
    assert refused.value.field == path
    assert words in refused.value.message
