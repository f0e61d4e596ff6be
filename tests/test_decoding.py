"""Decoding a captured body for display."""

import gzip
import zlib

import pytest

from simulator.decoding import CAP, as_text, decoded

GZIP = [("Content-Encoding", "gzip")]
TEXT = b"hello " * 50


def gzipped(data: bytes) -> bytes:
    """Without the time of day, which would give a test another name in each second."""
    return gzip.compress(data, mtime=0)


def raw_deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return squeeze.compress(data) + squeeze.flush()


def stored(data: bytes) -> bytes:
    """Raw deflate whose first two bytes add up as those of a zlib header do."""

    def block(part: bytes, last: bool) -> bytes:
        size = len(part).to_bytes(2, "little")
        return bytes([last, *size, *(255 - byte for byte in size)]) + part

    return block(data[:31], False) + block(data[31:], True)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzipped(TEXT)),
        ("X-GZIP", gzipped(TEXT)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("deflate", stored(TEXT)),
        ("gzip, deflate", zlib.compress(gzipped(TEXT))),
        ("identity", TEXT),
        ("", TEXT),
        ("gzip", gzipped(TEXT[:100]) + gzipped(TEXT[100:])),
    ],
)
def test_the_usual_encodings_are_undone_without_a_note(encoding: str, body: bytes) -> None:
    assert decoded(body, [("content-encoding", encoding)]) == (TEXT, None)


def test_a_bomb_is_cut_at_the_cap_and_says_so() -> None:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([squeeze.compress(bytes(1 << 20)) for _ in range(50)]) + squeeze.flush()
    result, note = decoded(bomb, GZIP)
    assert len(result) == CAP
    assert note == "The decoded body is larger than 256 KiB; the rest is not shown."


def test_a_bomb_in_a_bomb_is_cut_too() -> None:
    result, note = decoded(
        gzip.compress(gzip.compress(bytes(50 << 20))), [("content-encoding", "gzip, gzip")]
    )
    assert len(result) == CAP
    assert note and "larger than 256 KiB" in note


def test_corrupt_data_is_shown_as_it_came() -> None:
    result, note = decoded(b"not gzip at all", GZIP)
    assert result == b"not gzip at all"
    assert note and "not valid gzip" in note


def test_cut_data_shows_what_could_be_decoded() -> None:
    result, note = decoded(gzip.compress(bytes(range(256)) * 20)[:-30], GZIP)
    assert result and (bytes(range(256)) * 20).startswith(result)
    assert note == "Only a part of the gzip data came or was kept; what could be decoded is shown."


@pytest.mark.parametrize("encoding", ["br", "zstd", "klingon", "gzip, br"])
def test_an_unknown_encoding_is_shown_as_it_came_and_named(encoding: str) -> None:
    result, note = decoded(b"\x8b\x01", [("content-encoding", encoding)])
    assert result == b"\x8b\x01"
    assert note and encoding.rpartition(" ")[2] in note


def test_too_many_layers_are_not_peeled() -> None:
    assert decoded(b"x", [("content-encoding", "gzip, " * 40 + "gzip")])[0] == b"x"


def test_text_is_read_in_the_charset_it_names() -> None:
    assert as_text("café".encode("latin-1"), [("Content-Type", "text/plain; charset=ISO-8859-1")]) == (
        "café",
        None,
    )
    assert as_text("日本".encode("shift_jis"), [("content-type", 'text/plain;charset="Shift_JIS"')]) == (
        "日本",
        None,
    )
    assert as_text("café".encode(), []) == ("café", None)


def test_a_byte_order_mark_is_not_text() -> None:
    assert as_text(b"\xef\xbb\xbfa", []) == ("a", None)


def test_bytes_that_are_no_text_become_replacement_characters_with_a_note() -> None:
    text, note = as_text(b"a\xff\0b", [])
    assert text == "a\ufffd\0b"
    assert note and "UTF-8" in note


@pytest.mark.parametrize(
    "charset", ["klingon", "rot13", "zip", "unicode_escape", "idna", "punycode", "a\0b", "utf-7"]
)
def test_a_charset_that_is_none_of_text_is_named_and_ignored(charset: str) -> None:
    text, note = as_text(b"abc", [("content-type", f"text/plain; charset={charset}")])
    assert text == "abc"
    assert note and "unknown" in note
