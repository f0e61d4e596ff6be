"""Ids: sortable 63-bit numbers in the database, `evt_…` outside. Knows no model.

41 bits of milliseconds since 2024, then 22 bits that start at random in each millisecond and count up:
unique also across data folders (a receiver de-duplicates by event id), and rising within a process.
"""

import random
import threading
import time
from typing import Any

from django.db import models

_EPOCH_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # in ASCII order, so text sorts as the number
_VALUE = {letter: value for value, letter in enumerate(_ALPHABET)}
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_LENGTH = 11
_lock = threading.Lock()
_last = 0


def new() -> int:
    """The next id, larger than every one before it in this process, even when the clock goes back."""
    return new_many(1)[0]


def new_many(count: int) -> range:
    """`count` consecutive ids."""
    global _last
    fresh = at(time.time()) | random.getrandbits(20)
    with _lock:
        first = max(fresh, _last + 1)
        _last = first + count - 1
    return range(first, first + count)


def go_on_behind(number: int) -> None:
    """Give only larger ones from now on: an earlier process made this one, perhaps while the clock was ahead."""
    global _last
    with _lock:
        _last = max(_last, number)


def run_ahead() -> bool:
    """Whether the newest id is of a moment that has yet to come: the clock was set back, and ids tell no time until then."""
    return _last > at(time.time() + 1)


def at(timestamp: float) -> int:
    """The lowest id of that moment (unix seconds), to turn a time range into an id range."""
    return max(0, int(timestamp * 1000) - _EPOCH_MS) << 22


def encode(prefix: str, number: int) -> str:
    """`encode("evt", 5)` → `evt_00000000005`."""
    number, low = divmod(number, 3844)
    number, middle = divmod(number, 3844)
    number, high = divmod(number, 3844)
    number, higher = divmod(number, 3844)
    first, highest = divmod(number, 3844)
    return f"{prefix}_{_ALPHABET[first]}{_PAIRS[highest]}{_PAIRS[higher]}{_PAIRS[high]}{_PAIRS[middle]}{_PAIRS[low]}"


def decode(prefix: str, text: str) -> int | None:
    """The number of a public id, None when it is not one of this kind."""
    kind, _, digits = text.partition("_")
    if kind != prefix or len(digits) != _LENGTH:
        return None
    number = 0
    try:
        for letter in digits:
            number = number * 62 + _VALUE[letter]
    except KeyError:
        return None
    return number if number < 1 << 63 else None


class PublicId(models.BigIntegerField):  # type: ignore[type-arg]
    """A primary key that is `evt_…` in Python and a number in the database."""

    def __init__(self, prefix: str, **options: Any):
        self.prefix = prefix
        super().__init__(primary_key=True, editable=False, default=self.make)

    def make(self) -> str:
        return encode(self.prefix, new())

    def db_type(self, connection: Any) -> str:
        """On SQLite the row id itself: no second index on every table."""
        return "integer" if connection.vendor == "sqlite" else "bigint"

    def deconstruct(self) -> Any:
        name, path, _, _ = super().deconstruct()
        return name, path, [self.prefix], {}

    def from_db_value(self, value: int | None, expression: Any, connection: Any) -> str | None:
        return None if value is None else encode(self.prefix, value)

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> Any:
        """An id that is not one of ours becomes -1, which no row has: a look-up finds nothing instead of failing."""
        if value is None or isinstance(value, int):
            return value
        number = decode(self.prefix, str(value))
        return -1 if number is None else number
