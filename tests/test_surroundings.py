"""What the engine must notice about its surroundings, with clocks that the test sets."""

import errno
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from django.db import OperationalError

from simulator import surroundings
from simulator.surroundings import (
    FILE_CHECK_S,
    FILES_CHECK_S,
    Clock,
    DatabaseFile,
    LogDeleted,
    OneCore,
    OpenFiles,
    Replaced,
)


class Clocks:
    """The two clocks of a machine; stands in for the module `time`."""

    wall, running, asleep = 1_738_896_900.0, 1000.0, 0.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.running - self.asleep

    def clock_gettime(self, which: int) -> float:
        assert which != time.CLOCK_REALTIME
        return self.running

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.running += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    monkeypatch.setattr(surroundings, "time", made)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "simulator.sqlite3"
    file.write_bytes(b"")
    return file


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"")
    other.rename(path)


@pytest.mark.parametrize("how", [Path.unlink, replace])
def test_a_database_file_that_was_deleted_or_replaced_is_noticed_within_two_seconds(
    path: Path, clocks: Clocks, how
) -> None:
    file = DatabaseFile(path)
    file.check()
    how(path)
    clocks.passes(FILE_CHECK_S)
    assert FILE_CHECK_S <= 2
    with pytest.raises(Replaced, match=str(path)):
        file.check()


def test_a_file_that_was_emptied_is_noticed_too(path: Path, clocks: Clocks) -> None:
    path.write_bytes(b"rows")
    file = DatabaseFile(path)
    file.check()
    path.write_bytes(b"")
    clocks.passes(FILE_CHECK_S)
    with pytest.raises(Replaced, match="emptied"):
        file.check()


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
@pytest.mark.parametrize("how", [Path.unlink, replace])
def test_what_sqlite_keeps_beside_it_is_a_part_of_it(path: Path, clocks: Clocks, suffix: str, how) -> None:
    file, beside = DatabaseFile(path), path.with_name(path.name + suffix)
    file.check()
    clocks.passes(FILE_CHECK_S)
    beside.write_bytes(b"made when the first connection wrote")
    file.check()
    beside.write_bytes(b"")
    clocks.passes(FILE_CHECK_S)
    file.check()
    how(beside)
    clocks.passes(FILE_CHECK_S)
    with pytest.raises(Replaced, match=f"{beside}, a part"):
        file.check()


def test_a_log_that_is_gone_is_noticed_by_whoever_looks_at_what_was_written(
    path: Path, clocks: Clocks
) -> None:
    file, log = DatabaseFile(path), path.with_name(f"{path.name}-wal")
    log.write_bytes(b"rows")
    file.seen()
    file.check()
    log.unlink()
    file.seen()
    with pytest.raises(LogDeleted):
        file.check()


def test_between_two_looks_the_file_system_is_left_alone(path: Path, clocks: Clocks) -> None:
    file = DatabaseFile(path)
    file.check()
    path.unlink()
    clocks.passes(FILE_CHECK_S - 0.01)
    file.check()
    clocks.passes(0.02)
    with pytest.raises(Replaced):
        file.check()


def test_a_file_that_was_gone_is_not_trusted_again_when_it_comes_back(path: Path, clocks: Clocks) -> None:
    file = DatabaseFile(path)
    aside = path.with_name("aside")
    path.rename(aside)
    with pytest.raises(Replaced):
        file.check()
    aside.rename(path)
    clocks.passes(FILE_CHECK_S)
    with pytest.raises(Replaced):
        file.check()


def test_a_file_that_only_grows_is_the_same_file(path: Path, clocks: Clocks) -> None:
    file = DatabaseFile(path)
    for rows in (b"rows", b"more rows"):
        path.write_bytes(rows)
        clocks.passes(FILE_CHECK_S)
        file.check()
    path.write_bytes(b"")
    clocks.passes(FILE_CHECK_S)
    with pytest.raises(Replaced, match="emptied"):  # it has looked, and knows the file as a full one
        file.check()


def test_a_file_in_a_folder_that_cannot_be_looked_into_is_neither_trusted_nor_given_up(
    path: Path, clocks: Clocks
) -> None:
    file = DatabaseFile(path)
    with closed(path.parent):
        with pytest.raises(OperationalError, match=str(path)):
            file.check()
        with pytest.raises(OperationalError, match=str(path)):
            file.seen()
        assert not file.untouched
    clocks.passes(FILE_CHECK_S)
    file.check()
    assert file.untouched


@contextmanager
def closed(folder: Path) -> Iterator[None]:
    """Nobody can look into it, not even root; what is open in it stays open."""
    aside = folder.rename(folder.with_name("aside"))
    folder.symlink_to(folder)
    try:
        yield
    finally:
        folder.unlink()
        aside.rename(folder)


def test_a_file_whose_folder_became_a_file_is_gone(path: Path) -> None:
    file, folder = DatabaseFile(path), path.parent
    folder.rename(folder.with_name("aside"))
    folder.write_bytes(b"")
    with pytest.raises(Replaced):
        file.check()


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 5.0, -5.0])
def test_a_clock_that_was_set_is_told_by_how_much_until_that_is_accepted(clocks: Clocks, jump: float) -> None:
    clock = Clock()
    clocks.passes(86_400)
    assert clock.jump == 0.0
    clocks.wall += jump
    assert clock.jump == pytest.approx(jump), "until what waits has been moved"
    clocks.passes(1)
    assert clock.jump == pytest.approx(jump)
    clock.accept(clock.jump)
    assert clock.jump == 0.0


def test_a_clock_that_is_trimmed_was_not_set_until_the_trims_add_up(clocks: Clocks) -> None:
    clock = Clock()
    told = []
    for _ in range(5):
        clocks.wall += 1.0
        told.append(clock.jump)
    assert told == [0.0, 0.0, 0.0, 0.0, pytest.approx(5.0)]


def test_a_machine_that_slept_has_not_set_its_clock(clocks: Clocks) -> None:
    clock = Clock()
    clocks.passes(3600)
    clocks.asleep += 3600
    assert clock.jump == 0.0


def test_every_open_file_leaves_one_less_for_attempts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "PLENTY", 1_000_000)
    files = OpenFiles()
    before = files.free()
    with ExitStack() as opened:
        for _ in range(20):
            opened.enter_context(path.open())
        assert files.free() == before - 20
    assert files.free() == before


def test_while_there_are_plenty_they_are_counted_now_and_then(
    clocks: Clocks, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "PLENTY", 1)
    files = OpenFiles()
    before = files.free()
    with ExitStack() as opened:
        for _ in range(20):
            opened.enter_context(path.open())
        assert files.free() == before, "counted at most four times a second"
        clocks.passes(FILES_CHECK_S)
        assert files.free() == before - 20
    clocks.passes(FILES_CHECK_S)
    assert files.free() == before


@contextmanager
def limit_of_open_files(count: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("fault", [errno.EMFILE, errno.ENFILE])
def test_when_none_is_left_to_count_them_with_all_are_in_use(
    clocks: Clocks, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    def exhausted(path: str) -> list[str]:
        raise OSError(fault, os.strerror(fault), path)

    files = OpenFiles()
    monkeypatch.setattr(os, "listdir", exhausted)
    assert files.free() == 0
    monkeypatch.undo()
    clocks.passes(FILES_CHECK_S)
    assert files.free() > 0


def test_of_a_low_limit_a_quarter_is_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = len(os.listdir("/dev/fd"))
    monkeypatch.setattr(surroundings, "SPARE_FILES", 2 * opened)
    with limit_of_open_files(opened * 2):
        assert OpenFiles().free() > 0


def test_without_a_limit_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    none = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)  # -1 on Linux; what a Mac's shell has
    monkeypatch.setattr(resource, "getrlimit", lambda _: none)
    assert OpenFiles().free() > 100_000


def test_when_files_run_out_none_is_left_rather_than_less_than_none() -> None:
    with limit_of_open_files(len(os.listdir("/dev/fd")) + 2):
        assert OpenFiles().free() == 0


def test_a_database_that_somebody_wrote_to_is_not_untouched(path: Path) -> None:
    path.write_bytes(b"rows")
    file = DatabaseFile(path)
    assert file.untouched
    path.with_name(path.name + "-wal").write_bytes(b"more")
    assert not file.untouched
    file.seen()
    assert file.untouched
    path.unlink()
    file.seen()
    assert not file.untouched, "gone is never as it was"


def cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> dict[int, set[int]]:
    """Where each thread may run, on a machine of four cores whose third one we are on."""
    allowed: dict[int, set[int]] = {}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(os, "sched_setaffinity", allowed.__setitem__)
    monkeypatch.setattr(surroundings, "_core_of_this_thread", lambda: 2)
    return allowed


linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it does nothing")


@linux
def test_all_threads_are_kept_on_the_core_it_is_on_and_let_go_again(four_cores: dict[int, set[int]]) -> None:
    over = threading.Event()
    another = threading.Thread(target=over.wait)
    another.start()
    try:
        core = OneCore()
        core.keep(True)
        assert {threading.main_thread().native_id, another.native_id} <= four_cores.keys()
        assert all(where == {2} for where in four_cores.values())
        core.keep(False)
        assert all(where == {0, 1, 2, 3} for where in four_cores.values())
    finally:
        over.set()
        another.join()


@pytest.mark.skipif(len(cores()) < 2, reason="one core only")
def test_on_one_core_and_back_again() -> None:
    before, core = cores(), OneCore()
    core.keep(True)
    try:
        assert len(cores()) == 1
    finally:
        core.keep(False)
    assert cores() == before


@linux
def test_a_machine_that_does_not_say_where_it_runs_is_no_fault_and_asked_again(
    four_cores: dict[int, set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_descriptor() -> int:
        raise OSError(24, "Too many open files")

    core = OneCore()
    with monkeypatch.context() as patch:
        patch.setattr(surroundings, "_core_of_this_thread", no_descriptor)
        core.keep(True)
    assert four_cores == {}
    core.keep(True)
    assert four_cores
