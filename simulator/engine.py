"""The loop: claims, sends, records, recovers. Nothing about HTTP, HTML or SQL inside.

One turn is one group commit in the engine's own database thread: it records what came back since the last turn, and
fills the room this makes with new claims. The loop waits for it as long as it is short.
Polling finds everything that is due; a nudge only makes the next poll come sooner.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.db import DatabaseError, connection

from . import batches, claims, feed, ids, shortcut, transaction
from . import targets as allowed
from .claims import Claim
from .courtesy import Courtesy
from .ledger import Ledger, Turn, Waiting
from .line import Line
from .lines import Lines
from .models.delivery import BATCH, CLICK
from .outcome import LateAnswer, Outcome, internal_error
from .results import Result
from .surroundings import OneCore, Replaced
from .upkeep import Upkeep
from .wire import Transport

log = logging.getLogger(__name__)
T = TypeVar("T")

POLL_S = 0.5  # how often the database file is looked at, and queried if somebody has written to it
LOOK_S = 5.0  # how often it is queried in any case
STEP = 10  # events of a batch made in one turn, at most, while people are using the simulator
STANDSTILL_S = 0.02  # how long the loop stands still for a commit before it goes on beside it
GATHER_S = 0.02  # how long a result waits for others, to be committed together with them
GATHER_RESULTS = 80
ASIDE_S = 0.001  # no longer: the loop may be standing still for a turn that waits for the same lock
BULK_S = 1.0  # for so long after the last event of a batch the process counts as sending in bulk
RESTART_S = 0.5
CLOCK_NOTICE_S = 60.0

_current: "Engine | None" = None


def troubles() -> list[str]:
    """What is not well with the engine of this process, in words; empty when all is."""
    return ["The delivery engine is not running."] if _current is None else _current.troubles()


def notices() -> list[str]:
    """What a person should know although everything works, in words."""
    return [] if _current is None else _current.notices()


def _unwritable(why: str | None) -> str | None:
    return f"The database cannot be written ({why}). Nothing is sent until it can." if why else None


def abandon(endpoint_id: str, within: float = 2.0) -> None:
    """After an endpoint was deleted: return once nothing more is sent to it, at the latest after `within` seconds.

    To be called from any thread but the loop's. Attempts in flight are ended and recorded as interrupted.
    """
    number = ids.decode("ep", endpoint_id)
    if _current is not None and not _current._life.done() and number is not None:
        ended = asyncio.run_coroutine_threadsafe(_current.abandon(number), _current.loop)
        try:
            ended.result(within)
        except TimeoutError:
            ended.cancel()


def attending() -> AbstractContextManager[None]:
    """While inside, a person is waiting: bulk sending stands still. On the engine's loop only."""
    return contextlib.nullcontext() if _current is None else _current._courtesy.attending()


def current() -> "Engine | None":
    """The engine of this process, even after it has stopped; None before one was started."""
    return _current


class Engine:
    """Delivers what is due until it is stopped. One per database: hold datafolder.EngineLock."""

    def __init__(
        self,
        *,
        listeners: Collection[tuple[str, int]] = (),
        concurrency: int | None = None,
        scale: float | None = None,
        ledger: Callable[[Path, float], Ledger] = Ledger,
    ):
        self._scale: float = settings.SIM_RETRY_SCALE if scale is None else scale
        self._transport = Transport(guard=partial(allowed.judge, own_listeners=listeners))
        self._new_ledger = ledger
        self._database = ThreadPoolExecutor(1, "engine-database")
        self._courtesy = Courtesy(lambda: self._bell.set())
        limit = settings.SIM_CONCURRENCY if concurrency is None else concurrency
        self._lines = Lines(limit, lambda: self._transport.in_use)
        self._next = Waiting()
        self._gathering: asyncio.TimerHandle | None = None
        self._asked: set[Future[Any]] = set()  # `try_out`s under way, with other threads waiting for them
        self._abandoning: Counter[int] = Counter()  # deleted endpoints that still have something out
        self._serving = self._stopping = False
        self._trouble: str | None = "The delivery engine is starting."
        self._core = OneCore()
        self._upkeep = Upkeep(self._courtesy, self._in_database)
        self._bulk_at = -BULK_S

    def troubles(self) -> list[str]:
        if trouble := self._trouble or _unwritable(transaction.refused()):
            return [trouble]
        if self._life.done() and not self._stopping:
            return ["The delivery engine has ended because of a bug. Start the simulator again."]
        files = self._lines.files
        if not self._lines.out and not files.free():
            limit = f"The limit of open files (ulimit -n {files.limit}) leaves none for sending"
            return [f"{limit}: close pages and streams that are open here, or start again with a higher one."]
        return ["The delivery engine is stopping."] if self._stopping else []

    def notices(self) -> list[str]:
        jump = self._ledger.clock_set
        if abs(jump) < CLOCK_NOTICE_S:
            return []
        return [f"This machine's clock was changed by {jump:+.0f} s. Waiting retries moved with it."]

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover what a killed process left behind, then deliver. Returns once the loop runs."""
        global _current
        self.loop = asyncio.get_running_loop()
        self._bell = asyncio.Event()
        self._turned = self.loop.create_future()
        self._nudge = feed.on_due(partial(self.loop.call_soon_threadsafe, self._bell.set))
        self._edit = feed.on_edit(lambda *facts: self.loop.call_soon_threadsafe(self._renew, *facts))
        self._ledger = self._new_ledger(Path(connection.settings_dict["NAME"]), self._scale)
        await self._in_database(self._ledger.recover)
        self._trouble = None
        self._life = self.loop.create_task(self._live(), name="engine")
        shortcut.lead(partial(self._ledger.claim_new, hand_over=self._hand_over))
        _current = self

    async def stop(self, grace: float = 5.0) -> None:
        """Claim nothing more, give what is in flight `grace` seconds to end, and interrupt the rest.

        It stays the engine of this process, so that requests that still come in do not start sending without it.
        """
        self._stopping = True
        self._ledger.taking = False
        self._bell.set()
        for asked in tuple(self._asked):
            asked.cancel()
        done, _ = await asyncio.wait([self._life], timeout=grace)
        if not done:
            self._life.cancel()
            await asyncio.wait([self._life])
        feed.off(self._nudge)
        feed.off(self._edit)
        shortcut.lead(None)
        with contextlib.suppress(DatabaseError):  # the next start recovers what could not be written now
            await self._in_database(self._ledger.settle)
            await self._in_database(partial(self._ledger.close, self._next, self._lines.withdraw()))
        await self._transport.aclose()
        self._core.keep(False)
        self._database.shutdown()
        self._trouble = "The delivery engine has stopped."

    async def drain(self) -> None:
        """Return when nothing unfinished is left, except what a paused endpoint holds."""
        while await self._in_database(claims.unfinished) or self._lines.out:
            await asyncio.shield(self._turned)

    async def _live(self) -> None:
        """Serve until told to stop; a bug in the loop costs half a second, never a delivery."""
        bug: Exception | None = None
        while True:
            try:
                if bug:
                    await asyncio.sleep(RESTART_S)
                    log.error("The engine failed and starts again", exc_info=bug)
                    await self._in_database(partial(self._ledger.start_again, self._next))
                    self._lines.start_again()
                    self._next = Waiting()
                    self._trouble = bug = None
                await self._serve()
                return
            except Exception as error:  # noqa: BLE001  (told in the next round: without memory even that can fail)
                self._trouble = "The delivery engine failed because of a bug and is starting again."
                bug = error

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as self._attempts:
            self._serving, self._ledger.taking = True, not self._stopping
            try:
                while not (self._stopping and not self._lines.out):
                    await self._turn()
                    self._turned.set_result(None)
                    self._turned = self.loop.create_future()
            finally:
                self._serving = self._ledger.taking = False

    async def abandon(self, number: int) -> None:
        """An endpoint was deleted: give back what waits, end what is in flight; return when that is recorded."""
        line = self._lines[number]
        self._abandoning[number] += 1
        try:
            while True:
                self._next.released += line.withdraw()
                for slot in line.attempts:
                    slot.cancel()
                if line.idle and not any(claim.target.id == number for claim in self._lines.out):
                    self._lines.pop(number, None)
                    self._ledger.forget(number)
                    return
                self._bell.set()
                await asyncio.shield(self._turned)  # a claim of the turn under way may still come
        finally:
            self._abandoning -= Counter([number])

    def try_out(self, use: Callable[[Transport], Coroutine[Any, Any, T]]) -> T:
        """Run `use` on the engine's loop, with its transport, and return the result. From any other thread.

        Raises CancelledError if the engine stops, or has stopped.
        """
        asked = asyncio.run_coroutine_threadsafe(use(self._transport), self.loop)
        self._asked.add(asked)
        asked.add_done_callback(self._asked.discard)
        if self._stopping:
            asked.cancel()
        return asked.result()

    # -- one turn ------------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        given, self._next = self._next, Waiting()
        if self._gathering:
            self._gathering.cancel()
            self._gathering = None
        if self._bulk_waits and not self._abandoning:  # a person must not wait for results of bulk
            self._next.results = [result for result in given.results if result.claim.lane == BATCH]
            given.results = [result for result in given.results if result.claim.lane != BATCH]
        for line in self._lines.values():
            self._pump(line)
            given.released += line.stale()
        try:
            turn = await self._at_once(self._step(given))
        except (DatabaseError, Replaced) as error:
            self._next = given.before(self._next)
            await self._pause_for(error)
            return
        except BaseException:  # a bug, or cancelled; it may be committed, but recording twice changes nothing
            self._next = given.before(self._next)
            raise
        self._trouble = None
        self._ledger.taking = not self._stopping
        self._lines.out.difference_update(given.ended())
        self._line_up(turn.claims)
        if any(claim.lane == BATCH for claim in turn.claims):
            self._bulk_at = time.monotonic()
        self._core.keep(self._courtesy.recent or time.monotonic() - self._bulk_at < BULK_S)
        try:
            more = await self._upkeep.after(busy=bool(turn.claims or given.results))
        except DatabaseError as error:
            await self._pause_for(error)
            return
        if not more:
            await self._rest(turn.next_due)

    def _hand_over(self, claims: list[Claim]) -> None:
        """In the thread that stored and claimed them; it waits a moment, so that the loop gets the GIL to send them."""
        on_their_way = threading.Event()
        self.loop.call_soon_threadsafe(self._line_up, claims)
        self.loop.call_soon_threadsafe(self.loop.call_soon, on_their_way.set)  # after the first step of each
        on_their_way.wait(ASIDE_S)

    def _line_up(self, claims: list[Claim]) -> None:
        """Start claims, made by a turn or where a click was stored, as far as the limits allow."""
        for claim in claims:
            if not self._lines.add(claim):
                self._give_back([claim])
        for number in {claim.target.id for claim in claims} if self._serving else ():
            self._pump(self._lines[number])

    def _renew(self, number: int, revision: int, limit: int) -> None:
        """An endpoint was edited: give back the claims and drop the connections made for what it was before."""
        self._give_back(self._lines[number].renew(revision, limit))
        self._transport.forget(number)

    def _give_back(self, claims: list[Claim]) -> None:
        self._next.released += claims
        self._bell.set()

    async def _pause_for(self, error: Exception) -> None:
        """Nothing may be sent that cannot be recorded: claim nothing, keep the results, try again soon."""
        if isinstance(error, Replaced):
            transaction.shut(str(error))
            self._trouble = str(error)
        else:
            self._trouble = _unwritable(str(error))
        self._ledger.taking = False  # until a turn has succeeded
        await asyncio.sleep(POLL_S)

    def _step(self, given: Waiting) -> Callable[[], Turn]:
        room = self._lines.room(len(given.ended()))
        if self._stopping:
            room.free = room.clicks = 0
        return self._ledger.turn(given, room, self._bulk(), self._lines.out)

    def _bulk(self) -> int:
        """How many events of a batch this turn may make: only a few, and not in every turn, while people are active."""
        if self._bulk_waits or self._stopping:
            return 0
        if not self._courtesy.recent:
            return batches.GROUP
        return 0 if self._courtesy.rests(self._bulk_at) else STEP

    @property
    def _bulk_waits(self) -> bool:
        return self._courtesy.asked and not self._stopping

    async def _rest(self, next_due: datetime | None) -> None:
        """Wait until something is due or has come back, a nudge comes, or a poll finds that somebody has written."""
        began = time.monotonic()
        while True:
            wait = POLL_S
            if next_due is not None:
                wait = min(wait, max(0.0, (next_due - datetime.now(UTC)).total_seconds()))
            try:
                async with asyncio.timeout(wait):
                    await self._bell.wait()
            except TimeoutError:
                quiet = not (
                    self._lines.out or self._upkeep.to_index or self._lines.starved or transaction.refused()
                )
                if quiet and wait == POLL_S and time.monotonic() - began < LOOK_S and self._ledger.untouched:
                    continue
            self._bell.clear()
            return

    # -- in the database thread ----------------------------------------------------------------------------------

    async def _in_database(self, step: Callable[[], T]) -> T:
        return await self.loop.run_in_executor(self._database, step)

    async def _at_once(self, step: Callable[[], T]) -> T:
        """`_in_database` for a step that mostly takes a few ms: the loop stands still for it, up to STANDSTILL_S.

        Two threads running Python pass the GIL back and forth at every socket call and SQL statement, each time
        waking a sleeping thread: that took a third of all processor time.
        """
        done = self._database.submit(step)
        wait([done], STANDSTILL_S)
        return done.result() if done.done() else await asyncio.wrap_future(done)

    # -- one attempt ---------------------------------------------------------------------------------------------

    def _pump(self, line: Line) -> None:
        """Start what the endpoint's limit allows."""
        while claim := self._lines.next(line, bulk=not self._bulk_waits):
            slot = self._attempts.create_task(self._attempt(claim, line))
            line.attempts[slot] = claim
            slot.add_done_callback(partial(self._left, line))

    async def _attempt(self, claim: Claim | None, line: Line) -> None:
        """One slot of the endpoint: makes an attempt, then those that wait, one after the other."""
        slot = asyncio.current_task()
        assert slot is not None
        while claim:
            line.attempts[slot] = claim
            outcome = await self._send(claim)
            self._lines.ended(line, outcome.duration_ms / 1000)
            result = Result(claim, outcome)
            claim = self._lines.next(line, bulk=not self._bulk_waits)
            self._gather(result)

    def _gather(self, result: Result) -> None:
        """Have it recorded soon, with others; a result of bulk only once nobody is waiting."""
        self._next.results.append(result)
        if self._bulk_waits and result.claim.lane == BATCH:
            return
        if not self._lines.in_flight or len(self._next.results) >= GATHER_RESULTS:
            self._bell.set()
        elif not self._gathering:
            self._gathering = self.loop.call_later(GATHER_S, self._bell.set)

    def _left(self, line: Line, slot: asyncio.Task[None]) -> None:
        """A slot has ended. If cancelled, perhaps before its first step, its claim is still open."""
        claim = line.attempts.pop(slot)
        if slot.cancelled():
            self._lines.ended(line, None)
            self._next.abandoned.append(claim)

    async def _send(self, claim: Claim) -> Outcome:
        """Return an outcome whatever happens: a bug costs this attempt, not the loop."""
        target = claim.target
        try:
            if claim.flaw:
                raise claim.flaw
            return await self._transport.post(
                target.url,
                claim.headers,
                claim.body,
                owner=target.id,
                timeout=target.timeout,
                tls_verify=target.tls_verify,
                at_once=claim.lane == CLICK,
                on_late=partial(self._note_late, claim),
            )
        except Exception as flaw:
            if flaw is not claim.flaw:
                log.exception("An attempt failed because of a bug")
            return internal_error(f"{type(flaw).__name__}: {flaw}")

    def _note_late(self, claim: Claim, answer: LateAnswer) -> None:
        self._next.late.append((claim, answer))
