"""Exact moments at which a server under test ends itself as `kill -9` would: `arm(folder, stage)` sets the next one."""

import os
import signal
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

BEFORE_EVENT, AFTER_EVENT = "before the event's commit", "after the event's commit"
AFTER_CLAIM, FIRST_BYTE, BEFORE_RESULT = "after the claim", "at the first byte", "before the result's commit"


def arm(data_dir: Path, stage: str) -> None:
    _file(data_dir).write_text(stage)


def _file(data_dir: Path) -> Path:
    return data_dir / "stage"


def _armed(stage: str) -> bool:
    file = _file(Path(os.environ["SIM_DATA_DIR"]))
    return file.exists() and file.read_text() == stage


def _reached(stage: str) -> None:
    if _armed(stage):
        _file(Path(os.environ["SIM_DATA_DIR"])).unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def watch() -> None:
    """In the server: ask at every stage whether it is the armed one."""
    from simulator import results
    from simulator.batches import Batches
    from simulator.claims import Claims
    from simulator.models import Event

    written: defaultdict[int, set[str]] = defaultdict(set)  # by thread: what its open transaction holds

    def marked(step: Callable[..., Any], kind: str, holds: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **options: Any) -> Any:
            done = step(*args, **options)
            if holds(done, *args):
                written[threading.get_ident()].add(kind)
            return done

        return stepped

    Event.accept = marked(Event.accept, "event", lambda *_: True)
    Claims.claim = marked(Claims.claim, "claim", lambda claims, *_: claims)
    Claims.claim_new = marked(Claims.claim_new, "claim", lambda claims, *_: claims)
    Batches.make = marked(Batches.make, "claim", lambda claims, *_: claims)
    results.write = marked(results.write, "result", lambda _, group, scale: group.results)
    _watch_commits(written)
    _watch_bytes()


def _watch_commits(written: defaultdict[int, set[str]]) -> None:
    from django.db.backends.base.base import BaseDatabaseWrapper

    commit = BaseDatabaseWrapper._commit

    def commits(self: BaseDatabaseWrapper) -> None:
        kinds = written.pop(threading.get_ident(), set())
        for kind in kinds:
            _reached({"event": BEFORE_EVENT, "result": BEFORE_RESULT}.get(kind, ""))
        commit(self)
        for kind in kinds:
            _reached({"event": AFTER_EVENT, "claim": AFTER_CLAIM}.get(kind, ""))

    BaseDatabaseWrapper._commit = commits


def _watch_bytes() -> None:
    from simulator.connection import Connection

    start = Connection.start

    def starts(self: Connection, payload: bytes, **options: Any) -> Any:
        if _armed(FIRST_BYTE):
            self.sock.send(payload[:1])
            _reached(FIRST_BYTE)
        return start(self, payload, **options)

    Connection.start = starts
