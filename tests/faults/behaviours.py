"""What a receiver can do wrong, each under a path of its own; framing.py has more. What a behaviour gets is a Visit."""

import asyncio
import gzip
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass
class Visit:
    """What a behaviour gets: the request's query, and the two ends of its connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    query: dict[str, list[str]]
    nth: int  # of this connection, from 1
    state: dict[str, int]

    def first(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(
        self, status: str = "200 OK", body: bytes = b"ok", headers: tuple[bytes, ...] = ()
    ) -> None:
        head = [f"HTTP/1.1 {status}".encode("latin-1"), *headers, b"Content-Length: %d" % len(body)]
        await self.say(b"\r\n".join(head) + b"\r\n\r\n" + body)

    async def for_ever(self, data: bytes, every: float) -> None:
        while True:
            await self.say(data)
            await asyncio.sleep(every)

    def reset(self) -> None:
        """Break the connection off with a RST instead of a FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Behaviour = Callable[[Visit], Awaitable[object]]
BEHAVIOURS: dict[str, Behaviour] = {}
CLOSES: set[str] = set()  # the connection ends after these
UNREAD: set[str] = set()  # these get the connection before the request's body was read


def at(path: str, *, closes: bool = False, unread: bool = False) -> Callable[[Behaviour], Behaviour]:
    def register(behaviour: Behaviour) -> Behaviour:
        BEHAVIOURS[path] = behaviour
        if closes:
            CLOSES.add(path)
        if unread:
            UNREAD.add(path)
        return behaviour

    return register


def says(path: str, data: bytes, *, closes: bool = True) -> None:
    """A behaviour that only writes these bytes."""
    at(path, closes=closes)(lambda visit: visit.say(data))


# --- R01–R08: silence, drips and broken connections


@at("/never")
async def never(visit: Visit) -> None:
    await asyncio.Event().wait()


@at("/slow-headers")
async def slow_headers(visit: Visit) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 1000:
        await visit.say(bytes([byte]))
        await asyncio.sleep(0.5)


@at("/trickle")
async def trickle(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nfirst,")
    await visit.for_ever(b".", 0.3)


@at("/trickle-unsized")
async def trickle_unsized(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\n\r\n")
    await visit.for_ever(b".", 0.3)


@at("/trickle-chunks")
async def trickle_chunks(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await visit.for_ever(b"1\r\n.\r\n", 0.3)


at("/1xx-flood")(lambda visit: visit.for_ever(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000, 0))
at("/103-flood")(
    lambda visit: visit.for_ever(b"HTTP/1.1 103 Early Hints\r\n" + b"l: a\r\n" * 15_000 + b"\r\n", 0)
)


@at("/103-slowly")
async def early_hints(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    await asyncio.sleep(0.1)
    await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@at("/rst-now")
async def rst_now(visit: Visit) -> None:
    visit.reset()


@at("/rst-headers")
async def rst_headers(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nX-Half: ")
    visit.reset()


@at("/rst-mid")
async def rst_mid(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nseven 7")
    await asyncio.sleep(0.2)
    visit.reset()


@at("/rst-unsized")
async def rst_unsized(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\n\r\nseven 7")
    await asyncio.sleep(0.2)
    visit.reset()


says("/close-now", b"")
says("/close-headers", b"HTTP/1.1 200 OK\r\nX-Half: ")
says("/no-empty-line", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nok", closes=False)
says("/no-empty-line-and-closes", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nok")
says("/short-cl", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nseven 7")
says("/short-chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nseven 7\r\n")
says("/unsized", b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
says("/500-short", b"HTTP/1.1 500 Oh\r\nContent-Length: 1000\r\n\r\nseven 7")


# --- R19–R22: large, compressed and damaged bodies


@at("/big", closes=True)
async def big(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1024 * MIB))
    block = b"0123456789abcdef" * 16384
    for _ in range(4096):
        await visit.say(block)


@at("/big-chunked", closes=True)
async def big_chunked(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await visit.for_ever(b"10000\r\n" + b"c" * 65536 + b"\r\n", 0)


@at("/cap")
async def cap(visit: Visit) -> None:
    await visit.answer(body=b"x" * int(visit.first("bytes", "262144")))


@at("/tiny-chunks")
async def tiny_chunks(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(int(visit.first("thousands"))):
        await visit.say(b"1\r\n.\r\n" * 1000)
    await visit.say(b"0\r\n\r\n")


def gzipped_zeros(mib: int) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([squeeze.compress(bytes(MIB)) for _ in range(mib)]) + squeeze.flush()


BOMBS: dict[int, bytes] = {}


_GZIP = b"Content-Encoding: gzip"


@at("/gzip-bomb")
async def gzip_bomb(visit: Visit) -> None:
    if 200 not in BOMBS:  # half a second of work, which must not hold up the other rows
        BOMBS[200] = await asyncio.to_thread(gzipped_zeros, 200)
    await visit.answer(body=BOMBS[200], headers=(_GZIP,))


says(
    "/bad-gzip",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip",
    closes=False,
)


@at("/cut-gzip")
async def cut_gzip(visit: Visit) -> None:
    await visit.answer(body=gzip.compress(b"hello " * 100)[:-12], headers=(_GZIP,))


@at("/unknown-encoding")
async def unknown_encoding(visit: Visit) -> None:
    await visit.answer(body=b"\x8b\x01\x80ok\x03", headers=(b"Content-Encoding: br",))


@at("/bad-utf8")
async def bad_utf8(visit: Visit) -> None:
    body = b"\xef\xbb\xbfa\xff\xfe\0b\xe2\x80\xaec"
    await visit.answer(body=body, headers=(b"Content-Type: text/plain; charset=klingon",))


# --- R23–R26, R32–R38: statuses, pacing, closing


@at("/redir-self")
async def redir_self(visit: Visit) -> None:
    await visit.answer("302 Found", headers=(b"Location: /redir-self",))


@at("/redir-away")
async def redir_away(visit: Visit) -> None:
    await visit.answer("307 Temporary Redirect", headers=(b"Location: http://127.0.0.1:9/elsewhere",))


@at("/redir-bad")
async def redir_bad(visit: Visit) -> None:
    await visit.answer("302 Found", headers=(b"Location: http://[::1/\xff\xfe:99999",))


@at("/redir-nowhere")
async def redir_nowhere(visit: Visit) -> None:
    await visit.answer("302 Found")


@at("/retry-after")
async def retry_after(visit: Visit) -> None:
    values = tuple(b"Retry-After: " + v.encode("latin-1") for v in visit.query.get("v", []))
    await visit.answer(f"{visit.first('code', '503')} Later", headers=values)


@at("/status")
async def status(visit: Visit) -> None:
    code = visit.first("code", "200")
    await visit.answer(f"{code} Chosen", body=b"" if code in ("204", "304") else b"chosen")


@at("/delay")
async def delay(visit: Visit) -> None:
    await asyncio.sleep(float(visit.first("s", "1")))
    await visit.answer()


@at("/close-soon", closes=True)
async def close_soon(visit: Visit) -> None:
    """A whole answer that promises to keep the connection, which then ends 0 to 5 ms later."""
    await visit.answer()
    visit.state["soon"] = visit.state.get("soon", 0) + 1
    await asyncio.sleep(visit.state["soon"] % 6 / 1000)


@at("/close-second")
async def close_second(visit: Visit) -> None:
    """Answers the first request of a connection and drops the second without a byte."""
    if visit.nth == 1:
        await visit.answer()
    else:
        visit.writer.close()


@at("/early-413", closes=True, unread=True)
async def early_413(visit: Visit) -> None:
    await visit.answer("413 Content Too Large", body=b"too large", headers=(b"Connection: close",))


_UNSIZED_413 = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\ntoo large"


@at("/early-413-unsized", closes=True, unread=True)
async def early_413_unsized(visit: Visit) -> None:
    """Ends cleanly; the request that lies unread then makes a reset of the close."""
    visit.writer.transport.pause_reading()
    await visit.say(_UNSIZED_413)
    visit.writer.write_eof()


@at("/early-413-reset", closes=True, unread=True)
async def early_413_reset(visit: Visit) -> None:
    """Only closes, which is a reset at once."""
    visit.writer.transport.pause_reading()
    await visit.say(_UNSIZED_413)


@at("/early-302-reset", closes=True, unread=True)
async def early_302_reset(visit: Visit) -> None:
    visit.writer.transport.pause_reading()
    await visit.say(b"HTTP/1.1 302 Found\r\nLocation: /accounts/login/\r\n\r\nover there")


@at("/early-200-reset", closes=True, unread=True)
async def early_200_reset(visit: Visit) -> None:
    visit.writer.transport.pause_reading()
    await visit.say(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nseven 7")


@at("/early-head", closes=True, unread=True)
async def early_head(visit: Visit) -> None:
    """Begins its answer before it reads the request, and ends it after."""
    visit.writer.transport.pause_reading()
    await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    await asyncio.sleep(0.1)
    visit.writer.transport.resume_reading()
    await visit.reader.readexactly(int(visit.first("reads")))
    await visit.say(b"ok")


@at("/half-close", closes=True, unread=True)
async def half_close(visit: Visit) -> None:
    """Has its last word after the head of the request, and reads the rest of it all the same."""
    visit.writer.transport.pause_reading()
    await visit.say(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nthanks")
    visit.writer.write_eof()
    await asyncio.sleep(0.1)
    visit.writer.transport.resume_reading()
    visit.state["read"] = len(await visit.reader.read())


@at("/answers-then-reads", unread=True)
async def answers_then_reads(visit: Visit) -> None:
    """Does as every guide says: answers 2xx at once. With `more`, two times."""
    visit.writer.transport.pause_reading()
    await visit.answer(visit.first("status", "200 OK"), body=b"x" * int(visit.first("bytes", "2")))
    if "more" in visit.query:
        await visit.answer()
    await asyncio.sleep(0.1)
    visit.writer.transport.resume_reading()
    visit.state["read"] = len(await visit.reader.readexactly(int(visit.first("reads"))))


@at("/answers-and-never-reads", unread=True)
async def answers_and_never_reads(visit: Visit) -> None:
    visit.writer.transport.pause_reading()
    await visit.answer()
    await asyncio.Event().wait()


@at("/answers-and-resets", closes=True, unread=True)
async def answers_and_resets(visit: Visit) -> None:
    """Closes with the request unread."""
    visit.writer.transport.pause_reading()
    await visit.answer()
    await asyncio.sleep(0.1)


@at("/half-close-silent", closes=True, unread=True)
async def half_close_silent(visit: Visit) -> None:
    visit.writer.write_eof()
    await visit.reader.read()


@at("/stop-reading", unread=True)
async def stop_reading(visit: Visit) -> None:
    visit.writer.transport.pause_reading()
    await asyncio.Event().wait()
