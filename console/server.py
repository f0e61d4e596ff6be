"""Daphne as this tool runs it: on sockets that are already bound, with bodies counted while they arrive.

Knows limits and the shutdown; nothing about pages, sockets or deliveries.
"""

import asyncio
import logging
import re
import resource
import socket
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.server import Server as Daphne
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import defer, reactor
from twisted.logger import globalLogPublisher

from . import security
from .watchdog import Watchdog

MAX_BODY = 1024 * 1024 + 64 * 1024  # the API's 1 MiB, and what a form adds around it
MAX_DISCARDED = 64 * 1024 * 1024
MAX_UNSENT = 1024 * 1024  # of an answer, beyond what the kernel takes; more than any page has
GOODBYE_S = 0.5  # for pages and sockets to end, after the engine has
LINGER_S = 2  # how long a refused client may pause before it is cut off
MAX_FRAME, MAX_SENT_FRAME = 16 * 1024, 256 * 1024
LAST_DATA_OPCODE = 7  # beyond are ping, pong and close
CLOSING_S = 5  # for a client's answer to our goodbye
EMPTY_A_SECOND = 50  # pings and the like of a client, before it counts as flooding
QUIET_S = 60  # without a refused connection, before the next one is worth a line again
GOING_AWAY, VIOLATION, TOO_BIG = 1001, 1008, 1009
_ABSOLUTE = re.compile(rb"http://([^/?#]*)(.*)", re.IGNORECASE)
log = logging.getLogger(__name__)
Step = Callable[[], Coroutine[Any, Any, None]]


class Request(WebRequest):
    """A request whose body can be refused while it arrives: Daphne calls the application only after the last byte."""

    _size = 0
    _refused = False

    def __init__(self, *args: Any, **options: Any):
        # Django reads the forms: Twisted would refuse some by itself, and block the loop with others.
        super().__init__(*args, parsePOSTFormSubmission=False, **options)
        self._room = asyncio.Event()
        self._room.set()

    def handleContentChunk(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= MAX_BODY:
            super().handleContentChunk(data)
        elif not self._refused:
            self._refuse()
        elif self._size > MAX_DISCARDED:
            self.channel.loseConnection()

    def gotLength(self, length: int | None) -> None:
        self._take_absolute()
        too_long = length is not None and length > MAX_BODY
        super().gotLength(0 if too_long else length)
        if too_long:
            self._refuse()

    def _take_absolute(self) -> None:
        """The host of an absolute address, as it is sent to proxies, replaces the Host header (RFC 9112 §3.2.2)."""
        absolute = _ABSOLUTE.fullmatch(self.channel._path)
        if absolute and len(self.requestHeaders.getRawHeaders(b"host", ())) == 1:
            host, rest = absolute.groups()
            self.requestHeaders.setRawHeaders(b"host", [host])
            self.channel._path = rest if rest.startswith(b"/") else b"/" + rest

    def _refuse(self) -> None:
        """Answer 413 at once. Read and drop the rest: a client that reads only after writing gets the answer, too."""
        self._refused = True
        self.content.truncate(0)
        self.channel.setTimeout(LINGER_S)
        self.channel.transport.write(security.raw_answer(413, self.channel._path.decode("latin-1")))

    def process(self) -> Any:
        if self._refused:
            self.channel.loseConnection()
            return None
        return super().process()

    def handle_reply(self, message: dict[str, Any]) -> None:
        if self.method == b"HEAD":  # Twisted leaves out only the first piece of a body
            message = {**message, "body": b""}
        if message.get("more_body"):
            self._mind_the_client()
        elif self.producer:
            self.unregisterProducer()
        super().handle_reply(message)

    def _mind_the_client(self) -> None:
        """What he does not take is kept here: of an answer of many pieces no more than a few may wait for him."""
        if not self.producer and self.channel is not None:
            self.channel.transport.bufferSize = MAX_UNSENT
            self.registerProducer(self, True)

    async def has_room(self) -> None:
        """For the next piece; also when the client is gone, and it does not matter any more."""
        await self._room.wait()

    def pauseProducing(self) -> None:
        self._room.clear()

    def resumeProducing(self) -> None:
        self._room.set()

    stopProducing = resumeProducing

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Daphne's own errors, as JSON or plain text instead of its page."""
        path = (self.path or b"/").decode("latin-1")
        if path.startswith(security.API) and status == 500:
            status = 503  # the API never answers 500
        head, content = security.answer(status, path)
        self.handle_reply({"type": "http.response.start", "status": status, "headers": head})
        self.handle_reply({"type": "http.response.body", "body": content})


class Socket(WebSocketProtocol):
    """A socket that accepts only short frames; Autobahn's own limit would apply to sent frames as well."""

    _second = _empty = 0

    def onFrameBegin(self) -> None:
        """Pings, and frames with nothing in them, do not reach the application, which counts the others: who sends
        pings without end and reads no pong would have them all kept for him."""
        if self.current_frame.opcode > LAST_DATA_OPCODE or not self.current_frame.length:
            second = int(time.monotonic())
            self._empty = self._empty + 1 if second == self._second else 1
            self._second = second
            if self._empty > EMPTY_A_SECOND and self.state == self.STATE_OPEN:
                self.sendCloseFrame(code=VIOLATION)
        super().onFrameBegin()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if len(payload) > MAX_FRAME:
            self.sendCloseFrame(code=TOO_BIG)
        elif self.state == self.STATE_OPEN:  # frames that come after our close are dropped
            super().onMessage(payload, isBinary)

    def serverClose(self, code: int | None = None) -> None:
        """Also with 1008 or 1013, which Autobahn's usual close does not allow an application."""
        self.sendCloseFrame(code=code or 1000)


class Factory(HTTPFactory):
    def buildProtocol(self, addr: Any) -> Any:
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = Request
        return protocol


class Refusals:
    """Says once, not for each, that connections are closed as soon as they come. Twisted does so when no file is left to
    take them with, and tells only its own log, which nobody sees."""

    _last = -QUIET_S

    def __call__(self, event: dict[str, Any]) -> None:
        if (
            event.get("log_namespace") != "twisted.internet.tcp.Port"
            or event.get("acceptError", "EMFILE") != "EMFILE"
        ):
            return
        before, self._last = self._last, time.monotonic()
        if self._last - before > QUIET_S:
            log.warning(
                "New connections are closed at once: the limit of open files (ulimit -n %s) leaves none for them. "
                "Close pages, streams and other clients that are open here, or start again with a higher one.",
                resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            )


class Server(Daphne):
    """Serves `application` until SIGTERM or Ctrl-C. `started` runs on the loop first, `stopping` before the end."""

    def __init__(self, application: Any, sockets: list[socket.socket], *, started: Step, stopping: Step):
        super().__init__(
            application,
            endpoints=["adopted"],
            ready_callable=self._ready,
            server_name="",
            http_timeout=None,
            websocket_timeout=-1,
            websocket_max_message_size=MAX_SENT_FRAME,
            websocket_max_frame_size=MAX_SENT_FRAME,
            application_close_timeout=15,  # a check whose client has left takes its ten seconds
        )
        self.endpoints = []  # Daphne would bind its own; ours are bound already, so that the port is known and kept
        self._sockets, self._started, self._stopping = sockets, started, stopping
        self.failure: BaseException | None = None

    def _ready(self) -> None:
        self.ws_factory.protocol = Socket
        # A client that sends too much is told so (1009), not cut off, with time to read it while it still sends.
        self.ws_factory.setProtocolOptions(failByDrop=False, closeHandshakeTimeout=CLOSING_S)
        factory = Factory(self)
        for bound in self._sockets:
            bound.setblocking(False)
            reactor.adoptStreamPort(bound.fileno(), bound.family, factory)
            bound.close()  # the reactor has its own copy
        self._loop = reactor._asyncioEventloop
        Watchdog(self._loop)
        globalLogPublisher.addObserver(Refusals())
        self._start = self._loop.create_task(self._started())
        self._start.add_done_callback(self._begun)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Daphne's own returns at once, however much waits for the client."""
        await super().handle_reply(protocol, message)
        if isinstance(protocol, Request):
            await protocol.has_room()

    def _begun(self, start: "asyncio.Task[None]") -> None:
        self.failure = None if start.cancelled() else start.exception()
        if self.failure:
            reactor.stop()

    def kill_all_applications(self) -> "defer.Deferred[None]":
        """Called by Daphne before the reactor ends: first the engine drains, then sockets close."""
        ending = self._loop.create_task(self._end())
        return defer.Deferred.fromFuture(ending).addErrback(lambda why: log.error("%s", why.getTraceback()))

    async def _end(self) -> None:
        if self._start.done() and not self.failure:
            await self._stopping()
        self._start.cancel()
        for client in self.connections:
            if isinstance(client, Socket) and client.state == client.STATE_OPEN:
                client.sendCloseFrame(code=GOING_AWAY)  # otherwise it would look like a broken connection
        # A request whose head is still arriving has no application yet: Daphne's own code would fail on it.
        running = {
            client: known["application_instance"]
            for client, known in self.connections.items()
            if "application_instance" in known
        }
        await _ended(one for client, one in running.items() if not isinstance(client, Socket))
        for application in running.values():
            application.cancel()
        await _ended(running.values())


async def _ended(applications: "Iterable[asyncio.Future[Any]]") -> None:
    """Wait for them, but only a moment: requests released by the engine's end, such as a check, still get an answer."""
    if waited_for := list(applications):
        await asyncio.wait(waited_for, timeout=GOODBYE_S)
