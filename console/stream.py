"""The JSON stream for programs, `/ws/v1/stream`: changes of deliveries in the order of seq, each frame after an ack.

The client may open with {"since": seq} to get everything newer; without it the stream starts when it connects.
Frames are {"seq": n, "deliveries": [Delivery, …]}, answered by {"ack": n}. What a client has not acknowledged is
not kept but read again later, so a client that never reads costs nothing.

A `since` beyond the newest seq comes from another data folder: the stream starts over from the first delivery, and
its first frame says so with "reset": true.
"""

import asyncio
import json
import logging
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, unquote_plus

from autobahn.exception import Disconnected
from django.db import DatabaseError

from simulator import feed
from simulator.api.gate import api_key, is_key
from simulator.api.shapes import newer_deliveries
from simulator.rows import as_json

from . import doorbell
from .reading import read
from .security import Receive, Scope, Send, header, refuse_socket

BATCH = 50
MAX_FRAME = 64 * 1024
# Pause after a frame, as long as things change, even if there is more to send: a delivery that would be sent now as
# `sending` would be sent again a moment later as answered; this way it is sent once instead of three times, and in a
# burst the core is left to the engine. With A_LOT to send the pause is shorter.
REST_S, HURRIED_REST_S = 0.015, 0.004
A_LOT = 200  # changes
MANY = 10  # readers; with so many each rests twice as long: otherwise 20 would take half a core in a burst
SHARED_S = 0.05
OPENING_S = 0.25  # how long the first frame waits for a {"since": …} that may be on its way
MAX_SEQ = 2**63 - 1
MAX_STRAY = 20  # acks of frames that are no longer awaited, before a client counts as flooding
KEY_NAMES = {"key", "api_key", "apikey", "token", "access_token", "authorization"}
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013
_RESET = ',"reset":true'
log = logging.getLogger(__name__)


class Misuse(Exception):
    """The client broke the protocol; the text says how."""


class Gone(Exception):
    """The client closed the connection."""


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of one connection."""
    if not _may_enter(scope):
        await refuse_socket(scope, receive, send)
        return
    await receive()
    try:
        async with doorbell.subscription() as bell:
            talk = Talk(await read(feed.latest), bell, send)
            await send({"type": "websocket.accept"})
            async with asyncio.TaskGroup() as both:
                both.create_task(_listen(talk, receive))
                both.create_task(talk.run())
    except* (Gone, Disconnected):
        pass  # Disconnected: it closed while its frame was being made
    except* Misuse as broken:
        error = {"code": "POLICY_VIOLATION", "message": str(broken.exceptions[0])}
        with suppress(Disconnected):
            await send({"type": "websocket.send", "text": json.dumps({"error": error})})
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
    except* DatabaseError as failed:
        log.warning("the stream cannot read the database: %s", failed.exceptions[0])
        await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})


def _may_enter(scope: Scope) -> bool:
    """Whether the key is in its header, and not in the URL as well: URLs end up in logs and histories."""
    key, query = api_key(), scope["query_string"].decode("latin-1")
    given = list(header(scope, b"authorization"))
    if len(given) != 1 or not is_key(given[0]):
        return False
    named = KEY_NAMES & {name.lower() for name in parse_qs(query, True)}
    return not named and key not in unquote(query) and key not in unquote_plus(query)


async def _listen(talk: "Talk", receive: Receive) -> None:
    """Pass every frame of the client on to the talk at once; raises Gone when it closes."""
    while (event := await receive())["type"] == "websocket.receive":
        talk.heard(*_parsed(event.get("text")))
    raise Gone


def _parsed(text: str | None) -> tuple[str, int]:
    try:
        frame = json.loads(text or "")
        [(word, seq)] = frame.items()
    except (ValueError, AttributeError, RecursionError):
        raise Misuse('A frame must be {"since": seq} or {"ack": seq}.') from None
    if word not in ("since", "ack") or type(seq) is not int or not 0 <= seq <= MAX_SEQ:
        raise Misuse('A frame must be {"since": seq} or {"ack": seq}, with a whole number as seq.')
    return word, seq


class Talk:
    """What one client has, and what it has yet to acknowledge. Sends it what is newer."""

    def __init__(self, seq: int, bell: doorbell.Bell, send: Send):
        self._seq = seq  # the client has everything up to here
        self._newest = seq
        self._awaited: int | None = None  # the seq of the frame to be acknowledged next
        self._sent: set[int] = set()  # frames not acknowledged: several only if its `since` came late
        self._stray = 0
        self._bell, self._send = bell, send
        self._begun = asyncio.Event()  # the client has said something
        self._free = asyncio.Event()
        self._free.set()

    def heard(self, word: str, seq: int) -> None:
        """Take a frame of the client. Raises Misuse if it is out of place."""
        if word == "since" and self._begun.is_set():
            raise Misuse('{"since": seq} opens a stream; it cannot come later. Connect again.')
        self._begun.set()
        if word == "ack" and seq != self._awaited:
            if seq not in self._sent and seq != self._seq:
                raise Misuse(
                    f"No frame with seq {seq} waits for an ack. Acknowledge a frame with its own seq."
                )
            self._stray += 1
            if self._stray > MAX_STRAY:
                raise Misuse("Too many acks of frames that wait for none.")
            return
        self._seq, self._awaited = seq, None
        if word == "ack":
            self._sent.clear()
        self._free.set()
        self._bell.ring()

    async def run(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(OPENING_S):  # not wait_for, which can swallow a cancellation (3.11)
                await self._begun.wait()
        while True:
            await self._free.wait()
            since = self._seq
            found = await _frames.after(since)
            if since != self._seq:
                continue  # the client's {"since": …} came meanwhile
            if found is None:
                await self._bell.wait()
                continue
            self._awaited = found.seq
            self._sent.add(found.seq)
            self._free.clear()
            await self._send({"type": "websocket.send", "text": found.text})
            await asyncio.sleep(self._rest(found))

    def _rest(self, told: "Frame") -> float:
        """Seconds to pause; 0 once nothing changes any more."""
        quiet, self._newest = told.newest == self._newest, told.newest
        if quiet:
            return 0
        return HURRIED_REST_S if told.newest - told.seq > A_LOT else REST_S * (1 + doorbell.readers() / MANY)


class Frame(NamedTuple):
    """`seq` is what the client acknowledges; `newest` is the seq of the last change when it was read."""

    text: str
    seq: int
    newest: int


class Frames:
    """Reads a frame once for all clients that wait at the same seq, as in a burst most do."""

    def __init__(self) -> None:
        self._reads: dict[int, asyncio.Task[Frame | None]] = {}

    async def after(self, seq: int) -> Frame | None:
        """The next frame after `seq`, at most SHARED_S old: later changes come in the frame after it."""
        shared = self._reads.get(seq)
        if shared and (frame := await asyncio.shield(shared)):
            return frame  # one that found nothing may have looked before the bell rang: look again
        own = self._reads[seq] = asyncio.create_task(read(newer, seq))
        try:
            return await asyncio.shield(own)
        finally:
            asyncio.get_running_loop().call_later(SHARED_S, self._forget, seq, own)

    def _forget(self, seq: int, reading: "asyncio.Task[Frame | None]") -> None:
        if self._reads.get(seq) is reading:
            del self._reads[seq]


_frames = Frames()


def newer(seq: int) -> Frame | None:
    """The next frame after `seq`; None when there is nothing newer."""
    deliveries, newest = newer_deliveries(seq, BATCH), feed.latest()
    reset = not deliveries and seq > newest
    if reset:
        deliveries = newer_deliveries(0, BATCH)
    elif not deliveries:
        return None
    while len(text := as_json(deliveries)) > MAX_FRAME and len(deliveries) > 1:
        deliveries = deliveries[: len(deliveries) // 2]
    last = deliveries[-1]["seq"] if deliveries else 0
    return Frame(f'{{"seq":{last},"deliveries":{text}{_RESET if reset else ""}}}', last, newest)
