"""The product under measurement: `up` in a data folder of its own, seen from outside as any client sees it."""

import http.client
import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from .processes import Child, Failed

START_S = 30.0
ANSWER_S = 60.0
SETTLE_S, CALM_S, LOOK_S = 20.0, 0.5, 0.1
CALM = 0.05  # of a core
# Whatever the shell or .env says, what is measured is the documented default.
DEFAULTS = {
    "SIM_RETRY_SCALE": "1.0",
    "SIM_CONCURRENCY": "100",
    "SIM_KEEP_DAYS": "14",
    "SECRET_KEY": "",
    "ALLOWED_HOSTS": "",
    "LOG_FORMAT": "text",
}


class Server:
    """Not started yet. Makes `folder`, which keeps its data from one start to the next."""

    def __init__(self, folder: Path, settings_module: str):
        folder.mkdir()
        self.data, self._errors = folder / "data", folder / "server.txt"
        self.key = secrets.token_urlsafe(24)
        self.env = {
            **os.environ,
            **DEFAULTS,
            "DJANGO_SETTINGS_MODULE": settings_module,
            "SIM_DATA_DIR": str(self.data),
            "SIM_API_KEY": self.key,
        }
        self._process: Child | None = None
        self.address = ""

    def start(self) -> float:
        """Start it; returns the seconds from its process to its first page."""
        # Not through manage.py, which may want to install first: this interpreter has everything already.
        command = ("django", "up", "--no-browser", "--port", "0", "--json")
        self._process = Child("server", *command, env=self.env, errors=self._errors)
        self.address = self._process.hear("console", START_S)["console"].rstrip("/")
        with Client(self) as first:
            first.get("/")
        return time.perf_counter() - self._process.started

    def stop(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it has been started"
        return self._process.pid

    def cpu_seconds(self) -> float:
        """CPU time of its process so far."""
        if sys.platform == "linux":
            return time.clock_gettime(~self.pid << 3 | 2)  # its CPU clock, as clock_getcpuclockid(3) makes it
        minutes, _, seconds = self._ps("cputime").rpartition(":")
        return sum(int(part) * 60**n for n, part in enumerate(reversed(minutes.split(":")), 1)) + float(
            seconds
        )

    def settle(self) -> float:
        """Wait, up to `SETTLE_S`, until it has nothing left to do, such as indexing; returns the seconds that took."""
        began = calm_since = time.perf_counter()
        while (now := time.perf_counter()) - began < SETTLE_S and now - calm_since < CALM_S:
            before = self.cpu_seconds()
            time.sleep(LOOK_S)
            if self.cpu_seconds() - before > CALM * LOOK_S:
                calm_since = time.perf_counter()
        return calm_since - began

    def rss_mb(self) -> float:
        if sys.platform == "linux":
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        return int(self._ps("rss")) * 1024 / 1e6

    def _ps(self, column: str) -> str:
        command = ["ps", "-o", f"{column}=", "-p", str(self.pid)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Client:
    """One kept-alive connection to it; for one thread. Every answer but the one wanted is `Failed`."""

    def __init__(self, server: Server):
        self._key = server.key
        parts = urlsplit(server.address)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def get(self, path: str) -> bytes:
        """A page, whole."""
        return self._request("GET", path, 200)

    def api(self, method: str, path: str, body: object = None, *, wanted: int = 200) -> Any:
        """`path` below /api/v1."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        return json.loads(self._request(method, f"/api/v1{path}", wanted, content, headers))

    def _request(
        self,
        method: str,
        path: str,
        wanted: int,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        try:
            self._connection.request(method, path, body, headers or {})
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"The server did not answer {method} {path}: {error!r}.") from None
        if answer.status != wanted:
            said = content[:200].decode(errors="replace")
            raise Failed(f"The server answered {method} {path} with {answer.status}, not {wanted}: {said}")
        return content
