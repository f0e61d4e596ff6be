"""The data folder: its keys, its permissions, and who runs on it. Knows nothing of what the database holds."""

import fcntl
import json
import os
import re
import secrets
import stat
import time
from contextlib import suppress
from itertools import chain
from pathlib import Path


class BadKey(Exception):
    """The file of a key does not hold one; the text names the file and the cure."""


class Taken(Exception):
    """Another process runs the engine on this data folder; `address` is its console, or None while it starts."""

    def __init__(self, address: str | None):
        super().__init__(address)
        self.address = address


OURS = ("simulator.sqlite3*", "api_key", "secret_key", "engine.lock")


def is_shared(folder: Path) -> bool:
    """Whether others keep something in it, as in `/tmp`: it must not be closed to them."""
    if folder == folder.parent:
        return True
    try:
        everybody_may_write = folder.stat().st_mode & stat.S_ISVTX
    except (FileNotFoundError, NotADirectoryError):
        return False
    # A file system of its own for the data, a small tmpfs say, begins with this mode, too, but empty.
    return bool(everybody_may_write) and any(not _is_ours(path) for path in folder.iterdir())


def _is_ours(path: Path) -> bool:
    return any(path.match(name) for name in OURS)


def prepare(folder: Path) -> int:
    """Make the folder accessible to its owner only (0700), as well as our files in it and all made later (0600).

    Other files in it stay as they are: it may be the folder of a project. Returns the previous umask.
    """
    before = os.umask(0o077)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for path in chain.from_iterable(folder.glob(name) for name in OURS):
        with suppress(FileNotFoundError):  # a server that ends removes its write-ahead log
            if path.is_file():
                path.chmod(path.stat().st_mode & 0o600)  # one made read-only stays so
    return before


def is_key(text: str) -> bool:
    return re.fullmatch(r"(?! )[ -~]{16,200}(?<! )", text) is not None


def key(folder: Path, name: str) -> str:
    """The random key kept in the file `name`, made at first use; two processes at once agree on one.

    Raises OSError, and BadKey when the file holds none.
    """
    path = folder / name
    try:
        return _kept(path)
    except FileNotFoundError:
        pass
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = folder / f".{name}.{os.getpid()}"
    draft.touch(mode=0o600)
    draft.write_text(secrets.token_urlsafe(32))
    try:
        os.link(draft, path)  # only the first one wins
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return _kept(path)


def _kept(path: Path) -> str:
    text = path.read_text("latin-1").strip()
    if not is_key(text):
        raise BadKey(
            f"{path} must hold 16 to 200 printable ASCII characters. Delete it to have a new key made."
        )
    return text


def unusable(file: Path, error: Exception) -> str:
    """What is wrong with the database file, and the cure."""
    text = str(error)
    if "locked" in text:
        cure = "End the program that uses it, then start again."
    elif "full" in text:
        cure = "Free some space, then start again."
    elif any(part in text for part in ("malformed", "not a database", "no such table", "no such column")):
        cure = "Restore it from a copy, or move it away to start with a new one."
    else:
        cure = "Make it and its folder readable and writable, then start again."
    return f"{file} cannot be used ({text}). {cure}"


_AGAIN_AFTER = (0.02, 0.02)  # s; `running` holds the lock for a moment to test it


class EngineLock:
    """One engine per data folder: an flock that dies with its process, also by `kill -9`.

    It is on the folder itself: a file in it could be deleted, and then a second engine would send everything again.
    `engine.lock` says where the holder listens.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._held = -1

    def acquire(self) -> None:
        """Take the lock or raise `Taken` with the address the other process wrote."""
        self._held = os.open(self._folder, os.O_RDONLY)
        for wait in (*_AGAIN_AFTER, None):
            try:
                fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if wait is None:
                    self.release()
                    raise Taken(running(self._folder)) from None
                time.sleep(wait)
            else:
                return self.announce(None)

    def announce(self, address: str | None) -> None:
        """Write where this process listens, for a second `up` and for `send`."""
        (self._folder / "engine.lock").write_text(json.dumps({"pid": os.getpid(), "address": address}))

    def release(self) -> None:
        os.close(self._held)


def running(folder: Path) -> str | None:
    """The console address of the process that holds the engine lock; None when there is none or it still starts."""
    try:
        if not _is_taken(folder):
            return None
        address: str | None = json.loads((folder / "engine.lock").read_text()).get("address")
        return address
    except (FileNotFoundError, ValueError):
        return None


def _is_taken(folder: Path) -> bool:
    looking = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(looking, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(looking)
