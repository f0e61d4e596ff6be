"""The data folder: who may read it, who runs on it."""

import fcntl
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from simulator import datafolder
from simulator.datafolder import EngineLock, Taken

from .serving import ROOT
from .waiting import wait_until

HOLD = """
import sys
from pathlib import Path
from simulator.datafolder import EngineLock
lock = EngineLock(Path(sys.argv[1]))
lock.acquire()
lock.announce("http://127.0.0.1:4711")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_its_owner_can_read_it(tmp_path: Path, umask):
    folder = tmp_path / "deep" / "data"
    folder.mkdir(parents=True, mode=0o755)
    (folder / "simulator.sqlite3-wal").touch(mode=0o644)
    datafolder.prepare(folder)
    (folder / "made later").touch()
    assert mode(folder) == 0o700
    assert [mode(path) for path in folder.iterdir()] == [0o600, 0o600]


def test_the_root_is_shared_and_so_is_what_everybody_may_write_to_once_it_holds_anything(tmp_path: Path):
    assert datafolder.is_shared(Path("/"))
    assert not datafolder.is_shared(tmp_path / "not there yet")
    (tmp_path / "theirs").touch()
    assert not datafolder.is_shared(tmp_path)
    tmp_path.chmod(0o1777)
    assert datafolder.is_shared(tmp_path)
    (tmp_path / "theirs").rename(tmp_path / "simulator.sqlite3-wal")
    assert not datafolder.is_shared(tmp_path)


def test_a_database_that_its_owner_made_read_only_stays_it(tmp_path: Path, umask):
    path = tmp_path / "simulator.sqlite3"
    path.touch()
    path.chmod(0o444)
    datafolder.prepare(tmp_path)
    assert mode(path) == 0o400


def test_a_file_that_is_not_ours_stays_as_it_is(tmp_path: Path, umask):
    script = tmp_path / "run.sh"
    script.touch()
    script.chmod(0o755)
    datafolder.prepare(tmp_path)
    assert mode(script) == 0o755


def test_a_log_that_an_ending_server_takes_away_meanwhile_is_no_fault(
    tmp_path: Path, umask, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "simulator.sqlite3-wal").touch()
    monkeypatch.setattr(Path, "is_file", lambda path: path.unlink() is None)
    datafolder.prepare(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_made_once_and_kept(tmp_path: Path, umask):
    first = datafolder.key(tmp_path / "data", "api_key")
    assert len(first) >= 43
    assert datafolder.key(tmp_path / "data", "api_key") == first
    assert mode(tmp_path / "data") == 0o700
    assert [(path.name, mode(path)) for path in (tmp_path / "data").iterdir()] == [("api_key", 0o600)]


@pytest.mark.parametrize("kept", [b"", b"\n", b"short", b"\xff\x00" * 20, "ä".encode() * 20, b"x" * 5000])
def test_what_is_no_key_is_refused_with_its_file_and_its_cure(tmp_path: Path, kept: bytes):
    path = tmp_path / "api_key"
    path.write_bytes(kept)
    with pytest.raises(datafolder.BadKey, match="Delete it") as refused:
        datafolder.key(tmp_path, "api_key")
    assert str(path) in str(refused.value) and path.read_bytes() == kept


def test_processes_that_start_at_once_agree_on_the_key(tmp_path: Path):
    keys = []
    code = "import sys; from pathlib import Path; from simulator import datafolder\n"
    code += "print(datafolder.key(Path(sys.argv[1]), 'api_key'))"

    def ask() -> None:
        keys.append(subprocess.check_output([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 4
    assert len(set(keys)) == 1


def test_a_second_engine_is_told_where_the_first_one_runs(tmp_path: Path):
    first, second = EngineLock(tmp_path), EngineLock(tmp_path)
    first.acquire()
    with pytest.raises(Taken) as starting:
        second.acquire()
    assert starting.value.address is None
    first.announce("http://127.0.0.1:8000")
    with pytest.raises(Taken) as running:
        second.acquire()
    assert running.value.address == "http://127.0.0.1:8000"
    first.release()
    second.acquire()
    second.release()


def test_who_only_asks_whether_somebody_runs_here_keeps_nobody_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """`send` and a second `up` ask by taking the lock for a moment, and this moment ends while the first one waits."""
    asking = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            os.close(asking)

    monkeypatch.setattr(datafolder.time, "sleep", wait)
    lock = EngineLock(tmp_path)
    lock.acquire()
    lock.release()
    assert len(waits) == 2 and sum(waits) < 0.1


def test_nobody_gets_the_lock_by_deleting_its_file(tmp_path: Path):
    first = EngineLock(tmp_path)
    first.acquire()
    (tmp_path / "engine.lock").unlink()
    with pytest.raises(Taken):
        EngineLock(tmp_path).acquire()
    first.release()


def test_the_lock_dies_with_its_process(tmp_path: Path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert datafolder.running(tmp_path) == "http://127.0.0.1:4711"
        holder.kill()
        holder.wait(5)
    wait_until(lambda: datafolder.running(tmp_path) is None, 2, "the lock to be free")
    lock = EngineLock(tmp_path)
    lock.acquire()
    lock.release()


def test_nothing_runs_on_a_folder_that_is_not_there(tmp_path: Path):
    assert datafolder.running(tmp_path / "nowhere") is None
