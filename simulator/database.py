"""The database file at start: is it a database, is it ours, is it up to date. Refuses before anything is changed."""

import errno
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from . import datafolder, ids
from .rows import query

QUICK_CHECK_BYTES = 16 * 1024 * 1024  # 0.2 s; of a larger file only the schema is read


class Unusable(Exception):
    """The database cannot be used; the text names the file and the cure."""


def inspect(path: Path) -> None:
    """Raise Unusable when the file is read-only, damaged or no database. Leaves it untouched.

    Only before this process has a connection to it: closing the file here would drop all of SQLite's locks on it.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}. Choose another folder with SIM_DATA_DIR.") from None
    if not stat.S_ISREG(mode):
        raise Unusable(f"{path} is not a file. Move it away, or choose another folder with SIM_DATA_DIR.")
    _refuse_read_only(path, mode)
    try:
        _read(path)
    except sqlite3.Error as error:
        raise Unusable(
            f"{path} cannot be read as a database ({error}). Restore it, or move it away to start with a new one."
        ) from None


def _refuse_read_only(path: Path, mode: int) -> None:
    try:
        with open(path, "r+b"):
            writable = mode & stat.S_IWUSR  # root may write what is read-only for its owner
    except OSError as error:
        if error.errno == errno.EROFS:  # changing its mode would not help
            raise Unusable(f"{path}: {error.strerror}. Choose another folder with SIM_DATA_DIR.") from None
        writable = False
    if not writable:
        raise Unusable(f"{path} is read-only. Make it writable: chmod u+w {path}")


def _read(path: Path) -> None:
    reader = sqlite3.connect(f"file:{quote(bytes(path))}?mode=ro", uri=True, timeout=5)
    try:
        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if path.stat().st_size <= QUICK_CHECK_BYTES:
            verdict = reader.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict.splitlines()[-1])
    finally:
        reader.close()


def prepare(path: Path, say: Callable[[str], object]) -> None:
    """Bring the schema up to date if it is not, and `say` so if the database may hold a long history.

    From then on ids are larger than all that are in it, although the clock may have been set back since: what is newest,
    in a list or among the secrets of an endpoint, is told by its id. Raises Unusable, also for one from a newer version.
    """
    try:
        loader = MigrationLoader(connection)
        applied, known = set(loader.applied_migrations), set(loader.disk_migrations)
        if unknown := sorted(name for _, name in applied - known):
            raise Unusable(
                f"{path} was made by a newer version of the simulator (it has {unknown[-1]}). "
                "Update the simulator, or choose another folder with SIM_DATA_DIR."
            )
        if known - applied:
            if applied:
                say("Updating the database, which may take a minute…")
            call_command("migrate", verbosity=0, interactive=False)
        ids.go_on_behind(_largest_id())
    except DatabaseError as error:
        raise Unusable(datafolder.unusable(path, error)) from None


def _largest_id() -> int:
    models = apps.get_app_config("simulator").get_models()
    tables = [model._meta.db_table for model in models if isinstance(model._meta.pk, ids.PublicId)]
    return max(query(f"SELECT max(id) FROM {table}")[0][0] or 0 for table in tables)
