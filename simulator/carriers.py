"""What carries out a command: the server on this data folder, or an engine of its own. Says only what it waits for."""

import asyncio
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.db import DatabaseError, connection

from . import database, datafolder, sending
from .api.errors import error_json, problem_of
from .api.gate import MAX_BODY, api_key
from .api.shapes import delivery_with_attempts, sent_json
from .datafolder import EngineLock, Taken
from .engine import Engine
from .models import Delivery
from .payload import BadOverride

Json = dict[str, Any]
SAY_S = 1.0  # a server that starts has mostly said by then where it is
TURN_S = 300.0  # a send that fails to its last retry takes a minute, and several may be waiting
PATIENCE_S = 30.0


class NotDone(Exception):
    """The text is for people. `error` is the API's error, as `error_json` makes it, if there is one."""

    def __init__(self, text: str, error: Json | None = None) -> None:
        super().__init__(text)
        self.error = error


class Refused(NotDone):
    """The request itself is wrong; the text says how."""


class Unavailable(NotDone):
    """It cannot be carried out on this machine now; the text says why."""


class Carrier(Protocol):
    def send(self, body: Json) -> Json:
        """`body` and answer as of `POST /events`. Raises Refused and Unavailable."""

    def delivery(self, id: str) -> Json:
        """A delivery with its attempts, as the API gives it."""


@contextmanager
def carrier(*, delivers: bool = True) -> Iterator[Carrier]:
    """The running server; if there is none, the database itself, with an engine while inside if it `delivers`.

    There is one engine at a time: while another `send` has its own, this waits for that one to end.
    """
    folder: Path = settings.SIM_DATA_DIR
    began, said = time.monotonic(), False
    while True:
        with _usable():
            address = datafolder.running(folder)
        if address:
            yield Server(address)
            return
        try:
            with _alone(folder), _engine() if delivers else nullcontext():
                yield Alone()
                return
        except Taken:
            waited = time.monotonic() - began
            if waited > TURN_S:
                raise Unavailable(
                    f"Another process uses {folder} and does not say where it runs: a send that still follows its deliveries,"
                    " a server that does not become ready, or one whose engine.lock was deleted. Wait for that send, or"
                    " restart the server; while a server runs, several sends can run at once."
                ) from None
            if waited > SAY_S and not said:
                said = True
                _say(
                    f"Waiting, at most {TURN_S / 60:.0f} minutes, for another send on {folder} that still follows its"
                    " deliveries, or for a server that is starting. While a server runs, any number can send."
                )
            time.sleep(0.1)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Server:
    """The API of the running server. Never through a proxy: it is on this machine."""

    def __init__(self, address: str):
        self._base = f"{address.rstrip('/')}/api/v1"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def send(self, body: Json) -> Json:
        return self._call("/events", _encoded(body))

    def delivery(self, id: str) -> Json:
        return self._call(f"/deliveries/{id}")

    def _call(self, path: str, body: bytes | None = None) -> Json:
        headers = {"Authorization": f"Bearer {api_key()}", "Content-Type": "application/json"}
        request = urllib.request.Request(self._base + path, body, headers)
        try:
            with self._opener.open(request, timeout=PATIENCE_S) as response:
                answer: Json = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            with error:
                raise _told(error) from None
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)  # of a URLError
            raise Unavailable(
                f"The server at {self._base} does not answer as it should: {getattr(reason, 'strerror', None) or repr(reason)}."
                " If it has stopped, the next `python3 manage.py up` sends what it had accepted."
            ) from None


def _encoded(body: Json) -> bytes:
    """As UTF-8: escaped, a letter may take three times the room. Lone surrogates stay escaped. Raises Refused."""
    encoded = json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace")
    if len(encoded) > MAX_BODY:
        raise Refused("Too large: the data of an event may have at most 1 MiB. Nothing was sent; shorten it.")
    return encoded


def _told(error: urllib.error.HTTPError) -> Exception:
    try:
        told = json.load(error)["error"]
    except (ValueError, KeyError):
        return Unavailable(f"The server answered {error.code}.")
    if error.code == 401:
        return Unavailable("The running server has another API key. Is SIM_API_KEY the same here and there?")
    field = told["details"].get("field")
    text = told["message"] if field is None or field in told["message"] else f"{field}: {told['message']}"
    return (Refused if error.code < 500 else Unavailable)(text, told)


class Alone:
    """No server runs: straight to the database."""

    def send(self, body: Json) -> Json:
        _encoded(body)  # refuse what a server would refuse
        content = sending.Content(body["type"], body.get("data"), body.get("overrides"))
        try:
            with _usable():
                sent = sending.send(
                    content,
                    endpoints=body.get("endpoints"),
                    to=body.get("to"),
                    trigger=body["trigger"],
                    actor="cli",
                )
        except sending.BadInput as error:
            raise Refused(error.message, error_json(problem_of(error))) from None
        except BadOverride as error:
            text = f"{error.field}: {error.message}"
            raise Refused(text, error_json(problem_of(error))) from None
        return sent_json(sent)

    def delivery(self, id: str) -> Json:
        with _usable():
            return delivery_with_attempts(Delivery.objects.select_related("event", "endpoint").get(pk=id))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """With the data folder ready and nobody else on it. Raises Taken and Unavailable."""
    lock, file = EngineLock(folder), _file()
    with _usable():
        datafolder.prepare(folder)
        lock.acquire()
    try:
        with _usable():
            database.inspect(file)
            database.prepare(file, _say)
        yield
    finally:
        connection.close()
        lock.release()


@contextmanager
def _usable() -> Iterator[None]:
    """Turn whatever keeps folder or database from being used into an Unavailable of one line."""
    try:
        yield
    except database.Unusable as error:
        raise Unavailable(str(error)) from None
    except OSError as error:
        where = error.filename or settings.SIM_DATA_DIR
        raise Unavailable(f"{where}: {error.strerror}. Choose another folder with SIM_DATA_DIR.") from None
    except DatabaseError as error:
        raise Unavailable(datafolder.unusable(_file(), error)) from None


def _file() -> Path:
    return Path(str(settings.DATABASES["default"]["NAME"]))


@contextmanager
def _engine() -> Iterator[None]:
    """An engine on a loop of its own in another thread; at the end, what is in flight gets its 5 s.

    That thread sees to its end as well: Ctrl-C may come at any step of this one.
    """
    loop, over = asyncio.new_event_loop(), asyncio.Event()
    engine, ready = Engine(), Future[None]()

    async def live() -> None:
        await engine.start()
        ready.set_result(None)
        await over.wait()
        await engine.stop()

    def run() -> None:
        try:
            loop.run_until_complete(live())
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=run, name="engine", daemon=True)
    try:
        thread.start()
        with _usable():
            ready.result()
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        if thread.is_alive():
            thread.join()
        loop.close()
