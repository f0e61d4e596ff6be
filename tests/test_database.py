"""The database file at start: what is taken, what is refused, and that a refusal leaves it as it was."""

import contextlib
import errno
import gc
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from simulator import database, ids
from simulator.database import Unusable, inspect, prepare
from simulator.models import Delivery, Endpoint, Event

ROW = b"a row of some length, so that there are pages to damage"


def make(path: Path, rows: int = 5000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as writer:
        writer.execute("CREATE TABLE made (row BLOB)")
        writer.executemany("INSERT INTO made VALUES (?)", [(ROW,)] * rows)
        writer.commit()
    return path


def damage(path: Path, at: int) -> Path:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * 20_000)
    return path


@pytest.mark.parametrize("name", ["simulator.sqlite3", "with space/a?mode=rw#b.sqlite3", "%2e/é.sqlite3"])
def test_a_database_is_taken_wherever_it_lies(tmp_path: Path, name: str) -> None:
    inspect(make(tmp_path / name))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are UTF-8")
def test_a_database_is_taken_from_a_folder_whose_name_is_not_utf8(tmp_path: Path) -> None:
    inspect(make(tmp_path / os.fsdecode(b"gr\xfcn") / "simulator.sqlite3"))


def test_a_file_that_is_not_there_yet_is_not_made_by_looking(tmp_path: Path) -> None:
    inspect(tmp_path / "simulator.sqlite3")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_a_database_without_tables(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    inspect(tmp_path / "empty")


def folder(path: Path) -> Path:
    (path / "folder").mkdir()
    return path / "folder"


def noise(path: Path) -> Path:
    (path / "noise").write_bytes(bytes(range(256)) * 64)
    return path / "noise"


@pytest.mark.parametrize(
    ("spoiled", "cure"),
    [
        (folder, "is not a file. Move it away"),
        (noise, "move it away to start with a new one"),
        (lambda path: damage(make(path / "head"), at=0), "cannot be read as a database"),
        (lambda path: damage(make(path / "middle"), at=100_000), "cannot be read as a database"),
        (lambda path: make(path / "f").rename(path / "plain") / "below", "Choose another folder"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_cure(
    tmp_path: Path, spoiled: Callable[[Path], Path], cure: str
) -> None:
    path = spoiled(tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(Unusable) as refused:
        inspect(path)
    assert str(path) in str(refused.value) and cure in str(refused.value)
    assert "\n" not in str(refused.value)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_read_only_file_is_refused_although_it_could_be_read(tmp_path: Path) -> None:
    path = make(tmp_path / "simulator.sqlite3")
    path.chmod(0o400)
    with pytest.raises(Unusable, match=f"chmod u\\+w {path}"):
        inspect(path)


def test_on_a_read_only_file_system_another_folder_is_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "simulator.sqlite3")

    def refuses(file: Path, mode: str) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(file))

    monkeypatch.setattr(database, "open", refuses, raising=False)
    with pytest.raises(Unusable, match=r"Read-only file system\. Choose another folder") as refused:
        inspect(path)
    assert "chmod" not in str(refused.value)


def test_a_large_database_is_not_read_to_its_end_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = damage(make(tmp_path / "large"), at=100_000)
    with pytest.raises(Unusable):
        inspect(path)
    monkeypatch.setattr(database, "QUICK_CHECK_BYTES", 100_000)
    inspect(path)


@pytest.fixture
def elsewhere(transactional_db: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Django's database is a file that does not exist yet, and nobody waits for its lock."""
    connection.close()
    path = tmp_path / "simulator.sqlite3"
    monkeypatch.setitem(connection.settings_dict, "NAME", str(path))
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0)
    yield path
    connection.close()


def applied(path: Path) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as reader:
        return reader.execute("SELECT app, name, applied FROM django_migrations ORDER BY id").fetchall()


def test_a_new_file_gets_its_tables_once_and_a_newer_one_is_refused(elsewhere: Path) -> None:
    said: list[str] = []
    prepare(elsewhere, said.append)
    made = applied(elsewhere)
    assert ("simulator", "0001_initial") in {migration[:2] for migration in made}
    prepare(elsewhere, said.append)
    assert applied(elsewhere) == made
    assert said == []  # there was nothing that takes a while

    connection.cursor().execute(
        "INSERT INTO django_migrations (app, name, applied) VALUES ('simulator', '9999_later', '2030-01-01')"
    )
    with pytest.raises(Unusable, match="9999_later.* Update the simulator") as refused:
        prepare(elsewhere, print)
    assert str(elsewhere) in str(refused.value)


def test_e12_what_is_made_after_the_clock_was_set_back_is_the_newest_all_the_same(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a process of before, whose clock was a day ahead."""
    prepare(elsewhere, print)
    with monkeypatch.context() as ahead:
        tomorrow = time.time() + 86_400
        ahead.setattr(time, "time", lambda: tomorrow)
        endpoint = Endpoint.register(url="http://127.0.0.1/", events=["*"])
        before = Event.accept("lead.qualified", b"{}", endpoints=[endpoint], trigger="api")[1]
    monkeypatch.setattr(ids, "_last", 0)  # what a new process knows
    prepare(elsewhere, print)
    secret, _ = endpoint.rotate_secret()
    assert endpoint.valid_secrets()[0] == secret, (
        "the one that signs alone where one signature is all there is"
    )
    after = Event.accept("lead.qualified", b"{}", endpoints=[endpoint], trigger="api")[1]
    assert list(Delivery.objects.order_by("-pk")) == [*after, *before]


# Django does not close a connection whose first statement fails, and Python reports that from 3.13 on.
@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
def test_a_file_that_somebody_else_holds_is_said_to_be_locked(elsewhere: Path) -> None:
    with contextlib.closing(sqlite3.connect(elsewhere, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unusable, match="database is locked.*End the program that uses it"):
            prepare(elsewhere, print)
    gc.collect()  # so that it is reported here, and not in any other test
