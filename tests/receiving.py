"""A real HTTP receiver for tests: plain asyncio in a thread of its own, so that sync and async tests can use it.

It parses by hand and keeps the bytes as they came: what it says was sent does not depend on the code under test.
"""

import asyncio
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from .waiting import until, wait_until


@dataclass(frozen=True)
class Answer:
    """What to answer once; `delay` in seconds before the first byte."""

    status: int = 200
    body: bytes = b'{"received":true}'
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    delay: float = 0.0

    def encoded(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Scripted", f"content-length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


@dataclass(frozen=True)
class Received:
    """One request as it came: `head` and `body` are the very bytes, `pairs` the headers in order and case."""

    method: str
    target: str
    pairs: list[tuple[str, str]]
    head: bytes
    body: bytes
    at: float = field(default_factory=time.time)

    @property
    def headers(self) -> dict[str, str]:
        """By lower-case name; of a repeated header the last."""
        return {name.lower(): value for name, value in self.pairs}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Listens on a free loopback port. Answers 200 `{"received":true}` until told otherwise."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.delay = 0.0  # seconds before every answer
        self._script: list[int | bytes | Answer] = [200]
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)
        self._started = threading.Event()
        self._talks: set[asyncio.Task[None]] = set()
        self.most_open = 0  # connections at one time

    def start(self) -> "Receiver":
        self._thread.start()
        assert self._started.wait(5)
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhook"

    def answer(self, *answers: int | bytes | Answer) -> None:
        """Answer the next requests like this, one after the other; the last one goes on for ever.

        A number is a status, an Answer a whole answer, bytes are written as they are before the connection ends.
        """
        with self._lock:
            self._script = list(answers)

    def wait_for(self, n: int, within: float = 5.0) -> list[Received]:
        """The first `n` requests, as soon as there are that many. Blocks: not for a loop that has to send them."""
        wait_until(lambda: len(self.requests) >= n, within, f"{n} requests at the receiver")
        return self.requests[:n]

    async def received(self, n: int, within: float = 5.0) -> list[Received]:
        """`wait_for` for async tests."""
        await until(lambda: len(self.requests) >= n, within, f"{n} requests at the receiver")
        return self.requests[:n]

    def stop(self) -> None:
        """Close the port and every connection. Sends from then on are refused."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stopping.wait()
        await stop_accepting(server)
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await server.wait_closed()
        await some_turns()  # one that was just closed takes a few to end

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._talks.add(task)
        self.most_open = max(self.most_open, len(self._talks))
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the sender went away, or the test is over
        finally:
            self._talks.discard(task)
            writer.transport.abort() if self._stopping.is_set() else writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read one request and answer it; False when the connection ends with it."""
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, pairs = _parsed(head)
        headers = {name.lower(): value for name, value in pairs}
        body = await _body(reader, headers)
        with self._lock:
            self.requests.append(Received(method, target, pairs, head, body))
            answer = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(answer, int):
            answer = Answer(answer)
        delay = self.delay + (answer.delay if isinstance(answer, Answer) else 0)
        if delay:
            await asyncio.sleep(delay)
        writer.write(answer.encoded() if isinstance(answer, Answer) else answer)
        await writer.drain()
        return isinstance(answer, Answer) and headers.get("connection", "").lower() != "close"


async def stop_accepting(server: asyncio.Server) -> None:
    """Close the port when what was accepted has begun: asyncio would lose those connections without closing them."""
    for listener in server.sockets:
        asyncio.get_running_loop().remove_reader(listener.fileno())
    await some_turns()
    server.close()


async def some_turns() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


def _parsed(head: bytes) -> tuple[str, str, list[tuple[str, str]]]:
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = [line.split(":", 1) for line in lines]
    return method, target, [(name, value.strip()) for name, value in pairs]


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    parts = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)
