"""Looks at a running server many times a second, from a thread: how long it takes to answer."""

import http.client
import threading
import time
from typing import Self

from ..serving import Server


class Probe:
    """`with Probe(server, "/healthz") as probe:` asks every 20 ms on a kept connection; then `probe.p95`, `probe.worst`."""

    def __init__(self, server: Server, path: str = "/healthz", every: float = 0.02):
        self.seconds: list[float] = []
        # The first answer after one that was broken: a server that starts listens before its loop runs.
        self.starts: list[float] = []
        self.statuses: set[int] = set()
        self.broken = 0  # requests that got no answer
        self._path, self._every = path, every
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="probe")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(25)
        self._connection.close()

    def _ask(self) -> None:
        away = False
        while not self._stopping.wait(self._every):
            began = time.perf_counter()
            try:
                self._connection.request("GET", self._path)
                answer = self._connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                self.broken += 1  # it was killed, or has not started yet
                self._connection.close()
                away = True
                continue
            (self.starts if away else self.seconds).append(time.perf_counter() - began)
            away = False
            self.statuses.add(answer.status)

    @property
    def p95(self) -> float:
        return sorted(self.seconds)[int(0.95 * len(self.seconds))]

    @property
    def worst(self) -> float:
        return max(self.seconds)
