"""What the engine cannot control and must notice: the database file, the clock, the open files. Knows no row."""

import os
import resource
import time
from pathlib import Path

FILE_CHECK_S = 2.0
FILES_CHECK_S = 0.25
JUMP_S = 5.0  # a wall clock further off than this from the monotonic one has been set
SPARE_FILES = 40  # for pages, sockets and the database, before an attempt may take one


class Replaced(Exception):
    """The database file was deleted or replaced: writes to the open one would go nowhere."""


class DatabaseFile:
    """Notices within two seconds when the file at the path is no longer the one that was opened."""

    def __init__(self, path: Path):
        self._path = path
        self._known = self._identity()
        self._next_check = 0.0
        self._replaced = False

    def check(self) -> None:
        """Raises Replaced, from then on every time. A stat at most every two seconds."""
        now = time.monotonic()
        if now >= self._next_check and not self._replaced:
            self._next_check = now + FILE_CHECK_S
            self._replaced = self._identity() != self._known
        if self._replaced:
            raise Replaced(
                f"The database file {self._path} was deleted or replaced while the simulator runs. "
                "Nothing more is accepted. Put the file back and start the simulator again."
            )

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino


class Clock:
    """Notices when the wall clock was set while the monotonic one went on."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def jumped(self) -> float:
        """Seconds by which the wall clock was set since the last call, 0.0 when it was not."""
        offset = time.time() - time.monotonic()
        jump = offset - self._offset
        if abs(jump) < JUMP_S:
            return 0.0
        self._offset = offset
        return jump


class OpenFiles:
    """How many attempts the limit of open files still allows."""

    def __init__(self) -> None:
        self._limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._next_check = 0.0
        self._free = self._limit

    def free(self) -> int:
        """Descriptors left for attempts, counted at most four times a second."""
        now = time.monotonic()
        if now >= self._next_check:
            self._next_check = now + FILES_CHECK_S
            self._free = max(0, self._limit - _open_files() - SPARE_FILES)
        return self._free


def _open_files() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        if os.path.isdir(folder):
            return len(os.listdir(folder))
    return 0
