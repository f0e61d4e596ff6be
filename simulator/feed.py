"""Tells that something changed: seq numbers and the doorbells. Knows no reader and no row."""

from collections.abc import Callable, Iterable
from typing import Any

from django.db import transaction

from . import ids, rows

_TAKE = (
    "INSERT INTO simulator_seq (id, n) VALUES (1, %s) "
    "ON CONFLICT (id) DO UPDATE SET n = simulator_seq.n + %s RETURNING n"
)
_STAMP = "UPDATE simulator_delivery AS d SET seq = column1 FROM ({values}) AS v WHERE d.id = column2"
Listener = Callable[..., object]
_on_change: list[Listener] = []
_on_due: list[Listener] = []
_on_edit: list[Listener] = []


def take(count: int = 1) -> range:
    """The next `count` seq numbers. Inside a transaction; its row lock makes them appear in commit order."""
    last: int = rows.query(_TAKE, [count, count])[0][0]
    return range(last - count + 1, last + 1)


def stamp(deliveries: Iterable[Any]) -> None:
    """Give each of these deliveries (ids or their numbers) the next seq and ring on commit. Inside a transaction."""
    numbers = [ids.decode("dlv", one) if isinstance(one, str) else one for one in deliveries]
    if numbers:
        pairs = zip(take(len(numbers)), numbers, strict=True)
        rows.change_many(_STAMP, pairs)
        announce()


def latest() -> int:
    """The highest seq given out so far."""
    newest: int = rows.query("SELECT coalesce(max(n), 0) FROM simulator_seq")[0][0]
    return newest


def announce(*, due: bool = False) -> None:
    """On commit ring the doorbell; with `due` also wake the engine."""
    transaction.on_commit(ring)
    if due:
        transaction.on_commit(nudge)


def ring() -> None:
    """Tell every reader that there is something new. From any thread, after the commit."""
    for listener in tuple(_on_change):
        listener()


def nudge() -> None:
    """Tell the engine that something may be due. From any thread, after the commit."""
    for listener in tuple(_on_due):
        listener()


def edited(endpoint: int, revision: int, limit: int) -> None:
    """On commit tell the engine of an endpoint's (its id as a number) new revision and limit of attempts in flight."""

    def tell() -> None:
        for listener in tuple(_on_edit):
            listener(endpoint, revision, limit)

    transaction.on_commit(tell)


def on_change(listener: Listener) -> Listener:
    """Have `listener` called at every change, in the thread that made it; returns what `off` takes."""
    _on_change.append(listener)
    return listener


def on_due(listener: Listener) -> Listener:
    """Have `listener` called whenever something new may be due, in the thread that made it so."""
    _on_due.append(listener)
    return listener


def on_edit(listener: Listener) -> Listener:
    """Have `listener` called with the arguments of `edited`, in the thread that made the change."""
    _on_edit.append(listener)
    return listener


def off(listener: Listener) -> None:
    """Stop calling a listener."""
    for listeners in (_on_change, _on_due, _on_edit):
        if listener in listeners:
            listeners.remove(listener)
