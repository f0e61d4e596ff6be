"""The console page's own socket: what changed since its seq, as the HTML that the page itself would load.

The page sends {"subscribe": {"round", "since", "filter", "open", "attempt", …}}. Frames carry that round; each is
answered by {"ack": seq}, and only then is the next one read. Nothing is queued for a tab, so one that never reads costs
nothing, and after a reconnect it subscribes again from its last seq.
"""

import asyncio
import json
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

from autobahn.exception import Disconnected
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError
from django.http import QueryDict

from simulator import engine, feed
from simulator.models import Delivery
from simulator.models.endpoint import edition
from simulator.payload import BadJSON, parse_json

from . import batches, detail, doorbell, header, rows
from .filters import Filter
from .reading import read

INTERVAL_S = 0.1  # at most ten frames a second
AGE_S = 0.05  # how long one look at the database serves all tabs while changes pour in
PULSE_S = 1.0  # how often to look for engine troubles, which ring no bell
TOO_MANY = 500  # changes; beyond, the page reloads its list
ROWS_IN_FRAME = 60
ROW_BYTES, DETAIL_BYTES = 24 * 1024, 32 * 1024  # as JSON, together below 64 KiB un-acknowledged
MAX_TEXT = 16 * 1024
MAX_SEQ = 2**63 - 1
FRAMES_A_SECOND = 50  # of the client; with more it counts as flooding
VIOLATION, TOO_LARGE, TRY_LATER = 1008, 1009, 1013
log = logging.getLogger(__name__)


class Misuse(Exception):
    """The client broke the protocol."""


@dataclass(slots=True)
class Wish:
    """What one page shows. `filter` is None for a page without a list; `attempt` 0 is the newest; `seen` is the seq
    at which the open detail was rendered, `revision` its endpoint's: both may have grown since."""

    round: int
    since: int
    filter: Filter | None
    open: str | None
    attempt: int
    seen: int
    revision: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened to a list after one seq, up to `seq`: the JSON of `rows`, `gone` and `reload`, for all tabs."""

    seq: int
    text: str


class ConsoleConsumer(AsyncWebsocketConsumer):
    """One tab."""

    async def connect(self) -> None:
        self._wish: Wish | None = None
        self._awaited: int | None = None
        self._told: dict[str, Any] = {}
        self._heard = self._second = 0
        self._bell = doorbell.Bell()
        await self.accept()
        self._talk = asyncio.create_task(self._tell())

    async def disconnect(self, code: int) -> None:
        if hasattr(self, "_talk"):
            self._talk.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            self._take(_parsed(text_data))
        except Misuse:
            too_large = len(text_data or bytes_data or "") > MAX_TEXT
            await self.close(TOO_LARGE if too_large else VIOLATION)

    def _take(self, said: dict[str, Any]) -> None:
        second = int(asyncio.get_running_loop().time())
        self._heard = self._heard + 1 if second == self._second else 1
        self._second = second
        if self._heard > FRAMES_A_SECOND:
            raise Misuse
        if "subscribe" in said:
            self._wish, self._awaited = _wish(said["subscribe"]), None
            had = (self._wish.seen, self._wish.revision)
            self._told = {"open": (self._wish.open, self._wish.attempt, had)}
        elif _whole(said["ack"]) == self._awaited and self._wish:
            self._wish.since, self._awaited = said["ack"], None
        self._bell.ring()

    async def _tell(self) -> None:
        try:
            async with doorbell.subscription() as self._bell:
                while True:
                    await self._turn()
        except Disconnected:
            pass  # the tab closed while its frame was being made
        except DatabaseError:
            await self.close(TRY_LATER)  # the page reconnects by itself
        except Exception:
            log.exception("A page's socket ended because of a bug")
            await self.close(TRY_LATER)

    async def _turn(self) -> None:
        """Send what is new, or wait for something to happen."""
        wish = self._wish
        if wish is None or self._awaited is not None:
            await self._bell.wait()
            return
        frame = await read(_frame, wish, self._told)
        if wish is not self._wish:
            return
        if frame is None:
            await self._rest()
        elif frame:
            self._awaited, text = frame
            await self.send(text)
            await asyncio.sleep(INTERVAL_S)
        else:
            await asyncio.sleep(AGE_S)

    async def _rest(self) -> None:
        """Wait until the bell rings or the engine's troubles change."""
        known = self._told["troubles"]
        while engine.troubles() == known:
            with suppress(TimeoutError):
                async with asyncio.timeout(PULSE_S):
                    return await self._bell.wait()


def _parsed(text: str | None) -> dict[str, Any]:
    """Exactly one of {"subscribe": …} and {"ack": seq}."""
    if text is None or len(text) > MAX_TEXT:
        raise Misuse
    with suppress(BadJSON):
        said = parse_json(text)
        if isinstance(said, dict) and list(said) in (["subscribe"], ["ack"]):
            return said
    raise Misuse


def _wish(said: Any) -> Wish:
    if not isinstance(said, dict) or set(said) != set(Wish.__slots__):
        raise Misuse
    for name in ("filter", "open"):
        if not isinstance(said[name], str | None):
            raise Misuse
    try:
        filter = None if said["filter"] is None else Filter.of(QueryDict(said["filter"]))
    except Exception as error:  # QueryDict has several ways to say no
        raise Misuse from error
    round, since, attempt = (_whole(said[name]) for name in ("round", "since", "attempt"))
    had = (_whole(said[name]) for name in ("seen", "revision"))
    return Wish(round, since, filter, said["open"] or None, attempt, *had)


def _whole(number: Any) -> int:
    if type(number) is not int or not 0 <= number <= MAX_SEQ:
        raise Misuse
    return number


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _weight(html: str) -> int:
    """The bytes it takes in a frame."""
    return len(_text(html).encode(errors="replace"))


# --- in the reading thread: one look at the database serves all tabs for a moment


class Look:
    """What was found at one moment. `rings` counts the changes before it: the look is valid until there are more."""

    def __init__(self, rings: int) -> None:
        self.rings, self.at = rings, time.monotonic()
        self.latest = feed.latest()
        self.troubles = engine.troubles()
        self.counters, self.banners = header.render()
        self.batch = batches.render()
        self.endpoints = str(edition())
        self.changes: dict[tuple[Filter, int], Changes] = {}

    def since(self, filter: Filter | None, seq: int) -> Changes:
        """Read and rendered once for all tabs with the same filter and seq."""
        if filter is None or seq == self.latest:
            return Changes(self.latest, _NOTHING)
        found = self.changes.get((filter, seq))
        if found is None:
            found = self.changes[filter, seq] = _read_changes(filter, seq)
        return found


_look: Look | None = None
_rings = count()
_rung = next(_rings)


@feed.on_change
def _count_ring() -> None:
    global _rung
    _rung = next(_rings)


def _looked() -> Look:
    """The latest look; if something has changed since, it is at most AGE_S old."""
    global _look
    if (
        _look is None
        or _look.rings != _rung
        and time.monotonic() - _look.at > AGE_S
        or _look.troubles != engine.troubles()
    ):
        _look = Look(_rung)
    return _look


def _frame(wish: Wish, told: dict[str, Any]) -> tuple[int, str] | tuple[()] | None:
    """(seq, frame) of what this tab does not have yet; None if it has everything, () if one has to look again.

    `told` is what it was last sent.
    """
    look = _looked()
    changes = look.since(wish.filter, wish.since)
    parts = {
        "counters": look.counters,
        "banners": look.banners,
        "batch": look.batch,
        "endpoints": look.endpoints,
    }
    news = {name: None if told.get(name) == html else html for name, html in parts.items()}
    opened = _opened(wish, told)
    told.update(parts, troubles=look.troubles)
    nothing = changes.text == _NOTHING and not (opened["detail"] or opened["large"])
    if nothing and all(html is None for html in news.values()):
        return None if look.rings == _rung else ()
    head = _text({"round": wish.round, "seq": changes.seq, **opened, **news})
    return changes.seq, f"{head[:-1]},{changes.text}}}"


def _opened(wish: Wish, told: dict[str, Any]) -> dict[str, Any]:
    """The open delivery's detail if it or its endpoint changed; `large`: the page has to fetch it."""
    found = {"open": wish.open, "detail": None, "large": False}
    if wish.open is None:
        return found
    now = Delivery.objects.filter(pk=wish.open).values_list("seq", "endpoint__revision").first()
    open, attempt, (seq, revision) = told["open"]
    if now is None or (open, attempt) == (wish.open, wish.attempt) and now[0] <= seq and now[1] <= revision:
        return found
    told["open"] = (wish.open, wish.attempt, now)
    html = detail.render(wish.open, wish.attempt) or ""
    large = _weight(html) > DETAIL_BYTES
    return {"open": wish.open, "detail": None if large else html, "large": large}


_NOTHING = '"rows":[],"gone":[],"reload":false'
_RELOAD = '"rows":[],"gone":[],"reload":true'


def _read_changes(filter: Filter, since: int) -> Changes:
    changed = list(Delivery.objects.since(since).values_list("pk", "seq")[: TOO_MANY + 1])
    if not changed:
        latest = feed.latest()  # if lower than `since`, the page was made from another data folder
        return Changes(latest, _RELOAD) if latest < since else Changes(since, _NOTHING)
    if len(changed) > TOO_MANY:
        return Changes(feed.latest(), _RELOAD)
    changed = changed[:ROWS_IN_FRAME]
    matching = {found.pk: found for found in rows.among(filter, [pk for pk, _ in changed])}
    fragments: list[dict[str, str]] = []
    gone: list[str] = []
    size, last = 0, since
    for pk, seq in changed:
        if pk in matching:
            html = rows.drawn(matching[pk])
            size += _weight(html)
            if fragments and size > ROW_BYTES:
                break
            fragments.append({"id": pk, "html": html})
        else:
            gone.append(pk)
        last = seq
    return Changes(last, f'"rows":{_text(fragments)},"gone":{_text(gone)},"reload":false')
