"""What is written along with the engine's next group commit: one transaction less on the way of a click.

Knows no row and no loop. Where no engine runs in this process, everybody writes for himself.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import DatabaseError, OperationalError, connection, transaction

from . import feed
from .transaction import Shut, writing

T = TypeVar("T")
_open: "Entries | None" = None


def enter(write: Callable[[], T]) -> T:
    """What `write` returns, committed: by the engine with its next group commit, or in a transaction of its own.

    `write` runs in the thread that commits. Raises what it raises, and OperationalError as `writing()` does.
    Never from the engine's loop.
    """
    entries = _open
    if entries is None or connection.in_atomic_block:
        with writing():
            return write()
    result: T = entries.add(write).result()
    return result


class Entry:
    """`done` is what `write` returned or raised, once it is known how the transaction ended."""

    def __init__(self, write: Callable[[], Any]) -> None:
        self._write = write
        self._result: Any = None
        self._error: Exception | None = None
        self.done: Future[Any] = Future()

    def make(self) -> None:
        """Inside `writing()`. An error undoes this entry alone; one of the database is raised, and undoes everything."""
        try:
            with transaction.atomic():
                self._result = self._write()
        except Exception as error:
            if isinstance(error, OperationalError) or connection.needs_rollback:
                raise
            self._error = error

    def tell(self) -> None:
        if self._error:
            self.done.set_exception(self._error)
        else:
            self.done.set_result(self._result)


class Entries:
    """Those that wait for the next commit. One at a time is open, from the engine's start to its end."""

    def __init__(self) -> None:
        self._waiting: list[Entry] = []
        self._lock = threading.Lock()
        self._closed = False

    def open(self) -> None:
        global _open
        _open = self

    def add(self, write: Callable[[], Any]) -> "Future[Any]":
        """From any thread."""
        entry = Entry(write)
        with self._lock:
            if self._closed:
                raise Shut("The simulator is stopping. Start it again and send this once more.")
            self._waiting.append(entry)
        feed.nudge()
        return entry.done

    @contextmanager
    def taken(self, *, close: bool = False) -> Iterator[list[Entry]]:
        """All that wait, around their transaction: whoever added one hears at its end how it went. `close` for the
        last time."""
        global _open
        with self._lock:
            entries, self._waiting = self._waiting, []
            if close:
                self._closed = True
                _open = None if _open is self else _open
        try:
            yield entries
        except BaseException as error:
            failed = error if isinstance(error, DatabaseError) else OperationalError(str(error))
            for entry in entries:
                entry.done.set_exception(failed)
            raise
        for entry in entries:
            entry.tell()
