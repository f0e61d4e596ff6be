"""The open console of the bench, a process of its own: follows the JSON stream and acknowledges every frame.

`python -m simulator.bench.viewer ws://…/ws/v1/stream`, the key in SIM_API_KEY. Says {"open": true} once connected.
{"expect": n, "endpoint": id} on standard input is answered by {"done": moment} when that many deliveries to that
endpoint have been told as succeeded. Each test delivery is told when first seen: {"test": id, "seen": moment}.
Moments are time.perf_counter(). Ends with its input, or with the connection.
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


def tell(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


class Viewer(WebSocketClientProtocol):
    """One stream: what has been told so far."""

    def __init__(self) -> None:
        super().__init__()
        self._tests: set[str] = set()
        self._endpoint, self._missing = "", 0

    def onOpen(self) -> None:
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, daemon=True).start()
        tell(open=True)

    def _listen(self) -> None:
        for line in sys.stdin:
            self._loop.call_soon_threadsafe(self._expect, json.loads(line))
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _expect(self, wanted: dict[str, Any]) -> None:
        self._endpoint, self._missing = wanted["endpoint"], wanted["expect"]
        tell(expecting=self._missing)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        seen = time.perf_counter()
        frame = json.loads(payload)
        self.sendMessage(json.dumps({"ack": frame["seq"]}).encode())  # type: ignore[no-untyped-call]
        for delivery in frame["deliveries"]:
            if delivery["trigger"] == "test":
                self._first_sight(delivery["id"], seen)
            elif delivery["status"] == "succeeded" and delivery["endpoint"]["id"] == self._endpoint:
                self._missing -= 1
                if not self._missing:
                    tell(done=seen)

    def _first_sight(self, delivery: str, seen: float) -> None:
        if delivery not in self._tests:
            self._tests.add(delivery)
            tell(test=delivery, seen=seen)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        print(f"the stream was closed: {reason or code}", file=sys.stderr)
        asyncio.get_running_loop().stop()


def main() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # where Autobahn looks for it
    key = os.environ["SIM_API_KEY"]
    headers = {"Authorization": f"Bearer {key}"}
    factory = WebSocketClientFactory(sys.argv[1], headers=headers, loop=loop)  # type: ignore[no-untyped-call]
    factory.protocol = Viewer
    loop.run_until_complete(loop.create_connection(factory, factory.host, factory.port))
    loop.run_forever()


if __name__ == "__main__":
    main()
