"""Bytes are shown as they are: every token kept, control characters visible, nothing trusted."""

import gzip
import json
import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import bodies


def text(shown: bodies.Shown) -> str:
    return unescape(re.sub(r"<[^>]+>", "", shown.html))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(JSON)
def test_indented_json_means_the_same(value: object) -> None:
    assert json.loads(bodies.indented(json.dumps(value))) == value


def test_indenting_keeps_every_token_as_it_was_written() -> None:
    assert bodies.indented('{"a":1.0,"a":1e2,"b":[],"c":{"d":"x, y: {"}}') == (
        '{\n  "a": 1.0,\n  "a": 1e2,\n  "b": [],\n  "c": {\n    "d": "x, y: {"\n  }\n}'
    )


@given(st.text(max_size=200))
def test_indenting_loses_nothing_of_what_is_no_json(broken: str) -> None:
    assert re.sub(r"\s", "", bodies.indented(broken)) == re.sub(r"\s", "", broken)


def test_a_hostile_json_does_not_grow_beyond_measure() -> None:
    deep = "[" * 262_144
    assert len(bodies.indented(deep)) < 2 * bodies.INDENTED
    assert re.sub(r"\s", "", bodies.indented(deep)) == deep
    rest = '1 2 , "a" :  3\n ok here'
    assert bodies.indented("[" * 40_000 + rest).endswith(rest)


def test_json_is_pretty_by_default_other_text_raw_and_binary_hex() -> None:
    assert bodies.show(b' {"a":1}').view == "pretty"
    assert bodies.show(b"hello").view == "raw"
    assert bodies.show(b"\x00\x01\xff").view == "hex"
    assert bodies.show(b"hello", "pretty").view == "raw"


def test_a_long_body_is_cut_for_the_preview_and_whole_on_demand() -> None:
    raw = b"x" * 300_000
    assert bodies.show(raw).cut == 300_000 - bodies.PREVIEW
    assert bodies.show(raw, whole=True).cut == 0 and len(text(bodies.show(raw, whole=True))) == 300_000
    assert bodies.show(raw, "hex").cut == 300_000 - 2048


@pytest.mark.parametrize("raw", [b"<script>alert(1)</script>", b'{"a":"<img src=x onerror=y>"}'])
@pytest.mark.parametrize("view", bodies.VIEWS)
def test_markup_is_text_in_every_view(raw: bytes, view: str) -> None:
    html = bodies.show(raw, view).html
    assert "<script" not in html and "<img" not in html


def test_control_and_direction_marks_are_visible() -> None:
    assert text(bodies.show("a\x07b\u202ec".encode())) == "a␇b⟨U+202E⟩c"


def test_what_was_packed_is_unpacked_for_reading_and_as_it_came_in_hex() -> None:
    packed = gzip.compress(b'{"a":1}')
    headers = [("content-encoding", "gzip")]
    assert '"a": 1' in text(bodies.show(packed, headers=headers))
    assert text(bodies.show(packed, "hex", headers=headers)).startswith("00000000  1f 8b")


def test_a_hex_line_has_offset_eight_bytes_and_their_letters() -> None:
    first, second = bodies.hexdump(bytes(range(60, 69))).splitlines()
    assert first == "00000000  3c 3d 3e 3f 40 41 42 43  <=>?@ABC"
    assert second == f"00000008  44{' ' * 21}  D"
