"""Who carries out a command: found by the lock of the data folder."""

import asyncio
import os
import signal
import threading
from pathlib import Path

import pytest
from django.conf import settings

from simulator import carriers
from simulator.carriers import Refused, Server, Unavailable, carrier
from simulator.datafolder import EngineLock

from .receiving import Answer, Receiver


@pytest.fixture
def lock(tmp_path: Path, settings: settings) -> EngineLock:  # type: ignore[valid-type]
    """Held, as by a server on a folder of this test that has not said yet where it listens."""
    settings.SIM_DATA_DIR = tmp_path
    held = EngineLock(tmp_path)
    held.acquire()
    yield held
    held.release()


def test_a_server_that_is_still_starting_is_waited_for(lock: EngineLock, receiver: Receiver) -> None:
    receiver.answer(Answer(200, b'{"id": "dlv_1"}'))
    soon = threading.Timer(0.3, lock.announce, [f"http://127.0.0.1:{receiver.port}"])
    soon.start()
    with carrier() as by:
        assert isinstance(by, Server)
        assert by.delivery("dlv_1") == {"id": "dlv_1"}
    soon.join()
    assert receiver.requests[0].target == "/api/v1/deliveries/dlv_1"
    assert receiver.requests[0].headers["authorization"].startswith("Bearer ")


def test_who_never_says_where_is_given_up_and_may_be_a_send_as_well_as_a_server(
    lock: EngineLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A send without a server runs the engine, as one would, and has no address."""
    monkeypatch.setattr(carriers, "TURN_S", 0.2)
    with pytest.raises(Unavailable, match="a send that still follows .* does not become ready"), carrier():
        pass


def test_an_engine_that_is_interrupted_while_it_starts_is_stopped_once_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or asyncio complains on the terminal about what was left of it."""
    done: list[str] = []

    class Interrupted:
        async def start(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            done.append("interrupted")
            await asyncio.sleep(0.2)
            done.append("started")

        async def stop(self) -> None:
            done.append("stopped")

    monkeypatch.setattr(carriers, "Engine", Interrupted)
    with pytest.raises(KeyboardInterrupt), carriers._engine():
        pass
    assert done == ["interrupted", "started", "stopped"]


ENVELOPE = b'{"error":{"message":"type: no","details":{"field":"type"}}}'


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (Answer(400, ENVELOPE), Refused, "type: no"),
        (Answer(404, ENVELOPE), Refused, "type: no"),
        (Answer(401, ENVELOPE), Unavailable, "SIM_API_KEY"),
        (Answer(503, ENVELOPE), Unavailable, "type: no"),
        (Answer(502, b"<html>"), Unavailable, "502"),
        (Answer(200, b"<html>"), Unavailable, "does not answer as it should"),
        (b"SSH-2.0\r\n", Unavailable, "does not answer as it should"),
        (b"", Unavailable, "does not answer as it should"),
    ],
)
def test_whatever_the_server_says_becomes_one_line(
    receiver: Receiver, answer: Answer | bytes, kind: type[Exception], text: str
) -> None:
    receiver.answer(answer)
    with pytest.raises(kind, match=text):
        Server(f"http://127.0.0.1:{receiver.port}").send({"type": "lead.qualified"})


def test_of_a_server_that_has_stopped_it_is_said_what_becomes_of_the_rest(receiver: Receiver) -> None:
    receiver.stop()
    with pytest.raises(Unavailable) as told:
        Server(f"http://127.0.0.1:{receiver.port}").delivery("dlv_1")
    assert str(told.value).endswith(
        ": Connection refused. If it has stopped, the next `python3 manage.py up` sends what it had accepted."
    )
