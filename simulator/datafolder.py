"""The data folder: its keys, its permissions, and who runs on it. Knows nothing of what the database holds."""

import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import Any


class Taken(Exception):
    """Another process runs the engine on this data folder; `address` is its console, or None while it starts."""

    def __init__(self, address: str | None):
        super().__init__(address)
        self.address = address


def prepare(folder: Path) -> None:
    """Make the folder readable by its owner only (0700), and every file made later 0600."""
    os.umask(0o077)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for path in folder.iterdir():
        if path.is_file():
            path.chmod(0o600)


def key(folder: Path, name: str) -> str:
    """The random key kept in the file `name`, made at first use; two processes at once agree on one."""
    path = folder / name
    try:
        return path.read_text().strip()
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
    return path.read_text().strip()


class EngineLock:
    """One engine a data folder: an flock that dies with its process, also by `kill -9`."""

    def __init__(self, folder: Path):
        self._path = folder / "engine.lock"
        self._file: Any = None

    def acquire(self) -> None:
        """Take the lock or raise `Taken` with the address the other process wrote."""
        self._file = open(self._path, "a+")  # noqa: SIM115 - held for the life of the process
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise Taken(running(self._path.parent)) from None
        self.announce(None)

    def announce(self, address: str | None) -> None:
        """Write where this process listens, for a second `up` and for `send`."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps({"pid": os.getpid(), "address": address}))
        self._file.flush()

    def release(self) -> None:
        self._file.close()


def running(folder: Path) -> str | None:
    """The console address of the process that holds the engine lock; None when there is none or it still starts."""
    path = folder / "engine.lock"
    try:
        with open(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                address: str | None = json.loads(file.read() or "{}").get("address")
                return address
    except (FileNotFoundError, ValueError):
        pass
    return None


def logging_config(format: str) -> dict[str, Any]:
    """Django's LOGGING: one line an entry on standard error, `text` or `json`; secrets never get through."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "no_secrets": {"()": "simulator.logs.NoSecrets"},
            "faults_only": {"()": "simulator.logs.FaultsOnly"},
        },
        "formatters": {
            "text": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
            "json": {"()": "simulator.logs.JsonLines"},
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": format, "filters": ["no_secrets"]},
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "simulator": {"level": "INFO"},
            "console": {"level": "INFO"},
            "django": {"level": "ERROR"},
            "django.request": {"filters": ["faults_only"]},
            "django.security": {"level": "CRITICAL"},  # what is wrong with a request is told to who made it
        },
    }
