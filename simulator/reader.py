"""An answer being read: bytes in, the facts of an Answer out, and what is wrong with them. Knows no socket and no loop.

The parser is httptools (llhttp). h11 was measured against it: 4 instead of 12 thousand requests a second, and it
rewrites folded headers. llhttp alone is too trusting in nine places, which are checked here: versions other than
HTTP/1.0 and 1.1 (it accepts RTSP), status codes below 100, NUL in a head once folded headers are allowed, an empty
header that ends in CR CR LF (it takes it for the head's end), a bare CR before a value (it drops it), a space before
the colon of a header that it knows, a "chunked" beside a control character (it overlooks it, and its body is then the
framing, too), a body after an interim answer, and a bare line feed after a chunk. In two it is stricter than it must
be. Two equal Content-Lengths stay a `bad_response`: RFC 9112 §6.3 allows that, and a receiver that states its length
twice may soon state two different ones. So does a space in a chunk extension, which hardly any server sends.
"""

import time

import httptools

from . import head
from .answer import HEADERS_KEPT, Answer

BODY_CAP = 256 * 1024
FIRST_BYTES = 1024
QUOTED = 120

NEW, WAITING, RECEIVING, DONE = range(4)
Failure = tuple[str, dict[str, str]]  # a failure code, and what its message names


class Reader:
    """The answers of one connection, one after the other.

    `stage` is NEW until the request is written, WAITING for the end of the head, RECEIVING the body, and DONE after the
    last byte or the first invalid one. Then `failure` says what was wrong, or `keeps_alive` whether the receiver takes
    another request. `fault` says why the bytes are not HTTP; the connection may wait for more of them, to show them.
    """

    __slots__ = (
        "_bodiless",
        "_framed",
        "_head",
        "_interims",
        "_last",
        "_overhead",
        "_parser",
        "answer",
        "failure",
        "fault",
        "keeps_alive",
        "stage",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        # Folded headers and padded chunk sizes are obsolete, not wrong: RFC 9112 lets a recipient read them.
        # An interim answer's "close" refers to the final answer; bytes after that one are still a fault.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_spaces_after_chunk_size=True, lenient_keep_alive=True
        )
        # What came after the last interim answer, up to and including the piece that ends the head.
        self._head = bytearray()
        self.begin()

    def begin(self, *, bodiless: bool = False) -> None:
        """Another request is about to be sent; `bodiless`: its answer ends with its head, as that to a HEAD does."""
        self.answer = Answer(time.perf_counter())
        self.stage = NEW  # bytes that come before the request is written are no answer to it yet
        self.failure: Failure | None = None
        self.fault = ""
        self.keeps_alive = False
        self._head.clear()
        self._overhead = self._interims = 0
        self._bodiless = bodiless
        self._framed = False
        self._last = False  # an interim answer said that the connection ends with this exchange
        self._take_bare_line_feeds(True)

    def _take_bare_line_feeds(self, taken: bool) -> None:
        """Obsolete, not wrong, but only in a head: after a chunk they would hide a size that is one too large."""
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=taken)

    def begin_late(self) -> None:
        """The deadline has passed: read on, but record what comes in a new Answer."""
        late = Answer(self.answer.started_at)
        late.sent_at = self.answer.sent_at
        self.answer, self.stage = late, WAITING

    def take(self, data: bytes | memoryview) -> None:
        """Read on. Must not be called when DONE."""
        if self.stage == WAITING:
            self._head += data
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:  # our own bug, which asyncio would only print
            cause = error.__context__
            self._fail("internal_error", detail=f"{type(cause).__name__}: {cause}")
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.fault = self.fault or self._in_words(str(error))
        if self.fault or self.stage == DONE:
            return
        if self.stage == WAITING:
            if len(self._head) > head.LIMIT:
                self._fail("headers_too_large", limit="100 KiB")
        elif not self.answer.truncated and self._overhead > head.LIMIT + 8 * self.answer.size:
            self._fail("bad_response", detail="its chunks carry far more framing than body")

    def _in_words(self, said: str) -> str:
        if self.stage == RECEIVING and "Content-Length can't be present" in said:
            return "a Content-Length follows its chunks"
        return _PLAIN_WORDS.get(said) or said or "it cannot be parsed"

    # --- how far the answer is

    @property
    def silent(self) -> bool:
        """Whether no byte of an answer has come."""
        return not self._head and not self._interims and self.answer.status is None

    @property
    def ends_with_its_connection(self) -> bool:
        """Whether a body without a length is being received: it ends when the connection does."""
        return self.stage == RECEIVING and not self._framed

    @property
    def has_a_line(self) -> bool:
        """Whether enough has come to show a person what it is, should it not be HTTP."""
        return self.stage == RECEIVING or b"\n" in self._head or len(self._head) >= FIRST_BYTES

    def first_bytes(self, rest: bytes | memoryview) -> bytes:
        """The bytes as they came; `rest` are those not parsed yet."""
        return b"".join((self._head, rest[:FIRST_BYTES]))[:FIRST_BYTES]

    def what_came(self) -> str:
        """What there is of an answer without a complete head, in words; its last bytes show where it stopped."""
        if self._interims:
            return f" ({self._interims:,} interim answer{'s' if self._interims > 1 else ''} came)"
        count = len(self._head)
        if not count:
            return ""
        end = bytes(self._head[-QUOTED:]).decode("latin-1").encode("unicode_escape").decode("ascii")
        return (
            f" ({count:,} byte{'s' if count > 1 else ''} of one came: {'…' if count > QUOTED else ''}{end})"
        )

    # --- what the parser calls

    def on_message_begin(self) -> None:
        if self.stage == DONE:
            self.fault = "more bytes after the answer"

    def on_status(self, reason: bytes) -> None:
        if self.stage == WAITING:
            self.answer.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.stage != WAITING:
            return
        headers = self.answer.headers
        if len(headers) < HEADERS_KEPT or name.lower() in _TELLING or 0 in value or name.endswith(b" "):
            headers.append((name, value))
        else:  # 25,000 small headers would take three mebibytes
            self.answer.dropped += 1

    def on_headers_complete(self) -> None:
        if self.stage != WAITING:
            return
        if head.is_too_large(self._head):
            self._fail("headers_too_large", limit="100 KiB")
            return
        status = self._parser.get_status_code()
        fault = self._fault_of_head(status)
        if fault:
            self._fail("bad_response", detail=fault)
        elif not _is_interim(status):
            self._begin_body(status)

    def _begin_body(self, status: int) -> None:
        answer = self.answer
        answer.status = status
        answer.answered_at = time.perf_counter()
        self._overhead = 0
        self.stage = RECEIVING
        self._take_bare_line_feeds(False)
        if status == 101:
            self._fail("bad_response", detail="it switches protocols (101), which nobody asked for")
        elif self._bodiless:
            self.stage = DONE  # the parser now waits for the body, so that `keeps_alive` stays False

    def on_body(self, data: bytes) -> None:
        if self.stage != RECEIVING:
            if self.stage == WAITING:
                self._fail("bad_response", detail="an interim answer has a body")
            return
        answer = self.answer
        room = BODY_CAP - answer.size
        answer.size += len(data)
        self._overhead -= len(data)
        if len(data) <= room:
            answer.body += data
        else:
            answer.truncated = True
            answer.body += data[: max(room, 0)]

    def on_message_complete(self) -> None:
        if self.stage == RECEIVING:
            self.stage = DONE
            self.keeps_alive = self._parser.should_keep_alive() and not self._last
        elif self.stage == WAITING and not self.fault:  # an interim answer
            self._interims += 1
            self._last = self._last or not self._parser.should_keep_alive()
            del self._head[: head.size(self._head)]
            self._framed = False
            self.answer.declared = None
            self.answer.reason = b""
            self.answer.headers.clear()
            self.answer.dropped = 0

    def _fail(self, code: str, **facts: str) -> None:
        self.stage, self.failure = DONE, (code, facts)

    def _fault_of_head(self, status: int) -> str:
        """What is wrong with a head that llhttp accepted, or ""; also replaces folded values by the exact ones."""
        answer, came = self.answer, self._head
        if _is_interim(status):  # in a flood of them, look at each one only once
            came = came[: head.size(came)]
        if not head.begins_with_http(came) or self._parser.get_http_version() not in _VERSIONS:
            return _OTHER_PROTOCOL
        if status < 100:
            return f"its status is {status:03d}"
        if b"\0" in answer.reason:
            return "its reason contains a NUL byte"
        if head.has_double_return(came):
            return "a line of its head ends in two carriage returns"
        if head.has_lone_return(came):
            return "its head contains a lone carriage return"
        if b"\0" in came and any(0 in value for _, value in answer.headers):
            return "a header contains a NUL byte"
        if b" :" in came and any(name.endswith(b" ") for name, _ in answer.headers):
            return "a header has a space before its colon"
        fault = self._unfold(came)
        for name, value in answer.headers:
            if len(name) == 14 and name.lower() == b"content-length":
                answer.declared = head.storable(value)
                self._framed = True
            elif len(name) == 17 and name.lower() == b"transfer-encoding":
                self._framed = value.lower().rpartition(b",")[2].strip() == b"chunked"
                if self._framed and head.hides_a_token(value):
                    fault = fault or "its Transfer-Encoding contains a control character"
        return fault

    def _unfold(self, came: bytearray) -> str:
        """llhttp drops the line ends inside folded values: take the headers from the bytes as they came."""
        try:
            folded = head.folded_headers(came)
        except ValueError as error:
            return str(error)
        if folded:
            self.answer.headers, self.answer.dropped = folded, 0
        return ""


def _is_interim(status: int) -> bool:
    return 100 <= status < 200 and status != 101


_TELLING = {b"content-length", b"transfer-encoding", b"location", b"retry-after"}
_VERSIONS = ("1.1", "1.0")
_OTHER_PROTOCOL = "its protocol is not HTTP/1.0 or HTTP/1.1"
_NO_STATUS = "what follows its protocol is not a status of three digits"
_PLAIN_WORDS = {  # for llhttp's own, where they name what it waited for
    "Expected HTTP/, RTSP/ or ICE/": "it does not begin with HTTP/",
    "Invalid HTTP version": _OTHER_PROTOCOL,
    "Invalid major version": _OTHER_PROTOCOL,
    "Invalid minor version": _OTHER_PROTOCOL,
    "Expected dot": _OTHER_PROTOCOL,
    "Invalid status code": _NO_STATUS,
    "Invalid response status": _NO_STATUS,
    "Invalid header token": "a header does not begin with a valid name and a colon",
    "Expected LF after chunk data": "there is no line end where the size of a chunk says that it ends",
}
