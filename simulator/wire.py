"""The httpx transport: one request in, one Outcome out. Besides the bench, the only importer of httpx; knows no row.

A connection belongs to an owner (an endpoint) and to exactly the URL it was judged for. One deadline covers an
attempt from dialling to the last byte; one timer serves all attempts.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, NamedTuple

import httpx

from .answer import Answer
from .connection import Connection
from .dialling import Guard, Resolve, Resolver, WireFailure, dial, getaddrinfo
from .failures import UNANSWERED, message
from .idle import Idle
from .outcome import LateAnswer, Outcome, record
from .targets import judge
from .tls import TlsContexts, shake_hands
from .turns import Turns

TICK = 0.05
RESTING_TICK = 0.5
"""While all connections are idle, which then may stay so by this much longer."""
READ_FIRST = 10
"""Rounds of the loop, each up to 48 KiB from every connection: all that is kept of a body, and a few turns more."""
ONE_WAY_S = 300.0
"""So long after a reused connection died its endpoint gets a new one per request; it may only have been a restart."""
LATE_SECONDS = 60.0
LATE_IN_ALL = 50
LATE_OF_ONE = 4


class Origin(NamedTuple):
    """The parts of a URL that sending needs, worked out once per URL."""

    scheme: str
    host: str
    port: int
    target: str


class Transport(httpx.AsyncBaseTransport):
    """Sends requests. One per process and event loop.

    `guard(address, port, path, scheme)` sees every address right before it is dialled (numeric, as dialled; the
    path still encoded, with its query) and returns a failure code to refuse it: `functools.partial(targets.judge, …)`.
    `resolve(host, port)` returns what `socket.getaddrinfo` does, and runs in a thread. `cafile` adds an authority.
    """

    def __init__(
        self, *, guard: Guard = judge, resolve: Resolve = getaddrinfo, cafile: str | None = None
    ) -> None:
        self._guard = guard
        self._resolver = Resolver(resolve)
        self._contexts = TlsContexts(cafile)
        self._turns = Turns()
        self._origins: dict[str, Origin] = {}
        self._idle = Idle()
        self._busy: set[Connection] = set()
        self._greeting: set[Connection] = set()  # in their TLS handshake
        self._late: Counter[Hashable] = Counter()
        self._one_way: dict[Hashable, float] = {}  # owners whose connections are used once, until when
        self._timer: asyncio.TimerHandle | None = None
        self._sweep_at = 0.0

    # --- the public face

    async def exchange(
        self,
        request: httpx.Request,
        *,
        owner: Hashable,
        timeout: float,
        tls_verify: bool = True,
        on_late: Callable[[LateAnswer], None] | None = None,
    ) -> Outcome:
        """Send one request and return how it went; `timeout` in seconds, from dialling to the last byte. No failure on
        the wire raises; cancelling closes the socket. `on_late` is given an answer that comes after the deadline."""
        body = await request.aread()
        headers, began = _completed(request, body), time.perf_counter()
        what = (request.method, str(request.url), headers, body)
        return await self._outcome(Sending(*what, owner, began, timeout, tls_verify, on_late, at_once=True))

    def post(
        self,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes,
        *,
        owner: Hashable,
        timeout: float,
        tls_verify: bool = True,
        at_once: bool = True,
        on_late: Callable[[LateAnswer], None] | None = None,
    ) -> Coroutine[Any, Any, Outcome]:
        """`exchange` of a POST whose headers are complete, without httpx's own objects, a quarter of its cost.

        Without `at_once` it leaves together with the others of its round of the loop.
        """
        began, what = time.perf_counter(), ("POST", url, headers, body)
        return self._outcome(Sending(*what, owner, began, timeout, tls_verify, on_late, at_once))

    async def _outcome(self, send: "Sending") -> Outcome:
        outcome = Outcome(time.time())
        try:
            await self._attempt(send, outcome)
        except WireFailure as failure:
            outcome.error, outcome.message, outcome.phase = failure.code, failure.message, failure.phase
            if outcome.repeated:
                outcome.message += f" {UNANSWERED}"
            if failure.code == "connect_timeout":
                self._listen_no_longer(outcome.remote_address)
        except Exception as error:  # noqa: BLE001  (the task's edge: every end has a code)
            detail = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            outcome.error, outcome.message = "internal_error", message("internal_error", detail=detail)
        outcome.duration_ms = (time.perf_counter() - send.began) * 1000
        return outcome

    async def probe(self, url: str, *, timeout: float, tls_verify: bool = True) -> Outcome:
        """Whether a receiver can be reached: look-up, connect and TLS only; no byte of HTTP is sent."""
        began = time.perf_counter()
        outcome = Outcome(time.time())
        try:
            origin = self._origin(url)
            connection = await self._connect(outcome, origin, tls_verify, began + timeout)
            connection.abort()
        except WireFailure as failure:
            outcome.error, outcome.message, outcome.phase = failure.code, failure.message, failure.phase
        except Exception as error:  # noqa: BLE001  (the task's edge: every end has a code)
            outcome.error, outcome.message = "internal_error", message("internal_error", detail=repr(error))
        outcome.duration_ms = (time.perf_counter() - began) * 1000
        return outcome

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """httpx's own interface, for `httpx.AsyncClient(transport=…)`; the Outcome is in `extensions`."""
        limits = request.extensions.get("timeout") or {}
        timeout = limits.get("read") or LATE_SECONDS * 2
        outcome = await self.exchange(request, owner=("httpx", request.url.netloc), timeout=timeout)
        if outcome.error not in (None, "status", "redirect"):
            raise _RAISED.get(outcome.error or "", httpx.RemoteProtocolError)(
                outcome.message, request=request
            )
        return httpx.Response(
            outcome.status_code or 0,
            headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in outcome.headers],
            stream=httpx.ByteStream(outcome.body),
            extensions={"reason_phrase": outcome.reason.encode("latin-1"), "outcome": outcome},
            request=request,
        )

    def forget(self, owner: Hashable) -> None:
        """The endpoint was edited or deleted: close its idle connections, and the busy ones after their exchange."""
        self._one_way.pop(owner, None)
        self._idle.forget(owner)
        for connection in self._busy:
            if connection.owner == owner:
                connection.key = None

    async def aclose(self) -> None:
        for connection in [*self._busy, *self._idle]:
            connection.interrupt()
        self._idle = Idle()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await asyncio.sleep(0)  # let the sockets close

    # --- one attempt. With 1,000 in flight, each coroutine more between the engine and the answer costs 3 µs of 50:
    # its frame is no longer in the cache when the answer comes.

    async def _attempt(self, send: "Sending", outcome: Outcome) -> None:
        origin = self._origin(send.url)
        payload = _payload(send, origin)
        connection = None if self._is_one_way(send.owner) else self._idle.take(send.key)
        reused = connection is not None
        if connection is None:
            connection = await self._connect(outcome, origin, send.tls_verify, send.deadline)
        try:
            answer = await self._begin(connection, send, payload)
            if reused and answer.error in ("reset", "closed_before_response") and connection.silent:
                # The receiver closed an idle connection just as we used it: no failure of this delivery.
                self._one_way[send.owner] = time.perf_counter() + ONE_WAY_S
                outcome.repeated = True
                self._leave(connection)
                connection = await self._connect(outcome, origin, send.tls_verify, send.deadline)
                answer = await self._begin(connection, send, payload)
        except BaseException:
            self._busy.discard(connection)
            connection.abort()
            raise
        self._leave(connection)
        outcome.remote_address = connection.address
        record(outcome, answer)

    def _begin(self, connection: Connection, send: "Sending", payload: bytes) -> asyncio.Future[Answer]:
        connection.owner, connection.key, connection.on_late = send.owner, send.key, send.on_late
        self._busy.add(connection)
        self._watch()
        return connection.start(
            payload,
            timeout=send.timeout,
            deadline=send.deadline,
            at_once=send.at_once,
            bodiless=send.method == "HEAD",
        )

    def _leave(self, connection: Connection) -> None:
        """Its exchange has ended: keep it for the next one, or close it; unless it waits for a late answer."""
        if connection.listens_on:
            return
        self._busy.discard(connection)
        if connection.reusable and connection.key is not None and not self._is_one_way(connection.owner):
            self._idle.put(connection)
        else:
            connection.abort()

    async def _connect(
        self, outcome: Outcome, origin: Origin, tls_verify: bool, deadline: float
    ) -> Connection:
        outcome.phases.clear()
        context = await self._contexts.of(tls_verify, deadline) if origin.scheme == "https" else None

        def judge_address(address: str, port: int) -> str | None:
            return self._guard(address, port, origin.target, origin.scheme)

        sock = await dial(
            outcome,
            origin.host,
            origin.port,
            deadline=deadline,
            resolver=self._resolver,
            judge=judge_address,
        )
        address = outcome.remote_address or ""
        connection = Connection(sock, address, self._turns, encrypted=context is not None)
        if not context:
            await asyncio.get_running_loop().create_connection(lambda: connection, sock=sock)
            return connection
        self._greeting.add(connection)
        self._watch()
        try:
            await shake_hands(connection, context, origin.host, outcome.phases, deadline)
        finally:
            self._greeting.discard(connection)
        return connection

    @property
    def in_use(self) -> int:
        """Connections with an attempt under way, not counting those still being dialled."""
        return len(self._busy) - self._late.total()

    def _is_one_way(self, owner: Hashable) -> bool:
        return self._one_way.get(owner, 0.0) > time.perf_counter()

    # --- the clock

    def _watch(self) -> None:
        if self._timer is None:
            self._sweep_in(TICK)
        elif self._sweep_at > time.perf_counter() + TICK:
            self._timer.cancel()
            self._sweep_in(TICK)

    def _sweep_in(self, seconds: float, rounds: int = READ_FIRST) -> None:
        self._sweep_at = time.perf_counter() + seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._sweep, rounds)

    def _sweep(self, rounds: int) -> None:
        """Every tick: end what is past its deadline, close what has been idle for long; stop when nothing is left.

        After the process stood still (Ctrl-Z, a suspended machine) the kernel may hold answers that came in time: for
        so many `rounds` the loop reads them first.
        """
        now = time.perf_counter()
        if rounds and (rounds < READ_FIRST or now > self._sweep_at + TICK):
            self._sweep_in(0, rounds - 1)
            return
        for connection in [c for c in self._busy if c.deadline <= now]:
            self._expire(connection, now)
        self._idle.make_way(self._busy, self._greeting, now)
        self._idle.close_old(now)
        self._timer = None
        if self._busy or self._greeting:
            self._sweep_in(TICK)
        elif self._idle:
            self._sweep_in(RESTING_TICK)

    def _expire(self, connection: Connection, now: float) -> None:
        owner, on_late, began = connection.owner, connection.on_late, connection.deadline - connection.timeout
        connection.expire()
        room = self._late[owner] < LATE_OF_ONE and self._late.total() < LATE_IN_ALL
        if on_late is None or not room or connection.answer.error != "no_response" or connection.listens_on:
            return

        def ended(waiter: asyncio.Future[Answer]) -> None:
            self._late[owner] -= 1
            if not self._late[owner]:
                del self._late[owner]
            self._busy.discard(connection)
            connection.abort()
            answer = waiter.result()
            if answer.status is not None:
                on_late(LateAnswer(answer.status, (answer.answered_at - began) * 1000))

        self._late[owner] += 1
        connection.listen_on(now + LATE_SECONDS).add_done_callback(ended)

    def _listen_no_longer(self, address: str | None) -> None:
        """It takes no more connections: perhaps it serves one to its end before the next, and waits for that of ours."""
        for connection in [c for c in self._busy if c.listens_on and c.address == address]:
            connection.expire()

    # --- what is worked out once per URL

    def _origin(self, url: str) -> Origin:
        origin = self._origins.get(url)
        if origin is None:
            if len(self._origins) > 10_000:
                self._origins.clear()
            origin = self._origins[url] = _origin(httpx.URL(url))
        return origin


class Sending(NamedTuple):
    """One attempt: what to send, where, for whom, and until when."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes
    owner: Hashable
    began: float
    timeout: float
    tls_verify: bool
    on_late: Callable[[LateAnswer], None] | None
    at_once: bool

    @property
    def deadline(self) -> float:
        return self.began + self.timeout

    @property
    def key(self) -> Hashable:
        return self.owner, self.url, self.tls_verify


def _origin(url: httpx.URL) -> Origin:
    host = url.raw_host.decode("ascii")
    port = url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
    if not host or not 0 < port < 65536:
        raise ValueError(f"{url} cannot be sent to")
    return Origin(url.scheme, host, port, url.raw_path.decode("ascii"))


def _completed(request: httpx.Request, body: bytes) -> list[tuple[str, str]]:
    """The request's headers as they are, plus those that HTTP needs."""
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
    # Transfer-Encoding only means that httpx did not know the length; now it is known.
    pairs = [pair for pair in pairs if pair[0].lower() != "transfer-encoding"]
    names = {name.lower() for name, _ in pairs}
    if "host" not in names:
        pairs.insert(0, ("Host", request.url.netloc.decode("ascii")))
    if "accept-encoding" not in names:
        pairs.append(("accept-encoding", "identity"))
    if "content-length" not in names:
        pairs.append(("Content-Length", str(len(body))))
    return pairs


def _payload(send: Sending, origin: Origin) -> bytes:
    """The request as bytes."""
    headers = send.headers
    lines = [f"{send.method} {origin.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers]
    head = "\r\n".join(lines)
    if head.count("\n") != len(headers) or head.count("\r") != len(headers) or "\0" in head:
        raise ValueError("a header contains a line break or NUL and cannot be sent")
    return head.encode("latin-1") + b"\r\n\r\n" + send.body


_NOT_CONNECTED = (
    *("dns_failed", "refused", "unreachable", "blocked_target", "blocked_self"),
    *("tls_untrusted", "tls_hostname", "tls_expired", "tls_failed"),
)
_RAISED: dict[str, type[httpx.TransportError]] = {
    **dict.fromkeys(_NOT_CONNECTED, httpx.ConnectError),
    **dict.fromkeys(("dns_timeout", "connect_timeout", "tls_timeout"), httpx.ConnectTimeout),
    **dict.fromkeys(("no_response", "incomplete_response"), httpx.ReadTimeout),
    **dict.fromkeys(("reset", "body_truncated"), httpx.ReadError),
    "send_timeout": httpx.WriteTimeout,
}
