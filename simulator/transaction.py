"""All writing: one short immediate transaction at a time in this process."""

import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from types import TracebackType
from typing import Any

from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.backends.signals import connection_created
from django.db.utils import DatabaseErrorWrapper

from .rows import query

LOCK_WAIT_S = 5.0  # as long as the busy timeout of settings.DATABASES, for the same reason
LAST_WAIT_S = 0.3  # instead of LOCK_WAIT_S once the process is ending
NOTICEABLE_S = 0.1
_CAN_GO_ON = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR
_shut: str | None = None
_refused: str | None = None  # why the last write failed; None once one has succeeded
_ending = False


class Queue:
    """A lock given out in the order of asking, and re-entrant for the thread that holds it.

    Python's own goes to whichever thread runs when it becomes free: the engine, which takes it again every turn, kept
    others out for seconds.
    """

    def __init__(self) -> None:
        self._inside = threading.Lock()
        self._waiting: deque[tuple[int, threading.Lock]] = deque()  # threads, and the lock that wakes each
        self._holder: int | None = None
        self.depth = 0  # how many times its holder has acquired it

    def acquire(self, *, timeout: float) -> bool:
        """With a timeout of 0 it does not wait."""
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
        """Whether the lock was handed to us; if not, stop waiting for it."""
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


class _Errors(DatabaseErrorWrapper):
    """Django's, but SQLite without memory is a database that cannot be used now, like one on a full disk. Its driver
    raises MemoryError, and that would count as a bug: of a result, which would be recorded as our own error."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is MemoryError:
            raise OperationalError("out of memory") from error
        super().__exit__(kind, error, trace)


def _name_errors(connection: Any, **_: object) -> None:
    connection.wrap_database_errors = _Errors(connection)


connection_created.connect(_name_errors)


class Shut(OperationalError):
    """Nothing more can be written in this process; the text says why and what to do."""


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
        outermost = _lock.depth == 1  # a nested one is part of the outer one
        with _waiting(left), transaction.atomic(savepoint=outermost):
            yield
            if connection.needs_rollback:  # Django would silently roll back everything
                raise transaction.TransactionManagementError("A part of this failed, and nobody minded.")
        if outermost:
            _refused = None
    except DatabaseError as error:
        if type(error) in (DatabaseError, OperationalError):  # subclasses are about the data to be written
            _refused = str(error)
        _forget_cursors(error)
        raise
    finally:
        _lock.release()


@contextmanager
def _waiting(seconds: float) -> Iterator[None]:
    """Inside, SQLite waits no longer than this for a lock held by another process."""
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
    """Whether nobody is writing; if so, nobody can as long as this lasts. Does not wait, and writes nothing."""
    alone = _lock.acquire(timeout=0)
    try:
        yield alone
    finally:
        if alone:
            _lock.release()


def refused() -> str | None:
    """Why nothing can be written, according to the last attempt; None if that succeeded."""
    return _refused


def _forget_cursors(error: BaseException | None) -> None:
    """Django ties the error into a cycle with the frames it came through, and so with their cursors.

    If the garbage collector met them in the loop's thread while this connection waits for the lock again, the loop
    would wait too. A frame that can be resumed, a coroutine's, is left alone: clearing would end it.
    """
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if not frame.f_code.co_flags & _CAN_GO_ON:
                with suppress(RuntimeError):  # it still runs
                    frame.clear()
        error = error.__cause__


def checkpoint() -> None:
    """Copy the write-ahead log into the database file: as a write, nothing may overlap it. Without the lock it does
    nothing, and may be tried again."""
    if _lock.acquire(timeout=LOCK_WAIT_S):
        try:
            query("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            _lock.release()


def why_shut() -> str | None:
    """What `shut` was told. Reads fail then, too, and for this reason, whatever their error says."""
    return _shut


def shut(reason: str | None) -> None:
    """Refuse every write from now on, with this reason; None allows them again."""
    global _shut
    _shut = reason


def hurry() -> None:
    """This process is ending: nobody waits long for the lock any more, so that another program cannot keep it alive."""
    global _ending
    _ending = True
