"""The console page's own socket: what changed since its seq, as the HTML that the page itself would load.

The page says {"subscribe": {"round", "since", "filter", "open", "attempt"}}; frames carry that round, each is answered
by {"ack": seq}, and the next one is read only then. Nothing is queued for a tab, so one that never reads costs nothing,
and after a reconnect the same question is asked again from the last seq.
"""

import asyncio
import json
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError
from django.http import QueryDict

from simulator import feed
from simulator.models import Delivery

from . import detail, doorbell, header, rows
from .filters import Filter
from .reading import read

INTERVAL_S = 0.1  # at most ten frames a second
PULSE_S = 1.0  # engine troubles ring no bell
TOO_MANY = 500  # changes: the page then loads its list anew
ROWS_IN_FRAME = 60
ROW_BYTES, DETAIL_BYTES = 24 * 1024, 32 * 1024  # as JSON, together below 64 KiB un-acknowledged
MAX_TEXT = 16 * 1024
MAX_SEQ = 2**63 - 1
FRAMES_A_SECOND = 50  # of the client, before it counts as flooding
VIOLATION, TOO_LARGE, TRY_LATER = 1008, 1009, 1013


class Misuse(Exception):
    """The client broke the protocol."""


@dataclass(slots=True)
class Wish:
    """What one page shows. `filter` is None for a page without a list; `attempt` 0 is the newest."""

    round: int
    since: int
    filter: Filter | None
    open: str | None
    attempt: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened to a list after a seq, up to `seq`. With `reload` it was too much to tell one by one."""

    seq: int
    rows: list[dict[str, str]]
    gone: list[str]
    reload: bool = False


class ConsoleConsumer(AsyncWebsocketConsumer):
    """One tab."""

    channel_layer_alias = "none"  # the doorbell is in-process

    async def connect(self) -> None:
        self._wish: Wish | None = None
        self._awaited: int | None = None
        self._told: dict[str, Any] = {}
        self._heard = self._second = 0
        self._changed = asyncio.Event()
        await self.accept()
        self._talk = asyncio.create_task(self._tell())

    async def disconnect(self, code: int) -> None:
        talk = getattr(self, "_talk", None)
        if talk:
            talk.cancel()

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
            self._told = {"detail": (self._wish.open, self._wish.attempt, self._wish.since)}
        elif _whole(said["ack"]) == self._awaited and self._wish:
            self._wish.since, self._awaited = said["ack"], None
        self._changed.set()

    async def _tell(self) -> None:
        try:
            async with doorbell.subscription() as bell:
                while True:
                    await self._turn(bell)
        except DatabaseError:
            await self.close(TRY_LATER)  # the page comes back by itself

    async def _turn(self, bell: doorbell.Bell) -> None:
        """Send what is new, or wait for something to happen."""
        wish = self._wish
        if wish is None or self._awaited is not None:
            self._changed.clear()
            await self._changed.wait()
            return
        frame = await read(_frame, wish, self._told)
        if frame and wish is self._wish:
            self._awaited = frame["seq"]
            await self.send(_text(frame))
            await asyncio.sleep(INTERVAL_S)
        elif not frame:
            self._changed.clear()
            await _first(bell.wait(), self._changed.wait())


async def _first(*waits: Any) -> None:
    """Until one of them is over, or a pulse has passed."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=PULSE_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _parsed(text: str | None) -> dict[str, Any]:
    """Exactly one of {"subscribe": …} and {"ack": seq}."""
    if text is None or len(text) > MAX_TEXT:
        raise Misuse
    with suppress(ValueError, RecursionError):
        said = json.loads(text)
        if isinstance(said, dict) and list(said) in (["subscribe"], ["ack"]):
            return said
    raise Misuse


def _wish(said: Any) -> Wish:
    if not isinstance(said, dict) or set(said) != {"round", "since", "filter", "open", "attempt"}:
        raise Misuse
    for name in ("filter", "open"):
        if not isinstance(said[name], str | None):
            raise Misuse
    try:
        filter = None if said["filter"] is None else Filter.of(QueryDict(said["filter"]))
    except Exception as error:  # QueryDict has several ways to say no
        raise Misuse from error
    return Wish(
        _whole(said["round"]), _whole(said["since"]), filter, said["open"] or None, _whole(said["attempt"])
    )


def _whole(number: Any) -> int:
    if type(number) is not int or not 0 <= number <= MAX_SEQ:
        raise Misuse
    return number


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _weight(html: str) -> int:
    """Bytes that it takes in a frame."""
    return len(_text(html).encode(errors="replace"))


# --- in the reading thread


def _frame(wish: Wish, told: dict[str, Any]) -> dict[str, Any] | None:
    """What this tab does not have yet; None when it has everything. `told` is what it was sent before."""
    changes = _changes(wish.filter, wish.since) if wish.filter is not None else Changes(feed.latest(), [], [])
    frame: dict[str, Any] = {
        "round": wish.round,
        "seq": changes.seq,
        "rows": changes.rows,
        "gone": changes.gone,
        "reload": changes.reload,
        **_opened(wish, told),
        **_header(told),
    }
    new = changes.rows or changes.gone or changes.reload or frame["detail"] or frame["large"]
    return frame if new or frame["counters"] is not None or frame["banners"] is not None else None


def _header(told: dict[str, Any]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name, html in zip(("counters", "banners"), header.render(), strict=True):
        found[name] = None if told.get(name) == html else html
        told[name] = html
    return found


def _opened(wish: Wish, told: dict[str, Any]) -> dict[str, Any]:
    """The open delivery's detail, when it changed; `large` says that the page must fetch it."""
    found = {"open": wish.open, "detail": None, "large": False}
    if wish.open is None:
        return found
    seq = Delivery.objects.filter(pk=wish.open).values_list("seq", flat=True).first()
    open, attempt, had = told["detail"]
    if seq is None or (open, attempt) == (wish.open, wish.attempt) and seq <= had:
        return found
    told["detail"] = (wish.open, wish.attempt, seq)
    html = detail.render(wish.open, wish.attempt) or ""
    large = _weight(html) > DETAIL_BYTES
    return {"open": wish.open, "detail": None if large else html, "large": large}


_shared: OrderedDict[tuple[Filter, int], tuple[float, Changes]] = OrderedDict()
_SHARED, _SHARED_S = 64, 1.0


def _changes(filter: Filter, since: int) -> Changes:
    """Read and rendered once for all tabs that have the same filter and have come equally far."""
    now = time.monotonic()
    made, changes = _shared.get((filter, since), (0.0, None))
    if changes is None or now - made > _SHARED_S:
        changes = _read_changes(filter, since)
        if changes.rows or changes.gone:
            _shared[filter, since] = now, changes
            if len(_shared) > _SHARED:
                _shared.popitem(last=False)
    return changes


def _read_changes(filter: Filter, since: int) -> Changes:
    changed = list(Delivery.objects.since(since).values_list("pk", "seq")[: TOO_MANY + 1])
    if len(changed) > TOO_MANY:
        return Changes(feed.latest(), [], [], reload=True)
    if not changed:
        latest = feed.latest()  # lower than `since`: the page comes from another data folder
        return Changes(min(since, latest), [], [], reload=latest < since)
    changed = changed[:ROWS_IN_FRAME]
    matching = {found.pk: found for found in rows.shown(filter).filter(pk__in=[pk for pk, _ in changed])}
    fragments, gone, size = [], [], 0
    for pk, seq in changed:
        if pk not in matching:
            gone.append(pk)
            last = seq
            continue
        html = rows.row(matching[pk])
        size += _weight(html)
        if fragments and size > ROW_BYTES:
            break
        fragments.append({"id": pk, "html": html})
        last = seq
    return Changes(last, fragments, gone)
