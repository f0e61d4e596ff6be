"""R10 to R18: answers that are no HTTP, or only just, each under a path of its own."""

import asyncio

from .behaviours import Visit, at, says

_BEFORE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: %b"
_OF_100_KIB = _BEFORE + b"a" * (100 * 1024 - len(_BEFORE) - len(b"\r\n\r\n") + len(b"%b")) + b"\r\n\r\n"

says("/two-cl", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok")
says("/same-cl", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok")
says("/zeros-cl", b"HTTP/1.1 200 OK\r\nContent-Length: " + b"0" * 5000 + b"2\r\n\r\nok", closes=False)
says("/2-63-cl-short", b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nhello")
says(
    "/2-63-cl-long",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n" + b"x" * 300_000,
    closes=False,
)
says("/xchunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\ntill the end")
says(
    "/chunked-tab",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\t\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    closes=False,
)
says("/chunked-fold", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip,\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
says("/chunked-after-fold", b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
says("/chunked-control", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: a\x7fb, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
says(
    "/chunked-tab-inside",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\t,\tchunked \r\n\r\n2\r\nok\r\n0\r\n\r\n",
)
says("/neg-cl", b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok")
says("/word-cl", b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok")
says("/cl-and-te", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
says("/bad-status", b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n")
says("/http09", b"<html>Hello from 1991</html>\n")
says("/no-line", b"nothing like it", closes=False)
says("/no-line-and-closes", b"nothing like it")
says("/status-99", b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n")
says("/status-099", b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n")
says("/status-000", b"HTTP/1.1 000 None\r\nContent-Length: 0\r\n\r\n")
says("/status-600", b"HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n")
says("/rtsp", b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
says("/rtsp-after-100", b"HTTP/1.1 100 Continue\r\n\r\nRTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
says("/ice-after-100", b"HTTP/1.1 100 Continue\r\n\r\nICE/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
says("/rtsp-100", b"RTSP/1.0 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
says("/http2", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n")
says("/ssh", b"SSH-2.0-OpenSSH_9.6\r\n")
says("/http2-short", b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n")
says(
    "/trailer-cl",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 2\r\n\r\n",
)
says("/long-chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n")
says("/bad-chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n")
says("/huge-header", b"HTTP/1.1 200 OK\r\nX-Huge: " + b"h" * 200_000 + b"\r\nContent-Length: 2\r\n\r\nok")
says("/huge-reason", b"HTTP/1.1 200 " + b"r" * 200_000 + b"\r\nContent-Length: 2\r\n\r\nok")
says("/huge-interim", b"HTTP/1.1 103 Early\r\nX-Huge: " + b"h" * 110_000 + b"\r\n\r\n", closes=False)
says("/head-of-100-kib", _OF_100_KIB % b"" + b"ok", closes=False)
says("/head-of-100-kib-and-1", _OF_100_KIB % b"a" + b"ok", closes=False)
says("/many-short", b"HTTP/1.1 200 OK\nContent-Length:2\n" + b"a:b\n" * 22_499 + b"\nok", closes=False)
says(
    "/many-headers",
    b"HTTP/1.1 200 OK\r\n"
    + b"".join(b"X%04d: %04d\r\n" % (n, n) for n in range(4999))
    + b"Content-Length: 2\r\n\r\nok",
    closes=False,
)
says("/nul-header", b"HTTP/1.1 200 OK\r\nX-Nul: a\0b\r\nContent-Length: 2\r\n\r\nok")
says("/nul-reason", b"HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\nok")
says("/no-colon", b"HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 2\r\n\r\nok")
says("/space-colon", b"HTTP/1.1 200 OK\r\nX-Space : a\r\nContent-Length: 2\r\n\r\nok")
says("/space-colon-known", b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
says("/bare-cr", b"HTTP/1.1 200 OK\r\nX-Cr: a\rb\r\nContent-Length: 2\r\n\r\nok")
says("/bare-cr-first", b"HTTP/1.1 200 OK\r\nContent-Length:\r 2\r\n\r\nok")
says("/bare-cr-in-the-body", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\no\rk\r")
says("/cr-cr-lf", b"HTTP/1.1 200 OK\r\nX-E:\r\r\nContent-Length: 2\r\n\r\nok", closes=False)
says("/cr-cr-lf-sized", b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\nX-E:\r\r\nX-B: 1\r\nX-C: 2\r\n\r\nok ok")
says("/cr-cr-lf-in-the-body", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nok\r\r\nok")
says("/fold-in-an-interim", b"HTTP/1.1 100 Continue\r\n \r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
says("/chunk-one-short", _CHUNKED + b"1\r\nok\r\n0\r\n\r\n", closes=False)
says("/chunk-one-long", _CHUNKED + b"3\r\nok\r\n0\r\n\r\n", closes=False)
says("/chunk-bare-lf", _CHUNKED + b"2\r\nok\n0\r\n\r\n", closes=False)
says(
    "/padded-chunks",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2   \r\nok\r\n0 ;a=b\r\n\r\n",
    closes=False,
)
says("/obs-fold", b"HTTP/1.1 200 OK\r\nX-Fold: a\r\n  b\r\n\tc\r\nContent-Length: 2\r\n\r\nok", closes=False)
says(
    "/fold-after-100",
    b"HTTP/1.1 100 Continue\r\nX-I: 1\r\n\r\nHTTP/1.1 200 OK\r\nX-Fold: a\r\n b\r\nContent-Length: 4\r\n\r\n\r\n o",
)
says(
    "/fold-after-an-empty-line",
    b"HTTP/1.1 100 Continue\r\n\r\n\r\nHTTP/1.1 200 OK\r\nX-Fold: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
)
says(
    "/fold-after-large-interims",
    (b"HTTP/1.1 103 Early Hints\r\nLink: " + b"l" * 60_000 + b"\r\n\r\n") * 3
    + b"HTTP/1.1 200 OK\r\nX-Fold: a\r\n  b\r\nContent-Length: 2\r\n\r\nok",
)
says("/fold-first", b"HTTP/1.1 200 OK\r\n X-Fold: a\r\nContent-Length: 2\r\n\r\nok")
says("/latin1", "HTTP/1.1 200 Très bien\r\nX-Latin: café\r\nContent-Length: 2\r\n\r\nok".encode("latin-1"))
says("/bare-lf", b"HTTP/1.1 200 OK\nX-Lf: a\nContent-Length: 2\n\nok")
says("/no-reason", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok")
says(
    "/dup-header",
    b"HTTP/1.1 200 OK\r\nX-Dup: 1\r\nx-dup: 2\r\nX-DUP:3\r\nX-Empty:\r\nContent-Length: 2\r\n\r\nok",
    closes=False,
)
says("/204-body", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", closes=False)
says("/204-unsized-body", b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 500 Smuggled\r\n\r\n", closes=False)
says("/two-answers", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" * 2, closes=False)
says(
    "/100-continue",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    closes=False,
)
says(
    "/103-early",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nX-Own: 1\r\nContent-Length: 2\r\n\r\nok",
    closes=False,
)
says(
    "/101", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x02hi"
)
_BARE_101 = b"HTTP/1.1 101 Switching Protocols\r\n"
says("/101-bare", _BARE_101 + b"\r\n", closes=False)
says("/101-close", _BARE_101 + b"Connection: close\r\n\r\n")
says("/101-sized", _BARE_101 + b"Content-Length: 5\r\n\r\nhello", closes=False)
says("/101-chunked", _BARE_101 + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", closes=False)
says("/100-and-closes", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")
says(
    "/100-close",
    b"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    closes=False,
)
says(
    "/100-of-http10",
    b"HTTP/1.0 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    closes=False,
)
says("/interim-body", b"HTTP/1.1 199 Own\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n")
says("/offers-h2", b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok")
says("/http10", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
says(
    "/trailers",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nX-Trailer: t\r\n\r\n",
    closes=False,
)


@at("/bad-drips")
async def bad_drips(visit: Visit) -> None:
    for drip in (b"h", b"ttp/1.1 ", b"200 OK\r", b"\n"):
        await visit.say(drip)
        await asyncio.sleep(0.003)
    await asyncio.Event().wait()


@at("/endless-chunk-extension")
async def endless_extension(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;")
    await visit.for_ever(b"x" * 65536, 0)


@at("/endless-trailer")
async def endless_trailer(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: ")
    await visit.for_ever(b"x" * 65536, 0)


@at("/endless-header")
async def endless_header(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nX-T: ")
    await visit.for_ever(b"x" * 65536, 0)
