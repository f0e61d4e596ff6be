"""Heads as bytes: where they end, what is folded in them, and lengths too long for a column."""

import pytest

from simulator import head

ONE = b"HTTP/1.1 200 OK\r\nX: a\r\n\r\n"


@pytest.mark.parametrize("before", [b"", b"\r\n", b"\n\r\n\n"])
@pytest.mark.parametrize("behind", [b"", b"body\r\n\r\n", b"\r\n\r\n", ONE])
@pytest.mark.parametrize(
    "lines", [ONE, ONE.replace(b"\r\n", b"\n"), ONE.replace(b": a\r\n", b": a\r\n \r\n")]
)
def test_a_head_ends_with_its_first_empty_line(before: bytes, lines: bytes, behind: bytes) -> None:
    assert head.size(bytearray(before + lines + behind)) == len(before + lines)


def test_what_has_no_end_yet_is_all_head() -> None:
    assert [head.size(part) for part in (b"", b"\r\n", ONE[:-2], ONE[:-1])] == [
        0,
        2,
        len(ONE) - 2,
        len(ONE) - 1,
    ]


def test_only_the_head_counts_for_its_limit() -> None:
    largest = b"HTTP/1.1 200 " + b"r" * (head.LIMIT - 17) + b"\r\n\r\n"
    assert len(largest) == 102_400
    assert not head.is_too_large(largest + b"body" * 10_000)
    assert head.is_too_large(b"\n" + largest)


def test_a_head_begins_with_its_protocol_or_empty_lines_before_it() -> None:
    seen = {
        said: head.begins_with_http(said)
        for said in (ONE, b"\r\n" + ONE, b" " + ONE, b"RTSP/1.0 200 OK", b"")
    }
    assert list(seen.values()) == [True, True, False, False, False]


def test_control_characters_and_a_final_tab_hide_a_token() -> None:
    plain = [b"chunked", b"\r\n chunked ", b"gzip\t,\tchunked", b"caf\xe9, chunked"]
    hiding = [
        b"chunked\t",
        b"chunked\t ",
        b"chunked\x0b",
        b"\x0cchunked",
        b"a\x7fb, chunked",
        b"gzip,\r\n chunked",
    ]
    assert [head.hides_a_token(value) for value in plain + hiding] == [False] * 4 + [True] * 6


def test_folded_values_keep_their_line_ends_and_others_their_spelling() -> None:
    said = b"\r\nHTTP/1.1 200 OK\r\nX-Fold:  a\r\n\tb \r\nx-PLAIN:1\r\nX-Empty:\r\n \r\n\r\nbody"
    assert head.folded_headers(said) == [
        (b"X-Fold", b"a\r\n\tb "),
        (b"x-PLAIN", b"1"),
        (b"X-Empty", b"\r\n "),
    ]


def test_without_a_fold_in_the_head_nothing_is_read_again() -> None:
    assert head.folded_headers(ONE) is None
    assert head.folded_headers(ONE + b'{\n  "pretty": 1\n}') is None


def test_a_fold_of_the_status_line_is_an_error() -> None:
    with pytest.raises(ValueError, match="status line"):
        head.folded_headers(b"HTTP/1.1 200 OK\r\n X: a\r\n\r\n")


@pytest.mark.parametrize(
    ("length", "number"),
    [
        (b"0", 0),
        (b" 17\t", 17),
        (b"0" * 5000 + b"2", 2),
        (b"9223372036854775807", 2**63 - 1),
        (b"9223372036854775808", None),
        (b"18446744073709551615", None),
    ],
)
def test_a_length_is_a_number_that_can_be_stored_or_none(length: bytes, number: int | None) -> None:
    assert head.storable(length) == number


def test_two_returns_at_the_end_of_a_line_count_in_the_head_alone() -> None:
    twice = b"HTTP/1.1 200 OK\r\nX:\r\r\nY: b\r\n\r\n"
    assert [head.has_double_return(said) for said in (twice, b"\r\r\n" + ONE, ONE + b"a\r\r\n\r\n")] == [
        True,
        False,
        False,
    ]


def test_a_return_that_ends_no_line_counts_in_the_head_alone() -> None:
    alone = b"HTTP/1.1 200 OK\r\nContent-Length:\r 2\r\n\r\nok"
    assert [head.has_lone_return(said) for said in (alone, b"\r" + ONE, ONE + b"a\rb", ONE)] == [
        True,
        False,
        False,
        False,
    ]
