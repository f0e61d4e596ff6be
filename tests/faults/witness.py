"""The receiver of the crash loop, a process of its own: `python -m tests.faults.witness LOG SECRET` prints its port.

It shares no code with the product. Every request is a line of the log, appended before it is answered:
[event, attempt, signature ok, status, sha256 of the body, unix time].
"""

import asyncio
import hashlib
import hmac
import json
import os
import sys
import time
import zlib

SLOW_S = 1.5


def answer(event: str, attempt: int) -> tuple[int, float]:
    """(status, seconds to wait): a third of the events make trouble at first, each always in the same way."""
    kind = zlib.crc32(event.encode()) % 12
    if kind == 0:
        return (500 if attempt == 1 else 200), 0
    if kind == 1:
        return (500 if attempt <= 2 else 200), 0
    if kind == 2:
        return 200, SLOW_S if attempt == 1 else 0
    if kind == 3:
        return (503 if attempt == 1 else 200), SLOW_S / 3 if attempt == 1 else 0
    return 200, 0


class Witness:
    def __init__(self, log: str, secret: str):
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._key = secret.encode()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._exchange(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the sender was killed
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        pairs = [line.split(": ", 1) for line in head.split("\r\n")[1:-2]]
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers["content-length"]))
        event, attempt = headers["x-ultrareach-event-id"], int(headers["x-ultrareach-attempt"])
        status, delay = answer(event, attempt)
        digest = hashlib.sha256(body).hexdigest()
        line = [event, attempt, self._genuine(headers, event, body), status, digest, time.time()]
        os.write(self._log, json.dumps(line).encode() + b"\n")
        await asyncio.sleep(delay)
        writer.write(b"HTTP/1.1 %d Witnessed\r\ncontent-length: 2\r\n\r\nok" % status)
        await writer.drain()

    def _genuine(self, headers: dict[str, str], event: str, body: bytes) -> bool:
        """Signed over exactly these bytes, just now, and about the event that the header names."""
        timestamp = headers["x-ultrareach-timestamp"]
        made = hmac.new(self._key, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        fresh = abs(time.time() - int(timestamp)) <= 60
        return headers["x-ultrareach-signature"] == f"v1={made}" and fresh and json.loads(body)["id"] == event


async def main(log: str, secret: str) -> None:
    server = await asyncio.start_server(Witness(log, secret).talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until the driver is gone
    server.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    os._exit(0)
