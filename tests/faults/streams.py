"""Programs on the JSON stream of a server under test: one that keeps count over kills, some that never read."""

import json
import threading
import time
from contextlib import ExitStack
from typing import Self

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection

from ..serving import Server


class Follower:
    """Reads everything, and comes back after every kill with the last seq it has."""

    def __init__(self, server: Server):
        self.states: dict[str, str] = {}  # the last status told of each delivery
        self.faults: list[str] = []
        self._server, self._seq = server, 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(20)

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                with opened(self._server) as stream:
                    stream.send(json.dumps({"since": self._seq}))
                    self._listen(stream)
            except (OSError, WebSocketException):
                time.sleep(0.05)  # killed; it comes back

    def _listen(self, stream: ClientConnection) -> None:
        while not self._stopping.is_set():
            try:
                frame = json.loads(stream.recv(timeout=0.2))
            except TimeoutError:
                continue
            if frame["seq"] <= self._seq:
                self.faults.append(f"seq {frame['seq']} after {self._seq}")
            self._seq = frame["seq"]
            self.states |= {delivery["id"]: delivery["status"] for delivery in frame["deliveries"]}
            stream.send(json.dumps({"ack": self._seq}))


def deaf(server: Server, count: int) -> ExitStack:
    """Streams that are opened and never acknowledge anything; closing the stack closes them."""
    held = ExitStack()
    for _ in range(count):
        held.enter_context(opened(server)).send(json.dumps({"since": 0}))
    return held


def opened(server: Server) -> ClientConnection:
    key = {"Authorization": f"Bearer {server.key}"}
    return server.socket("/ws/v1/stream", additional_headers=key, open_timeout=5, close_timeout=0.5)
