"""The head of an answer as the bytes that came: where it ends, its protocol, its folded lines. Knows no connection.

Everything here is given a buffer that begins with a head, or with empty lines before one, and may go on after it.
"""

import re

LIMIT = 100 * 1024


def size(data: bytes | bytearray) -> int:
    """How many bytes status line and headers take, with the empty lines around them; all, if the head has no end."""
    begins = _EMPTY_LINES.match(data)
    found = _END.search(data, begins.end() if begins else 0)
    return found.end() if found else len(data)


def is_too_large(data: bytes | bytearray) -> bool:
    return len(data) > LIMIT and size(data) > LIMIT


def begins_with_http(data: bytes | bytearray) -> bool:
    return _PROTOCOL.match(data) is not None


def has_double_return(data: bytes | bytearray) -> bool:
    """Whether it has CR CR LF, after which one parser sees a header and another the body."""
    return b"\r\r" in data and b"\r\r" in data[: size(data)].lstrip(b"\r\n")


def has_lone_return(data: bytes | bytearray) -> bool:
    """Whether it has a CR that ends no line: what follows is not where it seems to be."""
    if not _LONE_RETURN.search(data):
        return False
    return _LONE_RETURN.search(data[: size(data)].lstrip(b"\r\n")) is not None


def folded_headers(data: bytes | bytearray) -> list[tuple[bytes, bytes]] | None:
    """Its headers with the line ends inside their values, which a parser drops; None if no line is folded.

    Raises ValueError if a folded line follows the status line: there is no header that it could continue.
    """
    if not _FOLD.search(data):
        return None
    head = bytes(data[: size(data)]).strip(b"\r\n")
    if not _FOLD.search(head):
        return None  # the fold is after the head
    status_line, *lines = _UNFOLDED_END.split(head)
    if _FOLD.search(status_line):
        raise ValueError("a folded line follows the status line")
    pairs = [line.partition(b":") for line in lines]
    return [(name, value.lstrip(b" \t")) for name, _, value in pairs]


def hides_a_token(value: bytes) -> bool:
    """Whether it has a control character or a final tab, beside which llhttp does not see a token for one."""
    return _HIDING.search(value.lstrip(b" \t\r\n")) is not None


def storable(length: bytes) -> int | None:
    """A Content-Length as a number; None from 2**63 on, which no column can hold: then no declared size is shown.

    The parser has checked it, but it may have more leading zeros than `int()` accepts.
    """
    number = int(length.strip().lstrip(b"0") or b"0")
    return number if number < 2**63 else None


_PROTOCOL = re.compile(rb"[\r\n]*HTTP/")
_LONE_RETURN = re.compile(rb"\r(?=[^\r\n])")
_HIDING = re.compile(rb"[^\t\x20-\x7e\x80-\xff]|\t *\Z")
_EMPTY_LINES = re.compile(rb"[\r\n]+")
_END = re.compile(rb"\n\r?\n")
_FOLD = re.compile(rb"\n[ \t]")  # a CR may precede it, but what begins with a fixed byte is found faster
_UNFOLDED_END = re.compile(rb"\r?\n(?![ \t])")
