"""From a host name to a connected socket: look-up, judgement of the address, connect. Knows no TLS, no HTTP."""

import asyncio
import contextlib
import errno
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from .failures import message
from .outcome import Outcome
from .targets import literal

STEP_LIMIT = 5.0
"""Seconds that look-up, connect and TLS may take each; the attempt's deadline may come earlier."""

Candidate = tuple[int, tuple[Any, ...]]  # address family, socket address
Resolve = Callable[[str, int], list[tuple[Any, ...]]]
Guard = Callable[[str, int, str, str], str | None]


class WireFailure(Exception):
    """An attempt that ended before an answer: the code, the words, and the phase it ended in."""

    def __init__(self, code: str, phase: str | None, **facts: object) -> None:
        super().__init__(code)
        self.code = code
        self.phase = phase
        self.address = facts.get("address")
        self.message = message(code, **facts)


def seconds(value: float) -> str:
    return f"{max(value, 0):.3g} s"


def shown(sockaddr: tuple[Any, ...]) -> str:
    host, port = sockaddr[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def getaddrinfo(host: str, port: int) -> list[tuple[Any, ...]]:
    # As bytes: a str would go through Python's own IDNA codec, and the host is ASCII already.
    return list(socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM))


class Resolver:
    """Look-ups in threads of their own, so that hung ones delay neither the loop nor each other.

    At most `threads` at once and `per_host` for one name; daemon threads, because a look-up cannot be ended
    and must not hold up the end of the process.
    """

    def __init__(self, resolve: Resolve = getaddrinfo, *, threads: int = 128, per_host: int = 4) -> None:
        self._resolve = resolve
        self._per_host = per_host
        self._threads = asyncio.Semaphore(threads)
        self._hosts: weakref.WeakValueDictionary[str, asyncio.Semaphore] = weakref.WeakValueDictionary()

    async def candidates(self, host: str, port: int) -> list[Candidate]:
        """Addresses in the order they should be tried. Raises OSError as `getaddrinfo` does."""
        slot = self._hosts.get(host)
        if slot is None:
            slot = self._hosts[host] = asyncio.Semaphore(self._per_host)
        await slot.acquire()
        try:
            await self._threads.acquire()
        except BaseException:
            slot.release()
            raise
        found = await self._in_thread(host, port, slot)
        return list(dict.fromkeys((info[0], tuple(info[4])) for info in found))

    def _in_thread(
        self, host: str, port: int, slot: asyncio.Semaphore
    ) -> asyncio.Future[list[tuple[Any, ...]]]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[tuple[Any, ...]]] = loop.create_future()

        def give_back() -> None:
            slot.release()
            self._threads.release()

        def done(found: list[tuple[Any, ...]], error: Exception | None) -> None:
            give_back()  # not before: the thread was busy until now, even if nobody waits for it any more
            if not answer.done():
                answer.set_exception(error) if error else answer.set_result(found)

        def look_up() -> None:
            found, error = [], None
            try:
                found = self._resolve(host, port)
            except Exception as caught:  # noqa: BLE001  (whatever it is, the caller gets it)
                error = caught
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(done, found, error)

        try:
            threading.Thread(target=look_up, name=f"look-up of {host}", daemon=True).start()
        except RuntimeError:  # this process may have no more threads now
            give_back()
            raise
        return answer


def known_candidates(host: str, port: int) -> list[Candidate] | None:
    """Addresses that need no look-up: literals in any spelling, and localhost in both families."""
    name = host.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET6, ("::1", port, 0, 0))]
    address = literal(host)
    if address is None:
        return None
    if address.version == 4:
        return [(socket.AF_INET, (str(address), port))]
    return [(socket.AF_INET6, (str(address), port, 0, 0))]


async def dial(
    outcome: Outcome,
    host: str,
    port: int,
    *,
    deadline: float,
    resolver: Resolver,
    judge: Callable[[str, int], str | None],
) -> socket.socket:
    """A connected socket to the first address that is allowed and answers, or WireFailure.

    They are tried one after the other, each with an equal share of the time left, which its failure names: nobody
    knows beforehand that the others will refuse at once. `localhost` has two.
    `deadline` is a `time.perf_counter()` reading. `judge` sees each address right before it is dialled. `outcome` is given
    phases and address as they become known, so that a failure still shows them.
    """
    candidates = known_candidates(host, port)
    if candidates is None:
        candidates = await _looked_up(outcome, host, port, deadline, resolver)
    began = time.perf_counter()
    worst: WireFailure | None = None
    try:
        for tried, (family, sockaddr) in enumerate(candidates):
            try:
                limit = min(began + STEP_LIMIT, deadline) - time.perf_counter()
                return await _connected(outcome, family, sockaddr, limit / (len(candidates) - tried), judge)
            except WireFailure as failure:
                worst = _more_telling(worst, failure)
    finally:
        outcome.phases["connect"] = (time.perf_counter() - began) * 1000
    assert worst is not None
    if worst.code in ("blocked_self", "blocked_target"):
        del outcome.phases["connect"]  # there was none
    outcome.remote_address = str(worst.address)
    raise worst


async def _looked_up(
    outcome: Outcome, host: str, port: int, deadline: float, resolver: Resolver
) -> list[Candidate]:
    began = time.perf_counter()
    limit = min(STEP_LIMIT, deadline - began)
    try:
        async with asyncio.timeout(limit):
            candidates = await resolver.candidates(host, port)
    except TimeoutError:
        raise WireFailure("dns_timeout", "dns", host=host, seconds=seconds(limit)) from None
    except (OSError, UnicodeError) as error:
        detail = getattr(error, "strerror", None) or str(error)
        raise WireFailure("dns_failed", "dns", host=host, detail=detail) from error
    finally:
        outcome.phases["dns"] = (time.perf_counter() - began) * 1000
    if not candidates:
        raise WireFailure("dns_failed", "dns", host=host, detail="it has no address")
    return candidates


async def _connected(
    outcome: Outcome,
    family: int,
    sockaddr: tuple[Any, ...],
    limit: float,
    judge: Callable[[str, int], str | None],
) -> socket.socket:
    address = outcome.remote_address = shown(sockaddr)
    verdict = judge(sockaddr[0], sockaddr[1])
    if verdict is not None:
        raise WireFailure(verdict, "connect", address=address, detail="it is outside the allowed networks")
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _named(error, address) from error
    try:
        sock.setblocking(False)
        _keep_little_unsent(sock)
        async with asyncio.timeout(limit):
            await asyncio.get_running_loop().sock_connect(sock, sockaddr)
    except BaseException as error:
        sock.close()
        if isinstance(error, TimeoutError) and error.errno is None:  # ours, not the kernel's own ETIMEDOUT
            raise WireFailure("connect_timeout", "connect", address=address, seconds=seconds(limit)) from None
        if isinstance(error, OSError):
            raise _named(error, address) from error
        raise
    return sock


def _keep_little_unsent(sock: socket.socket) -> None:
    """Let the kernel take little more than it can send: its buffer would hide a receiver that stopped reading."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 16 * 1024)


def _named(error: OSError, address: str) -> WireFailure:
    detail = error.strerror or type(error).__name__
    if error.errno == errno.ECONNREFUSED:
        return WireFailure("refused", "connect", address=address)
    if error.errno == errno.ETIMEDOUT:
        return WireFailure("connect_timeout", "connect", address=address, seconds="the system's limit")
    if error.errno in (errno.ECONNRESET, errno.ECONNABORTED):
        return WireFailure("reset", "connect", address=address)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return WireFailure("internal_error", "connect", detail="no free file descriptors (ulimit -n)")
    return WireFailure("unreachable", "connect", address=address, detail=detail)


_TELLS = {"unreachable": 1, "blocked_target": 2, "blocked_self": 3}


def _more_telling(first: WireFailure | None, second: WireFailure) -> WireFailure:
    """Of two addresses that failed, the one worth showing: a missing IPv6 route says least."""
    if first is None or _TELLS.get(second.code, 4) > _TELLS.get(first.code, 4):
        return second
    return first
