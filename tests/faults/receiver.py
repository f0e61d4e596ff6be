"""A receiver that behaves as the path says (behaviours.py). Plain asyncio; keeps the bytes of every request.

`python -m tests.faults.receiver` runs it by itself and prints its port.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qs, urlsplit

from ..receiving import some_turns, stop_accepting
from . import framing  # noqa: F401  (its behaviours)
from .behaviours import BEHAVIOURS, BOMBS, CLOSES, MIB, UNREAD, Visit, gzipped_zeros


@dataclass
class Seen:
    """One request: `raw` are its very bytes, head and body."""

    raw: bytes
    target: str
    head: bytes
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
        }


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(
    talk: Talk, *, host: str = "127.0.0.1", ssl: object = None, talks: set[asyncio.Task[None]] | None = None
) -> AsyncIterator[int]:
    """A port on which `talk` serves each connection; at the end no connection and no task is left."""
    talks = set() if talks is None else talks

    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await talk(reader, writer)
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(whole(reader, writer))
        talks.add(task)
        task.add_done_callback(lambda done: talks.discard(done))
        writers.append(writer)

    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(accept, host, 0, backlog=1024, limit=2 * MIB, ssl=ssl)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        await stop_accepting(server)
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        await some_turns()  # the sockets close


@dataclass
class FaultReceiver:
    """Listens on a free loopback port while used as an async context manager."""

    ssl: object = None
    host: str = "127.0.0.1"
    requests: list[Seen] = field(default_factory=list)
    connections: int = 0
    now_open: int = 0
    most_open: int = 0
    state: dict[str, int] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        self.talks: set[asyncio.Task[None]] = set()
        self._listening = listening(self._talk, host=self.host, ssl=self.ssl, talks=self.talks)
        self.port = await self._listening.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._listening.__aexit__(None, None, None)

    def url(self, path: str = "/", scheme: str = "http", host: str | None = None) -> str:
        return f"{scheme}://{host or self.host}:{self.port}{path}"

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        nth = 1
        while await self._serve_one(reader, writer, nth):
            nth += 1

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, nth: int) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        target = head.split(b" ")[1].decode("latin-1")
        parts = urlsplit(target)
        visit = Visit(reader, writer, parse_qs(parts.query, keep_blank_values=True), nth, self.state)
        body = b"" if parts.path in UNREAD else await reader.readexactly(_length(head))
        self.requests.append(Seen(head + body, target, head, body))
        self.now_open += 1
        self.most_open = max(self.most_open, self.now_open)
        try:
            await BEHAVIOURS.get(parts.path, Visit.answer)(visit)
        finally:
            self.now_open -= 1
        return parts.path not in CLOSES and not writer.is_closing()


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


async def main() -> None:
    BOMBS[200] = gzipped_zeros(200)  # on a busy machine it takes longer than the first sender has patience
    async with FaultReceiver() as receiver:
        print(receiver.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
