"""The processes of the bench: started, spoken to in lines of JSON, ended by their id. Knows nothing of what they do."""

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
END_S = 10.0


class Failed(Exception):
    """It cannot be measured; the text says why, in one line."""


class Silent(Failed):
    """A process did not send the awaited line in time."""


def tell(**facts: object) -> None:
    """What such a process says: one JSON object a line."""
    print(json.dumps(facts), flush=True)


class Child:
    """`python -m module …`. In a session of its own, so that Ctrl-C reaches only us and we end it in order."""

    def __init__(self, name: str, *command: str, env: Mapping[str, str], errors: Path):
        self.name = name
        self.started = time.perf_counter()
        self._errors = errors
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        with errors.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        assert self._process.stdin and self._process.stdout
        self._stdin = self._process.stdin
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def say(self, **facts: Any) -> None:
        try:
            self._stdin.write(json.dumps(facts).encode() + b"\n")
            self._stdin.flush()
        except OSError:
            raise self._failure() from None

    def hear(self, name: str, within: float) -> dict[str, Any]:
        """The next line that has `name`; others are passed over. Raises Silent, or Failed when it has ended."""
        deadline = time.monotonic() + within
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise Silent(f"The {self.name} did not report {name!r} within {within:g} s.") from None
            if line is None:
                raise self._failure()
            if name in line:
                return line

    def end(self) -> None:
        """By SIGTERM; by SIGKILL if that does not help."""
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdin.close()

    def _read(self, stdout: IO[bytes]) -> None:
        with stdout:
            for line in stdout:
                if line.startswith(b"{"):
                    self._lines.put(json.loads(line))
        self._lines.put(None)

    def _failure(self) -> Failed:
        try:
            code = f"exit code {self._process.wait(1)}"
        except subprocess.TimeoutExpired:
            code = "its output closed"
        last = self._errors.read_text(errors="replace").strip().splitlines()[-1:]
        return Failed(f"The {self.name} ended ({code}){': ' + last[0].removesuffix('.') if last else ''}.")
