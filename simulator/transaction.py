"""How anything is written: one short immediate transaction at a time in this process."""

import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR

from django.db import DatabaseError, OperationalError, connection, transaction

from .rows import query

LOCK_WAIT_S = 5.0  # the busy timeout of settings.DATABASES, for the same reason
LAST_WAIT_S = 0.3  # the same once the process ends
NOTICEABLE_S = 0.1
_CAN_GO_ON = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR
_shut: str | None = None
_refused: str | None = None  # why the last write failed; None once one has succeeded
_ending = False


class Queue:
    """A lock that is had in the order in which it was asked for, and at once by the thread that has it.

    Python's own goes to whoever runs when it is free: the engine, which takes it again turn by turn, kept others out
    for seconds.
    """

    def __init__(self) -> None:
        self._inside = threading.Lock()
        self._waiting: deque[tuple[int, threading.Lock]] = deque()  # threads, and what wakes each
        self._holder: int | None = None
        self.depth = 0  # how many times the one who has it has it

    def acquire(self, *, timeout: float) -> bool:
        """With 0 seconds nobody is waited for."""
        me = threading.get_ident()
        if self._holder != me and not self._enter(me, timeout):
            return False
        self.depth += 1
        return True

    def release(self) -> None:
        self.depth -= 1
        if not self.depth:
            self._leave()

    def _enter(self, me: int, timeout: float) -> bool:
        with self._inside:
            if self._holder is None:
                self._holder = me
                return True
            woken = threading.Lock()
            woken.acquire()
            self._waiting.append((me, woken))
        try:
            woken.acquire(timeout=timeout)
        except BaseException:  # Ctrl-C
            if self._given(me, woken):
                self._leave()
            raise
        return self._given(me, woken)

    def _given(self, me: int, woken: threading.Lock) -> bool:
        """Whether it was handed over; else it is not waited for any more."""
        with self._inside:
            if self._holder != me:
                self._waiting.remove((me, woken))
            return self._holder == me

    def _leave(self) -> None:
        with self._inside:
            self._holder = None
            if self._waiting:
                self._holder, woken = self._waiting.popleft()
                woken.release()


_lock = Queue()


class Shut(OperationalError):
    """Nothing can be written any more in this process; the text says why and what to do."""


@contextmanager
def writing() -> Iterator[None]:
    """An atomic block under the process-wide write lock, held across COMMIT.

    Writers queue here instead of in SQLite's busy handler, and no checkpoint of one connection can overlap
    another's commit (the WAL-reset corruption of SQLite < 3.51.3 needs that overlap). Raises OperationalError
    when the database stays locked for LOCK_WAIT_S, in both queues together. Never hold it across network I/O.
    """
    global _refused
    if _shut:
        raise Shut(_shut)
    patience, began = LAST_WAIT_S if _ending else LOCK_WAIT_S, time.monotonic()
    if not _lock.acquire(timeout=patience):
        _refused = "database is locked"
        raise OperationalError(_refused)
    try:
        left = patience - (time.monotonic() - began)
        outermost = _lock.depth == 1  # one inside of another is a part of it
        with _waiting(left), transaction.atomic(savepoint=outermost):
            yield
            if connection.needs_rollback:  # Django would undo all of it in silence
                raise transaction.TransactionManagementError("A part of this failed, and nobody minded.")
        if outermost:
            _refused = None
    except DatabaseError as error:
        if type(error) in (DatabaseError, OperationalError):  # the others are about what was to be written
            _refused = str(error)
        _forget_cursors(error)
        raise
    finally:
        _lock.release()


@contextmanager
def _waiting(seconds: float) -> Iterator[None]:
    """Meanwhile SQLite waits for a lock of another process no longer than that."""
    if seconds > LOCK_WAIT_S - NOTICEABLE_S:
        yield
        return
    query(f"PRAGMA busy_timeout = {max(0.0, seconds) * 1000:.0f}")
    try:
        yield
    finally:
        query(f"PRAGMA busy_timeout = {LOCK_WAIT_S * 1000:.0f}")


@contextmanager
def if_nobody_writes() -> Iterator[bool]:
    """Whether nobody writes; if so nobody does inside. Nothing is written here, and nobody is waited for."""
    alone = _lock.acquire(timeout=0)
    try:
        yield alone
    finally:
        if alone:
            _lock.release()


def refused() -> str | None:
    """Why nothing can be written, as far as the last one who tried knows."""
    return _refused


def _forget_cursors(error: BaseException | None) -> None:
    """Django ties the error into a cycle with the frames it came through, and so with their cursors.

    Should the collector find them in the loop's thread while this connection waits for the lock again, the loop would
    wait with it. A frame that can go on, a coroutine's, is left alone: to clear it would end it.
    """
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if not frame.f_code.co_flags & _CAN_GO_ON:
                with suppress(RuntimeError):  # it still runs
                    frame.clear()
        error = error.__cause__


def checkpoint() -> None:
    """Copy the write-ahead log into the database file: also a write that nothing may overlap. It may be tried again."""
    if _lock.acquire(timeout=LOCK_WAIT_S):
        try:
            query("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            _lock.release()


def why_shut() -> str | None:
    """What `shut` was told: reads fail then, too, and for this reason, whatever they say."""
    return _shut


def shut(reason: str | None) -> None:
    """From now on refuse every write with this reason; None lifts it."""
    global _shut
    _shut = reason


def hurry() -> None:
    """This process ends: from now on nobody waits long for the lock, so that another program cannot keep it alive."""
    global _ending
    _ending = True
