"""An answer means the same in whatever pieces it comes, and what cannot be is named. No socket is needed for that."""

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.reader import BODY_CAP, DONE, RECEIVING, WAITING, Reader

OK = b"HTTP/1.1 200 OK\r\n"
SIZED = OK + b"Content-Length: 2\r\n\r\nok"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n3\r\n, y\r\n0\r\nX-End: 1\r\n\r\n"
FOLDED = OK + b"X-Long: one\r\n two\r\nX-Latin: caf\xe9\r\nx-LATIN: 2\r\nContent-Length: 0\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
GOOD = {
    "with its length": (SIZED, b"ok"),
    "in chunks": (CHUNKED, b"ok, y"),
    "with lines folded": (FOLDED, b""),
    "behind interim answers": (b"\r\n" + EARLY * 3 + SIZED, b"ok"),
    "with bare line feeds": (SIZED.replace(b"\r\n", b"\n"), b"ok"),
    "without a body": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "from HTTP/1.0": (SIZED.replace(b"1.1", b"1.0"), b"ok"),
}
BAD = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "HTTP/0.9": b"<html>hello</html>\r\n",
    "RTSP": SIZED.replace(b"HTTP/1.1", b"RTSP/1.0"),
    "HTTP/2": SIZED.replace(b"1.1", b"2.0"),
    "status 099": SIZED.replace(b"200", b"099"),
    "status 101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "a negative length": OK + b"Content-Length: -2\r\n\r\nok",
    "a length and chunks": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "NUL in a value": OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "NUL in the reason": b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
    "a line without a colon": OK + b"colon\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": OK + b"Content-Length : 0\r\n\r\n",
    "two returns at a line's end": OK + b"X:\r\r\nContent-Length: 0\r\n\r\n",
    "a lone return": OK + b"X:\r a\r\nContent-Length: 0\r\n\r\n",
    "a fold behind the status line": OK + b" X: a\r\nContent-Length: 0\r\n\r\n",
    "a chunk of no size": OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\nok\r\n0\r\n\r\n",
    "a bare line feed behind a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\n0\r\n\r\n",
    "a chunk whose size is one too large": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nok\r\n0\r\n\r\n",
    "an interim answer with a body": b"HTTP/1.1 102 P\r\nContent-Length: 2\r\n\r\nok" + SIZED,
}


def read(pieces: Iterable[bytes]) -> Reader:
    """As a connection reads: to the end, or to the first thing that cannot be."""
    reader = Reader()
    reader.stage = WAITING
    for piece in pieces:
        reader.take(piece)
        if reader.stage == DONE or reader.fault:
            break
    return reader


def facts(reader: Reader) -> tuple[object, ...]:
    answer = reader.answer
    came = (answer.status, answer.reason, answer.headers, bytes(answer.body), answer.size, answer.declared)
    return *came, reader.stage, reader.keeps_alive, reader.failure, bool(reader.fault)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_answer_is_whole_with_its_last_byte(name: str) -> None:
    said, body = GOOD[name]
    reader = read([said])
    assert (reader.stage, reader.failure, reader.fault) == (DONE, None, "")
    assert bytes(reader.answer.body) == body
    assert read([said[:-1]]).stage != DONE


def test_nothing_of_interim_answers_and_trailers_is_in_the_answer() -> None:
    early = EARLY.replace(b"Link", b"Content-Length: 0\r\nLink")
    answer = read([early, CHUNKED]).answer
    assert (answer.reason, answer.declared) == (b"OK", None)
    assert answer.headers == [(b"Transfer-Encoding", b"chunked")]
    assert read([early, OK + b"\r\nto the end"]).ends_with_its_connection


@pytest.mark.parametrize("name", GOOD)
@given(data=st.data())
def test_a_good_answer_is_the_same_in_any_pieces(name: str, data: st.DataObject) -> None:
    said, _ = GOOD[name]
    assert facts(read(data.draw(pieces_of(said)))) == facts(read([said]))


@pytest.mark.parametrize("name", BAD)
@given(data=st.data())
def test_a_bad_answer_is_bad_in_any_pieces(name: str, data: st.DataObject) -> None:
    reader = read(data.draw(pieces_of(BAD[name])))
    assert reader.fault or reader.failure, "it was taken for good"
    assert not reader.failure or reader.failure[0] == "bad_response"
    assert not reader.keeps_alive


def pieces_of(said: bytes) -> st.SearchStrategy[list[bytes]]:
    def cut(ends: set[int]) -> list[bytes]:
        at = [0, *sorted(ends), len(said)]
        return [said[begin:end] for begin, end in itertools.pairwise(at) if begin < end]

    most = st.integers(1, len(said) - 1)
    return st.one_of(st.just([bytes([byte]) for byte in said]), st.sets(most, max_size=8).map(cut))


def test_one_answer_after_the_other_with_nothing_left_of_the_first() -> None:
    reader = read([FOLDED])
    for said in (SIZED, CHUNKED, SIZED):
        assert reader.keeps_alive
        reader.begin()
        assert (reader.silent, reader.answer.headers) == (True, [])
        reader.stage = WAITING
        reader.take(said)
        assert (reader.stage, reader.answer.status) == (DONE, 200)


@pytest.mark.parametrize("body", [b"", b"ok"], ids=["none comes", "one comes all the same"])
def test_the_answer_to_a_head_request_ends_with_its_head(body: bytes) -> None:
    reader = Reader()
    reader.begin(bodiless=True)
    reader.stage = WAITING
    reader.take(EARLY + SIZED.removesuffix(b"ok") + body)
    assert (reader.stage, reader.failure, reader.answer.status) == (DONE, None, 200)
    assert (reader.answer.declared, reader.answer.size, reader.keeps_alive) == (2, 0, False)


def test_an_interim_answer_that_says_close_means_the_one_behind_it() -> None:
    closing = EARLY.replace(b"Link: </a>", b"Connection: close")
    assert read([EARLY + SIZED]).keeps_alive
    reader = read([closing + SIZED])
    assert (reader.stage, reader.answer.status, reader.keeps_alive) == (DONE, 200, False)


def test_of_any_number_of_interim_answers_nothing_is_left() -> None:
    flood = EARLY * 5000
    reader = read([*(flood[at : at + 1000] for at in range(0, len(flood), 1000)), SIZED])
    assert (reader.stage, reader.failure, reader.answer.headers) == (DONE, None, [(b"Content-Length", b"2")])


def test_what_has_come_so_far_is_said() -> None:
    assert read([b""]).what_came() == ""
    assert read([b"H"]).what_came() == " (1 byte of one came: H)"
    assert (
        read([b"HTTP/1.1 200 OK\r\nX: \xe9"]).what_came()
        == r" (21 bytes of one came: HTTP/1.1 200 OK\r\nX: \xe9)"
    )
    assert read([OK + b"X: " + b"x" * 200]).what_came() == f" (220 bytes of one came: …{'x' * 120})"
    assert read([EARLY, OK]).what_came() == " (1 interim answer came)"
    assert read([EARLY, EARLY]).what_came() == " (2 interim answers came)"


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    assert read([OK + b"\r\nbody"]).ends_with_its_connection
    assert not read([OK + b"Content-Length: 9\r\n\r\nbody"]).ends_with_its_connection
    assert not read([OK]).ends_with_its_connection
    assert not read([SIZED]).ends_with_its_connection


def test_no_more_of_a_body_is_kept_than_is_shown() -> None:
    reader = read([OK + b"Content-Length: 300000\r\n\r\n", b"x" * 299_999])
    answer = reader.answer
    assert (reader.stage, answer.truncated, answer.size, len(answer.body)) == (
        RECEIVING,
        True,
        299_999,
        BODY_CAP,
    )


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (OK + b"X: " + b"x" * 110_000, "headers_too_large"),
        (OK + b"X: x\r\n" * 20_000 + b"\r\n", "headers_too_large"),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n" + (b"1;" + b"x" * 500 + b"\r\na\r\n") * 300,
            "bad_response",
        ),
    ],
)
def test_heads_and_framing_have_limits(said: bytes, code: str) -> None:
    reader = read(said[at : at + 1024] for at in range(0, len(said), 1024))
    assert reader.failure is not None
    assert reader.failure[0] == code


def test_the_first_bytes_of_what_is_no_http_are_there_to_be_shown() -> None:
    reader = read([b"SSH-2.0"])
    assert (bool(reader.fault), reader.has_a_line) == (True, False)
    reader.take(b"-OpenSSH\r\n")
    assert reader.has_a_line
    assert reader.first_bytes(b"and more") == b"SSH-2.0-OpenSSH\r\nand more"
    assert len(reader.first_bytes(b"x" * 5000)) == 1024


def test_a_late_answer_goes_on_where_it_was_with_facts_of_its_own() -> None:
    reader = read([SIZED[:5]])
    early = reader.answer
    early.error = "no_response"
    reader.stage = DONE
    reader.begin_late()
    reader.take(SIZED[5:])
    assert (reader.answer.status, reader.answer.error, early.status) == (200, None, None)
