"""The open consoles of the bench, a process of its own: they follow the JSON stream and acknowledge every frame.

`python -m simulator.bench.viewer ws://…/ws/v1/stream 1`, the key in SIM_API_KEY. Says {"open": 1} once all are
connected. {"expect": n, "endpoint": id} on standard input is answered by {"done": moment} when each has been told of
that many deliveries to that endpoint as succeeded; {"missed": true} by how many of them the consoles were not told.
Each test delivery is told when first seen: {"test": id, "seen": moment}.
Moments are time.perf_counter(). Ends with its input, or with a connection.
"""

import asyncio
import json
import os
import sys
import threading
import time
from typing import Any

# Daphne stands on Autobahn, so a websocket client is already there; this is its asyncio side.
from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol

from .processes import tell


class Viewers:
    """All of them, and how many deliveries each has yet to be told of."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.endpoint = ""
        self.missing: dict[Viewer, int] = {}

    def opened(self, one: "Viewer") -> None:
        self.missing[one] = 0
        if len(self.missing) == self._count:
            tell(open=self._count)

    def heard(self, said: dict[str, Any]) -> None:
        if "missed" in said:
            tell(missed=sum(self.missing.values()))
        else:
            self.endpoint, self.missing = said["endpoint"], dict.fromkeys(self.missing, said["expect"])
            tell(expecting=said["expect"])

    def told(self, one: "Viewer", seen: float) -> None:
        self.missing[one] -= 1
        if not self.missing[one] and not any(self.missing.values()):
            tell(done=seen)


class Viewer(WebSocketClientProtocol):
    """One stream."""

    def __init__(self, all: Viewers) -> None:
        super().__init__()
        self._all = all
        self._tests: set[str] = set()

    def onOpen(self) -> None:
        self._all.opened(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        seen = time.perf_counter()
        frame = json.loads(payload)
        self.sendMessage(json.dumps({"ack": frame["seq"]}).encode())  # type: ignore[no-untyped-call]
        for delivery in frame["deliveries"]:
            if delivery["trigger"] == "test":
                self._first_sight(delivery["id"], seen)
            elif delivery["status"] == "succeeded" and delivery["endpoint"]["id"] == self._all.endpoint:
                self._all.told(self, seen)

    def _first_sight(self, delivery: str, seen: float) -> None:
        if delivery not in self._tests:
            self._tests.add(delivery)
            tell(test=delivery, seen=seen)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        print(f"the stream was closed: {reason or code}", file=sys.stderr)
        asyncio.get_running_loop().stop()


def _listen(loop: asyncio.AbstractEventLoop, viewers: Viewers) -> None:
    for line in sys.stdin:
        loop.call_soon_threadsafe(viewers.heard, json.loads(line))
    loop.call_soon_threadsafe(loop.stop)


def main() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # where Autobahn looks for it
    viewers = Viewers(count := int(sys.argv[2]))
    threading.Thread(target=_listen, args=(loop, viewers), daemon=True).start()
    key = os.environ["SIM_API_KEY"]
    headers = {"Authorization": f"Bearer {key}"}
    factory = WebSocketClientFactory(sys.argv[1], headers=headers, loop=loop)  # type: ignore[no-untyped-call]
    factory.protocol = lambda: Viewer(viewers)  # type: ignore[assignment]  # it is only called
    for _ in range(count):
        loop.run_until_complete(loop.create_connection(factory, factory.host, factory.port))
    loop.run_forever()


if __name__ == "__main__":
    main()
