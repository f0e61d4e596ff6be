"""The receiver of the bench, a process of its own: answers 200 as fast as it can. Knows nothing of what it receives.

`python -m simulator.bench.sink` listens on two free loopback ports. The bulk port counts: every line on standard
input is answered by {"count", "first", "last"} since the line before. The timed port tells each request at once as
{"delivery", "received"}. Moments are time.perf_counter(), one clock for all processes of a machine. Ends with its input.
"""

import asyncio
import json
import re
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_DELIVERY = re.compile(rb"\r\nx-ultrareach-delivery-id: *(\S+)", re.IGNORECASE)
_ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 17\r\n\r\n" + b'{"received":true}'
)


def tell(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


class Tally:
    """What the bulk port has received since it was last asked."""

    def __init__(self) -> None:
        self._count, self._first, self._last = 0, 0.0, 0.0

    def add(self, head: bytes) -> None:
        self._count += 1
        self._last = time.perf_counter()
        if self._count == 1:
            self._first = self._last

    def report(self) -> None:
        tell(count=self._count, first=self._first, last=self._last)
        self._count = 0


def announce(head: bytes) -> None:
    received = time.perf_counter()
    found = _DELIVERY.search(head)
    tell(delivery=found[1].decode() if found else None, received=received)


class Sink(asyncio.Protocol):
    """One connection: requests with a Content-Length, one after the other. `heard(head)` at the end of each."""

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self._heard = heard
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
            self._transport.write(_ANSWER)


def _answer_lines(loop: asyncio.AbstractEventLoop, tally: Tally) -> None:
    for _ in sys.stdin:
        loop.call_soon_threadsafe(tally.report)
    loop.call_soon_threadsafe(loop.stop)


def main() -> None:
    loop = asyncio.new_event_loop()
    tally = Tally()
    ports = []
    for heard in (tally.add, announce):
        server = loop.run_until_complete(loop.create_server(partial(Sink, heard), "127.0.0.1", 0))
        ports.append(server.sockets[0].getsockname()[1])
    tell(bulk=ports[0], timed=ports[1])
    threading.Thread(target=_answer_lines, args=(loop, tally), daemon=True).start()
    loop.run_forever()


if __name__ == "__main__":
    main()
