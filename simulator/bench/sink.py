"""The receiver of the bench, a process of its own: answers as fast as it can. Knows nothing of what it receives.

`python -m simulator.bench.sink` listens on four free loopback ports. `bulk` and `slow`, which takes SLOW_S to answer,
count: every line on standard input is answered by {"count", "last"} since the line before. `timed` and
`failing`, which answers 503, tell each request at once as {"delivery", "received"}. Moments are time.perf_counter(),
one clock for all processes of a machine. Ends with its input.
"""

import asyncio
import re
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

from .processes import tell

SLOW_S = 0.05
MANY = 2000  # connections that may come at once
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_DELIVERY = re.compile(rb"\r\nx-ultrareach-delivery-id: *(\S+)", re.IGNORECASE)
_REST = b'\r\ncontent-type: application/json\r\ncontent-length: 17\r\n\r\n{"received":true}'
_OK, _FAILED = b"HTTP/1.1 200 OK" + _REST, b"HTTP/1.1 503 Service Unavailable" + _REST


class Tally:
    """What the bulk port has received since it was last asked."""

    def __init__(self) -> None:
        self._count, self._last = 0, 0.0

    def add(self, head: bytes) -> None:
        self._count += 1
        self._last = time.perf_counter()

    def report(self) -> None:
        tell(count=self._count, last=self._last)
        self._count = 0


def announce(head: bytes) -> None:
    received = time.perf_counter()
    found = _DELIVERY.search(head)
    tell(delivery=found[1].decode() if found else None, received=received)


class Sink(asyncio.Protocol):
    """One connection: requests with a Content-Length, one after the other. `heard(head)` at the end of each."""

    def __init__(self, heard: Callable[[bytes], None], answer: bytes = _OK, after: float = 0.0) -> None:
        self._heard, self._answer, self._after = heard, answer, after
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            self._buffer = self._buffer[whole:]
            self._heard(head)
            if self._after:
                asyncio.get_running_loop().call_later(self._after, self._transport.write, self._answer)
            else:
                self._transport.write(self._answer)


def _answer_lines(loop: asyncio.AbstractEventLoop, tally: Tally) -> None:
    for _ in sys.stdin:
        loop.call_soon_threadsafe(tally.report)
    loop.call_soon_threadsafe(loop.stop)


def main() -> None:
    loop = asyncio.new_event_loop()
    tally = Tally()
    ports = {}
    for name, heard, answer, after in (
        ("bulk", tally.add, _OK, 0.0),
        ("slow", tally.add, _OK, SLOW_S),
        ("timed", announce, _OK, 0.0),
        ("failing", announce, _FAILED, 0.0),
    ):
        connection = partial(Sink, heard, answer, after)
        server = loop.run_until_complete(loop.create_server(connection, "127.0.0.1", 0, backlog=MANY))
        ports[name] = server.sockets[0].getsockname()[1]
    tell(**ports)
    threading.Thread(target=_answer_lines, args=(loop, tally), daemon=True).start()
    loop.run_forever()


if __name__ == "__main__":
    main()
