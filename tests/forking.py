"""A Python with the libraries already in it, and commands as forks of it: half of what a start costs is importing them.

Ours, and whatever reads settings or makes an event loop, is imported after the fork, as in any other start.
"""

import multiprocessing
import os
import signal
import subprocess
from pathlib import Path

LIBRARIES = """
    asgiref.sync autobahn.websocket.protocol certifi channels.generic.websocket channels.layers
    django.contrib.staticfiles.storage django.core.management django.core.management.base
    django.db.backends.sqlite3.base django.db.migrations.loader django.forms django.template.loader
    django.test.signals django.views.defaults django_htmx.middleware environ httptools httpx
    pydantic.dataclasses pydantic.networks pydantic.type_adapter pygments.formatters.html pygments.lexers.data
    pygments.styles.default service_identity sqlparse twisted.internet.asyncioreactor twisted.internet.endpoints
    twisted.internet.ssl twisted.web.http whitenoise.middleware
"""
_python = multiprocessing.get_context("forkserver")
_python.set_forkserver_preload(LIBRARIES.split())


def manage(arguments: list[str], env: dict[str, str], output: Path, errors: Path) -> None:
    """In the fork: what `python -m django` does with these arguments; both files grow."""
    os.environ.clear()
    os.environ.update(env)
    for file, number in ((output, 1), (errors, 2)):
        with file.open("ab") as opened:
            os.dup2(opened.fileno(), number)
    from django.core.management import execute_from_command_line

    execute_from_command_line(["django", *arguments])


class Fork:
    """`manage` in a process of its own, with as much of `subprocess.Popen` as tests/serving.py wants."""

    def __init__(self, *facts: object) -> None:
        self._process = _python.Process(target=manage, args=facts)
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired("fork", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
