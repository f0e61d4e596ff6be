"""One connection to a receiver and the exchange on it: bytes out, the answer in. Knows no URL, name or endpoint.

`reader` knows what the bytes mean; this module decides when they are read, and what the connection's end means.
"""

import asyncio
import socket
import ssl
import time
from typing import Any

from .answer import Answer
from .failures import message
from .reader import BODY_CAP, DONE, NEW, RECEIVING, WAITING, Reader
from .turns import FREE_S, Turns

LINE_WAIT = 0.5
READ_AT_ONCE = 16 * 1024
AT_ONCE_S = 0.0003
"""How long an answer may take the loop before it has to wait for its turn; a hundred may come in one round."""
TURN_S = 0.002
HEAD_PIECE = 1024
BODY_PIECE = 8 * 1024
"""An answer is parsed in pieces: one full of interim answers, one-byte headers or chunks takes 0.2 to 0.5 ms."""


class Connection(asyncio.BufferedProtocol):
    """A connected socket, used for one exchange at a time.

    `start()` sends and returns a future of the Answer; whatever happens on the wire resolves it, and a failure is
    found only in the answer's `error`. Afterwards `reusable` says whether another request may be sent here.
    """

    __slots__ = (
        "_cause",
        "_early",
        "_loop",
        "_reader",
        "_rest",
        "_source",
        "_spent",
        "_transport",
        "_turns",
        "_unsent",
        "address",
        "closed",
        "deadline",
        "encrypted",
        "idle_since",
        "key",
        "last_sent_at",
        "listens_on",
        "made_at",
        "on_late",
        "owner",
        "reusable",
        "sock",
        "timeout",
        "waiter",
    )

    # Shared by all: a selector loop calls get_buffer, recv_into and buffer_updated without anything in between.
    _buffer = memoryview(bytearray(64 * 1024))

    def __init__(self, sock: socket.socket, address: str, turns: Turns, *, encrypted: bool) -> None:
        self.sock = sock
        self.address = address
        self.encrypted = encrypted
        self.waiter: asyncio.Future[Answer] | None = None
        self.deadline = 0.0
        self.timeout = 0.0
        self.reusable = False
        self.closed = False
        self.made_at = time.perf_counter()
        self.last_sent_at = 0.0  # when the previous request was sent
        self.idle_since = 0.0
        self.owner: object = None
        self.key: object = None
        self.on_late: Any = None
        self.listens_on = False
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._source: Any = None  # the transport that reads the socket: with TLS, the one below it
        self._turns = turns
        self._reader = Reader()
        self._spent = 0.0  # seconds of the loop that this answer took
        self._rest: bytes | memoryview = b""  # received and not parsed yet
        self._unsent = False
        self._early = b""
        self._cause: Exception | None = None

    # --- what the owner calls

    def start(
        self,
        payload: bytes,
        *,
        timeout: float,
        deadline: float,
        at_once: bool = True,
        bodiless: bool = False,
    ) -> asyncio.Future[Answer]:
        """Send `payload`. `deadline` is when `expire()` is due; `timeout`, in seconds, is only named in messages.

        Without `at_once` it is sent in the loop's next round, together with all others prepared in this one: a
        sleeping receiver is then woken once for all of them, and waking it costs as much as sending ten.
        """
        self.timeout = timeout
        self.deadline = deadline
        self.reusable = False
        self._reader.begin(bodiless=bodiless)
        self._spent, self._rest = 0.0, b""
        waiter = self.waiter = self._loop.create_future()
        if at_once:
            self._write(payload, waiter)
        else:
            self._loop.call_soon(self._write, payload, waiter)
        return waiter

    def _write(self, payload: bytes, waiter: asyncio.Future[Answer]) -> None:
        if waiter.done():
            return
        self._reader.stage = WAITING
        if self.closed:
            self._say_what_was_early()
            self._lost(self._cause)
            return
        self.answer.started_at = time.perf_counter()
        self._transport.write(payload)
        if not self._unsent:
            self.answer.sent_at = time.perf_counter()
        if self._early:
            self._resume_reading()
            self._say_what_was_early()

    def _say_what_was_early(self) -> None:
        early, self._early = self._early, b""
        if early:
            self._receive(early)

    def listen_on(self, deadline: float) -> asyncio.Future[Answer]:
        """After a `no_response`: keep listening for the late answer of the same request."""
        self._reader.begin_late()
        self.listens_on = True
        self.deadline = deadline
        self.waiter = self._loop.create_future()
        return self.waiter

    def expire(self) -> None:
        """The deadline has passed: end the exchange, if it has not ended yet, with the code of the phase it is in."""
        if not self._is_awaited():
            return
        answer, limit = self.answer, f"{self.timeout:.3g} s"
        if self._reader.stage == DONE:
            self._end()
        elif self._reader.stage == RECEIVING:
            self._fail(
                "incomplete_response", status=answer.status, seconds=limit, received=self.answer.received
            )
        elif not answer.sent_at:
            self._fail("send_timeout", seconds=limit)
        else:
            self._fail("no_response", seconds=limit, detail=self._reader.what_came())

    @property
    def answer(self) -> Answer:
        return self._reader.answer

    @property
    def silent(self) -> bool:
        """Whether no byte of an answer has come."""
        return self._reader.silent

    def is_alive(self) -> bool:
        """Whether an idle connection is still good: the peer's FIN may be here before the loop has seen it."""
        if self.closed:
            return False
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False  # its end, or bytes that answer no request

    def waits_in_line(self, since: float) -> bool:
        """Whether it is new and has had no answer since then: perhaps the receiver has not accepted it yet."""
        new = not self.idle_since and not self.listens_on
        return new and self.answer.started_at < since and self.silent

    def abort(self) -> None:
        self.closed = True
        self.reusable = False
        self._rest = b""
        if self._transport is not None:
            self._transport.abort()

    def read_below(self, source: Any) -> None:
        """With TLS: `source` is the transport that reads."""
        self._source = source

    # --- what asyncio calls

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._source = self._source or transport
        if not self.encrypted:  # with TLS, only the transport below it knows what has left
            # Pause at the first byte the kernel does not take, resume when all are out.
            transport.set_write_buffer_limits(high=0)
        if self._early:
            self._source.pause_reading()

    def pause_writing(self) -> None:
        self._unsent = True

    def resume_writing(self) -> None:
        self._unsent = False
        if self._reader.stage == WAITING:  # otherwise the answer came first
            self.answer.sent_at = time.perf_counter()
        elif self._reader.stage == DONE and self._is_awaited():
            self._end()
            self._resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._reader.stage == DONE:  # these bytes answer no request
            self.abort()
        elif self._reader.stage == NEW:
            # a banner, or a busy server's 503: taken for the answer once the request is written
            self._early += self._buffer[:nbytes]
            if self._source is not None:  # None: they came with the last bytes of the handshake
                self._source.pause_reading()
        else:
            self._receive(self._buffer[:nbytes])

    def _receive(self, data: bytes | memoryview) -> None:
        """Parse it at once; an answer that takes longer than a moment has to wait for its turn."""
        if len(data) <= HEAD_PIECE and self.silent:  # most answers are no larger than that
            self._take(data)
            return
        waits = bool(self._rest)
        if waits or self._spent > AT_ONCE_S:
            self._rest = memoryview(b"".join((self._rest, data)))
        else:
            self._rest = memoryview(data)
            self._take_rest(AT_ONCE_S)
        if self._rest and not waits:
            self._rest = memoryview(bytes(self._rest))  # a copy: all connections share the buffer
            self._source.pause_reading()
            self._turns.wait(self._spent, self._go_on)

    def _go_on(self) -> None:
        """It is our turn."""
        if self.listens_on and self._spent > FREE_S:
            self._end()  # a late answer is not worth that much of the loop
        self._take_rest(TURN_S)
        if self._rest:
            self._turns.wait(self._spent, self._go_on)
        elif self.closed:
            self._lost(self._cause)
        elif self._reader.stage != DONE or not self._is_awaited():  # if not, the request is still being sent
            self._resume_reading()

    def _take_rest(self, seconds: float) -> None:
        """Parse piece by piece for about so many `seconds`; drop what comes after the end of the answer."""
        began, took = time.thread_time(), 0.0
        while self._rest and took < seconds and self._reader.stage != DONE:
            size = HEAD_PIECE if self._reader.stage == WAITING else BODY_PIECE
            piece, self._rest = self._rest[:size], self._rest[size:]
            self._take(piece)
            if self._reader.stage != DONE:
                took = time.thread_time() - began
        self._spent += took
        if self._reader.stage == DONE:
            self._rest = b""

    def eof_received(self) -> bool:
        """The receiver sends no more. Returning True leaves it to us to close the socket: asyncio would first send what
        is unsent, and in 3.11 then end the transport even if `abort()` was called meanwhile. TLS closes itself.
        """
        unasked = self._reader.stage == DONE
        self._lost(None)
        if unasked and not self.encrypted:
            self.abort()  # no exchange is under way whose end would do it
        return not self.encrypted

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self.encrypted:
            self.read_the_rest(self, exc)
        self.reusable = False
        self._lost(exc)
        self._transport = None  # with TLS it refers to us: a cycle of 300 KiB would wait for the collector

    def read_the_rest(self, reader: asyncio.BufferedProtocol, exc: Exception) -> None:
        """A write failed, but an answer (an early 413, say) may lie unread in the kernel: asyncio would drop it.

        `reader` is the protocol that reads the socket: this, or TLS, which puts off what exceeds a record or two.
        """
        while self._reader.stage in (WAITING, RECEIVING) and len(self._rest) < 2 * BODY_CAP:
            try:
                nbytes = self.sock.recv_into(memoryview(reader.get_buffer(-1))[:READ_AT_ONCE])
            except OSError:
                return
            if nbytes:
                reader.buffer_updated(nbytes)
            elif isinstance(exc, BrokenPipeError):
                reader.eof_received()  # EPIPE means a write after the receiver's clean end, and nothing else
            else:
                return

    # --- how an exchange goes on, and how it ends

    def _take(self, data: bytes | memoryview) -> None:
        """Parse it, and end the exchange if the answer is now complete, invalid or long enough."""
        reader = self._reader
        reader.take(data)
        if self.listens_on and self.answer.status is not None:
            self._end()  # of a late one nothing else is asked, and it may have no end
        elif reader.failure:
            code, facts = reader.failure
            self._fail(code, **facts)
        elif reader.stage == DONE:
            self.reusable = reader.keeps_alive and not (reader.fault or self.answer.truncated or self._rest)
            self._end_when_sent()
        elif reader.fault:
            self._refuse()
        elif self.answer.truncated:
            self._end_when_sent()

    def _refuse(self) -> None:
        """Fail it, showing its first bytes (R11); if they trickle in, wait up to LINE_WAIT for the whole first line."""
        if self._reader.has_a_line:
            self._fail("bad_response", detail=self._reader.fault)
        else:
            self._loop.call_later(LINE_WAIT, self.expire)

    def _resume_reading(self) -> None:
        if not self.closed:
            self._source.resume_reading()

    def _lost(self, exc: Exception | None) -> None:
        """The connection ended; what that means depends on how far the exchange got."""
        if not self.closed:
            self.closed, self._cause = True, exc
        if self._rest:  # came before the end and is parsed first; `_go_on` then calls this again
            return
        if self._reader.stage == RECEIVING:
            if self._reader.ends_with_its_connection and (exc is None or self._refused_unread(exc)):
                self._end_when_sent()
            elif exc is None or isinstance(exc, OSError):
                self._fail("body_truncated", status=self.answer.status, received=self.answer.received)
            else:
                self._fail("internal_error", detail=f"{type(exc).__name__}: {exc}")
        elif self._reader.stage == WAITING:
            if isinstance(exc, ssl.SSLError):
                self._fail("tls_failed", detail=exc.reason or str(exc))
            elif isinstance(exc, OSError):
                self._fail("reset")
            elif exc is not None:
                self._fail("internal_error", detail=f"{type(exc).__name__}: {exc}")
            else:
                self._fail("closed_before_response", detail=self._reader.what_came())
        elif self._reader.stage == DONE and self._is_awaited():
            self._end()  # a NEW one is left to `_write`, which is still to come

    def _refused_unread(self, exc: Exception) -> bool:
        """Whether the reset only means that the receiver refused or redirected the request without reading all of it.

        The kernel resets a connection that is closed with bytes unread, so after an early 413 a reset says no more
        than a clean end would (R33). How much was read cannot be seen from here, but the attempt fails either way, and
        the status says why. A 2xx is not guessed to be complete: there a reset cuts the body (R06).
        """
        return isinstance(exc, ConnectionError) and (self.answer.status or 0) >= 300

    def _fail(self, code: str, **facts: object) -> None:
        answer, reader = self.answer, self._reader
        if reader.fault and reader.stage == WAITING:  # no matter what ended the wait for its first line
            code, facts = "bad_response", {"detail": reader.fault}
        answer.error = code
        answer.message = message(code, address=self.address, **facts)
        answer.phase = "receive" if answer.answered_at else "wait" if answer.sent_at else "send"
        if answer.status is None and code in ("bad_response", "headers_too_large"):
            answer.first = reader.first_bytes(self._rest)
        self._end()

    def _end_when_sent(self) -> None:
        """The answer is complete. A 2xx may have come before the receiver has read the whole request ("answer at once,
        work afterwards"): the rest is still sent, until the deadline or until the connection ends.
        """
        if not self._unsent or not 200 <= (self.answer.status or 0) < 300:
            self._end()
            return
        self._reader.stage = DONE
        self.answer.ended_at = time.perf_counter()
        self._source.pause_reading()

    def _end(self) -> None:
        self._reader.stage = DONE
        self.reusable = self.reusable and not self._unsent
        self.answer.ended_at = self.answer.ended_at or time.perf_counter()
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(self.answer)

    def _is_awaited(self) -> bool:
        return self.waiter is not None and not self.waiter.done()

    def interrupt(self) -> None:
        """The process stops: end whatever is under way."""
        if self._is_awaited():
            self._fail("interrupted")
        self.abort()
