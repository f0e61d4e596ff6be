"""How anything is written: in turn, whole or not at all, and not any more once that would go nowhere."""

import contextlib
import gc
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction

from simulator.models import Activity
from simulator.rows import query
from simulator.transaction import Queue, Shut, checkpoint, refused, shut, writing
from simulator.transaction import _lock as turns

from .serving import DEFAULTS, ROOT
from .waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def open_again() -> Iterator[None]:
    yield
    shut(None)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers who wait for a twentieth of a second instead of five."""
    monkeypatch.setattr("simulator.transaction.LOCK_WAIT_S", 0.05)


def note(action: str) -> None:
    with writing():
        Activity.note("test", action)


def noted() -> list[str]:
    return sorted(Activity.objects.values_list("action", flat=True))


def in_another_thread(step: Any, *arguments: Any) -> BaseException | None:
    """What it raised, if it did."""

    def run() -> None:
        try:
            step(*arguments)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).exception(10)


def test_writers_in_many_threads_take_turns_and_none_is_refused() -> None:
    together, inside = threading.Barrier(6), []

    def write(number: int) -> None:
        together.wait(5)
        for _ in range(5):
            with writing():
                inside.append(number)
                Activity.note("test", f"{number}")
                inside.append(number)

    with ThreadPoolExecutor(6) as threads:
        refused = list(threads.map(lambda number: in_another_thread(write, number), range(6)))
    assert refused == [None] * 6
    assert inside[::2] == inside[1::2], "somebody entered before the one inside had left"
    assert len(noted()) == 30


@pytest.fixture
def queue() -> Iterator[Queue]:
    """One that this thread has."""
    queue = Queue()
    assert queue.acquire(timeout=0)
    yield queue
    assert not queue._waiting and queue.acquire(timeout=0), "somebody kept it, or still waits"


def joined(queue: Queue, thread: ThreadPoolExecutor, then: Any = lambda: None) -> Any:
    """Somebody else waits for it, who then does this and lets it go; what comes of it."""

    def run() -> None:
        assert queue.acquire(timeout=10)
        then()
        queue.release()

    before = len(queue._waiting)
    told = thread.submit(run)
    wait_until(lambda: len(queue._waiting) > before)
    return told


def test_who_writes_again_and_again_lets_those_who_wait_go_first(queue: Queue) -> None:
    """Before, whoever ran took it: a writer waited 5 s for the engine, which took it turn by turn, and was refused."""
    order: list[str] = []
    with ThreadPoolExecutor(2) as threads:
        told = [joined(queue, threads, lambda name=name: order.append(name)) for name in ("first", "second")]
        queue.release()
        assert queue.acquire(timeout=10)
        order.append("again")
        queue.release()
        for each in told:
            each.result(10)
    assert order == ["first", "second", "again"]


def test_who_has_it_need_not_wait_and_lets_it_go_at_the_last_release(queue: Queue) -> None:
    with ThreadPoolExecutor(1) as thread:
        told = joined(queue, thread)
        assert queue.acquire(timeout=0)
        queue.release()
        assert not told.done() and queue._waiting
        queue.release()
        told.result(10)


def test_who_gave_up_waiting_is_not_waited_for(queue: Queue) -> None:
    with ThreadPoolExecutor(1) as thread:
        assert not thread.submit(queue.acquire, timeout=0.01).result(10)
        assert not thread.submit(queue.acquire, timeout=0).result(10)
    queue.release()


def test_who_is_interrupted_when_it_has_just_become_his_turn_lets_it_go(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted:
        def acquire(self, timeout: float | None = None) -> None:
            if timeout is not None:
                queue._holder = threading.get_ident()
                queue._waiting.clear()
                raise KeyboardInterrupt

    def wait() -> None:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(threading, "Lock", Interrupted)
            queue.acquire(timeout=1)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(wait).result(10)
    assert queue._holder is None


def test_a_writer_who_waited_too_long_is_told_as_if_sqlite_had_said_it(impatient: None) -> None:
    with writing():
        error = in_another_thread(note, "too late")
    assert isinstance(error, OperationalError) and str(error) == "database is locked"
    assert noted() == []


def test_both_queues_together_take_no_longer_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of this process, and SQLite's own behind another program."""
    monkeypatch.setattr("simulator.transaction.LOCK_WAIT_S", 0.6)
    begun = threading.Event()

    def write() -> None:
        begun.set()
        note("late")

    with (
        closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other,
        ThreadPoolExecutor(1) as thread,
    ):
        other.execute("BEGIN IMMEDIATE")
        turns.acquire(timeout=1)  # somebody of this process is at it
        told = thread.submit(in_another_thread, write)
        assert begun.wait(5)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() > began + 0.4)
        turns.release()
        assert isinstance(told.result(10), OperationalError)
        assert time.monotonic() - began < 0.95


def test_who_had_little_time_once_has_as_much_as_ever_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as ending:
        ending.setattr("simulator.transaction._ending", True)
        with writing():
            assert query("PRAGMA busy_timeout")[0][0] <= 300
    assert query("PRAGMA busy_timeout") == [(5000,)]


def test_that_nothing_can_be_written_is_known_until_something_was(impatient: None) -> None:
    note("first")
    assert refused() is None
    with writing():
        in_another_thread(note, "too late")
        assert refused() == "database is locked"
    assert refused() is None
    with pytest.raises(IntegrityError), writing():
        Activity.objects.create(actor=None)
    assert refused() is None, "that is about what was to be written"


def cursors() -> int:
    return sum(isinstance(each, sqlite3.Cursor) for each in gc.get_objects())


@pytest.mark.parametrize("step", ["begin", "write"])
def test_an_error_leaves_no_cursor_to_the_garbage_collector(step: str) -> None:
    """It would wait for the connection, wherever it runs."""
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 10")
        other.execute("BEGIN IMMEDIATE" if step == "begin" else "SELECT 1")
        gc.collect()
        gc.disable()
        try:
            before = cursors()
            for _ in range(3):
                with pytest.raises(DatabaseError), writing():
                    Activity.objects.create(actor=None)
            assert cursors() == before
        finally:
            gc.enable()
            other.close()
            connection.close()


def test_the_turn_ends_only_after_the_commit(impatient: None) -> None:
    told: list[BaseException | None] = []
    with writing():
        # Runs when SQLite itself is free again: only the lock of the process can still say no.
        transaction.on_commit(lambda: told.append(in_another_thread(note, "too early")))
        Activity.note("test", "committed")
    assert [type(error) for error in told] == [OperationalError]
    assert noted() == ["committed"]


def test_a_checkpoint_takes_its_turn_too(impatient: None) -> None:
    file = Path(connection.settings_dict["NAME"])
    note("only in the log")
    before = file.stat().st_mtime_ns
    with writing():
        assert in_another_thread(checkpoint) is None
        assert file.stat().st_mtime_ns == before, "nothing may be copied while somebody writes"
    checkpoint()
    assert file.stat().st_mtime_ns > before


def test_what_fails_half_way_leaves_nothing_and_nobody_waiting() -> None:
    with pytest.raises(ZeroDivisionError), writing():
        Activity.note("test", "half")
        1 / 0  # noqa: B018
    assert in_another_thread(note, "next") is None
    assert noted() == ["next"]


def test_writing_within_writing_is_one_transaction() -> None:
    with pytest.raises(ZeroDivisionError), writing():
        note("inner")
        1 / 0  # noqa: B018
    assert noted() == []


def test_when_it_is_shut_nothing_is_written_and_the_reason_is_given(open_again: None) -> None:
    shut("The database file was deleted.")
    with pytest.raises(Shut, match="The database file was deleted.") as refused:
        note("refused")
    assert isinstance(refused.value, OperationalError), "whoever survives a locked database survives this"
    assert type(in_another_thread(note, "refused")) is Shut
    shut(None)
    note("accepted")
    assert noted() == ["accepted"]


def test_one_inside_of_another_is_a_part_of_it_and_does_not_fail_in_silence() -> None:
    with pytest.raises(transaction.TransactionManagementError), writing():
        note("before")
        with contextlib.suppress(ZeroDivisionError), writing():
            note("within")
            raise ZeroDivisionError
    assert noted() == []
    with writing():
        note("outer")
        with writing():
            note("inner")
    assert noted() == ["inner", "outer"]


def test_sqlite_without_memory_is_a_database_that_cannot_be_used_now_and_no_bug(tmp_path: Path) -> None:
    # In a process of its own: SQLite takes this limit for all its connections, and never gives it back.
    code = """
import logging
from contextlib import suppress
import django; django.setup()
from django.core.management import call_command
from django.db import DatabaseError, connection
from simulator.logs import FaultsOnly
from simulator.models import Activity
from simulator.rows import query
from simulator.transaction import refused, writing

def note():
    with writing():
        Activity.note("test", "refused")

call_command("migrate", verbosity=0)
with suppress(DatabaseError):  # an older SQLite obeys so soon that it cannot answer
    query("PRAGMA hard_heap_limit = 1")
for step in (Activity.objects.first, lambda: query("SELECT 2"), note):
    try:
        step()
    except DatabaseError as error:
        entry = logging.LogRecord("x", logging.ERROR, "", 0, "", (), (type(error), error, None))
        print(type(error).__name__, error, FaultsOnly().filter(entry))
print(refused())
"""
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **DEFAULTS, "SIM_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert told.stdout.splitlines() == ["OperationalError out of memory False"] * 3 + ["out of memory"], told
