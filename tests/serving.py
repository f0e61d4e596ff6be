"""The whole product as a process of its own, for tests that look at it from outside."""

import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

from simulator.bench import server

from .forking import Fork
from .waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
# Whatever the developer's shell or .env says, a server under test starts from the documented defaults.
DEFAULTS = server.DEFAULTS | {
    "SIM_API_KEY": "",
    "DJANGO_SETTINGS_MODULE": "console.settings",
    "PYTHONWARNINGS": "default",
}


@dataclass(frozen=True)
class Reply:
    """An answer of the server; `headers` by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """`python manage.py up` in a data folder of its own. `start` returns when /readyz answers 200."""

    def __init__(self, folder: Path, **env: str):
        self.data_dir = folder / "data"
        self.env = {**os.environ, **DEFAULTS, "SIM_DATA_DIR": str(self.data_dir), **env}
        # Not through manage.py: its bootstrap may want to install, and has tests of its own.
        self.command = [sys.executable, "-m", "django"]
        self.host, self.port = "127.0.0.1", 0
        self.process: subprocess.Popen[bytes] | Fork | None = None
        self._output, self._errors = folder / "stdout.txt", folder / "stderr.txt"

    def start(
        self, *options: str, ready: bool = True, browser: bool = False, within: float = 20.0
    ) -> "Server":
        """Run `up`. After the first start the port stays the same, so that open pages find it again.

        `"--port="` leaves the choice to `up`.
        """
        if "--port=" in options:
            options = tuple(option for option in options if option != "--port=")
        elif "--port" not in options:
            options = ("--port", str(self.port), *options)
        if not browser:
            options = ("--no-browser", *options)
        already = len(self.output)
        self.process = self._launched(["up", *options])
        if ready:
            wait_until(
                lambda: self._printed("Console", already) or self._ended(), within, "the console's address"
            )
            self.port = urlsplit(self._printed("Console", already)).port
            wait_until(lambda: self._is_ready() or self._ended(), within, "200 from /readyz")
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        return self._printed("API key", 0)

    @property
    def output(self) -> str:
        """All of standard output so far, over restarts."""
        return self._output.read_text() if self._output.exists() else ""

    @property
    def errors(self) -> str:
        """All of standard error so far, over restarts."""
        return self._errors.read_text() if self._errors.exists() else ""

    def api(self, method: str, path: str, json: Any = None, **headers: str) -> Reply:
        """Call the API with the key; `path` below /api/v1, such as "/webhooks"."""
        headers.setdefault("Authorization", f"Bearer {self.key}")
        return self.request(method, f"/api/v1{path}", json=json, **headers)

    def request(
        self, method: str, path: str, body: bytes | None = None, json: Any = None, **headers: str
    ) -> Reply:
        """Any request; header names with `_` for `-`."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if json is not None:
            body = _dumps(json)
            names.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        try:
            connection.request(method, path, body, names)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def fill(self, endpoint: str, count: int) -> None:
        """That many deliveries to the endpoint, made by a batch; returns when all have ended."""
        order = {"type": "lead.qualified", "count": count, "endpoints": [endpoint]}
        path = f"/events/batch/{self.api('POST', '/events/batch', order).json['batch_id']}"
        wait_until(lambda: self.api("GET", path).json["status"] == "finished", 20, f"{count} deliveries")

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, **headers)

    def raw(self, *parts: bytes, within: float = 10.0) -> bytes:
        """Write the bytes as they are; everything that comes back until the server closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=within) as connection:
            try:
                for part in parts:
                    connection.sendall(part)
            except OSError:
                pass  # it had enough: what it said is still to be read
            return b"".join(iter(partial(_received, connection), b""))

    def socket(self, path: str, **options: Any) -> "ClientConnection":
        """A websocket of a program; `additional_headers={"Origin": …}` makes it one of a page."""
        return connect(f"ws://127.0.0.1:{self.port}{path}", **options)

    def kill(self) -> None:
        """As `kill -9` does: no warning, no clean-up."""
        self.process.kill()
        self.process.wait(10)

    def stop(self, how: int = signal.SIGTERM, within: float = 10.0) -> tuple[int, float]:
        """Ask it to stop; (exit code, seconds it took)."""
        began = time.monotonic()
        self.process.send_signal(how)
        return self.process.wait(within), time.monotonic() - began

    def restart(self) -> None:
        """Stop it if it runs, then start it again in the same folder, on the same port."""
        if self.process.poll() is None:
            self.stop()
        self.start()

    def wait(self, within: float = 10.0) -> int:
        """The exit code of one that ends by itself."""
        return self.process.wait(within)

    def finish(self) -> None:
        """End of the test: it must stop cleanly, and must never have shown a traceback."""
        if self.process is not None and self.process.poll() is None:
            try:
                code, _ = self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("the server did not stop on SIGTERM:\n" + self.errors) from None
            assert code == 0, f"exit {code}\n{self.errors}"
        assert "Traceback" not in self.errors, self.errors
        assert "Warning" not in self.errors, self.errors

    def _launched(self, arguments: list[str]) -> "subprocess.Popen[bytes] | Fork":
        with open(self._output, "ab") as output, open(self._errors, "ab") as errors:
            return subprocess.Popen(
                [*self.command, *arguments],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )

    def _printed(self, label: str, since: int) -> str | None:
        for line in self.output[since:].splitlines(keepends=True):
            if line.startswith(f"{label} ") and line.endswith("\n"):
                return line.removeprefix(label).strip()
        return None

    def _is_ready(self) -> bool:
        try:
            return self.get("/readyz").status == 200
        except OSError:
            return False

    def _ended(self) -> None:
        assert self.process.poll() is None, f"exit {self.process.returncode}\n{self.output}{self.errors}"


class ForkedServer(Server):
    """For tests that want a fresh one each and judge no start: half of what a start costs has happened already.

    A new data folder begins with `migrated`, all tables and nothing in them; the rest of a first start is done by `up`.
    """

    def __init__(self, migrated: Path, folder: Path, **env: str):
        super().__init__(folder, **env)
        if not self.data_dir.exists():
            self.data_dir.mkdir(mode=0o700, parents=True)
            shutil.copy(migrated, self.data_dir)

    def _launched(self, arguments: list[str]) -> Fork:
        return Fork(arguments, self.env, self._output, self._errors)


def migrated(folder: Path) -> Path:
    """Makes what a `ForkedServer` begins with."""
    made = Server(folder)
    assert Fork(["migrate", "--verbosity=0"], made.env, made._output, made._errors).wait(20) == 0
    database = made.data_dir / "simulator.sqlite3"
    with closing(sqlite3.connect(database)) as rows:
        rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return database


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except ConnectionResetError:
        return b""


def _dumps(value: Any) -> bytes:
    return json.dumps(value).encode()
