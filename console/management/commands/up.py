"""`manage.py up`: everything in one process, from the data folder to the browser, until Ctrl-C."""

import gc
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from socket import socket
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import CommandParser
from django.db import DatabaseError

from console import firstrun, listening
from simulator import database, datafolder, garbage, transaction
from simulator.datafolder import EngineLock, Taken
from simulator.management.command import ExplainedCommand
from simulator.models import Activity
from simulator.transaction import Shut, writing

BAD_INPUT, ENVIRONMENT = 2, 3
DRAIN_S = 5.0
EXAMPLE = """\
Example:
  python3 manage.py up --port 9000 --no-browser

Exit code: 0 stopped by Ctrl-C, SIGTERM or SIGHUP, 2 bad option, 3 port, folder or database in use or unusable."""


class Command(ExplainedCommand):
    help = "Start the simulator: delivery engine, API and web console."
    epilog = EXAMPLE

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=_port, help="8000, or the next free one; 0 lets the system choose")
        parser.add_argument("--no-browser", action="store_true", help="do not open the console in a browser")
        parser.add_argument(
            "--expose", action="store_true", help="listen beyond this machine (not yet available)"
        )
        parser.add_argument("--json", action="store_true", help="print where it runs as one JSON object")

    def handle(self, **options: Any) -> None:
        self._options = options
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # until the server handles it; see manage.py
        # Objects made during the start stay alive: no need to look for cycles.
        gc.set_threshold(50_000, 20, 50)
        with ExitStack() as held:
            lock, bound = self._prepare(held)
            try:
                self._run(lock, bound, listening.url(bound))
            except Shut as why:
                self.give_up(str(why), ENVIRONMENT)
            except DatabaseError as error:
                self.give_up(
                    datafolder.unusable(Path(settings.DATABASES["default"]["NAME"]), error), ENVIRONMENT
                )

    def _run(self, lock: EngineLock, bound: socket, address: str) -> None:
        with writing():
            firstrun.furnish(address)
            Activity.note("engine", "started", detail=address)
        self._serve(lock, bound, address)
        try:
            with writing():
                Activity.note("engine", "stopped", detail=address)
        except Shut:
            raise
        except DatabaseError as error:
            self.stderr.write(
                f"{settings.DATABASES['default']['NAME']} could not be written at the end ({error}). "
                "Nothing is lost: what was under way is sent again after the next start."
            )

    def _prepare(self, held: ExitStack) -> tuple[EngineLock, socket]:
        """Everything that can make the start fail, before anything else. Lock and socket are released with `held`."""
        folder, file = settings.SIM_DATA_DIR, Path(settings.DATABASES["default"]["NAME"])
        lock = EngineLock(folder)
        try:
            self._check_host()
            database.inspect(file)
            self._umask = datafolder.prepare(folder)
            lock.acquire()
            held.callback(lock.release)
            bound = held.enter_context(listening.bind(self._options["host"], self._options["port"]))
            database.prepare(file, lambda text: print(text, file=sys.stderr, flush=True))
            return lock, bound
        except Taken as taken:
            still = "and has not said where yet: it is starting, or it is a send that still follows its deliveries"
            where = f"at {taken.address}/" if taken.address else still
            self.give_up(f"The simulator already runs on {folder}, {where}.", ENVIRONMENT)
        except (listening.CannotListen, database.Unusable) as error:
            self.give_up(str(error), ENVIRONMENT)
        except OSError as error:
            self.give_up(
                f"{error.filename or folder}: {error.strerror}. Choose another folder with SIM_DATA_DIR.",
                ENVIRONMENT,
            )

    def _check_host(self) -> None:
        host = self._options["host"]
        if self._options["expose"]:
            self.give_up(
                "--expose is not available yet: this version listens on this machine only.", BAD_INPUT
            )
        if not listening.is_local(host):
            self.give_up(
                f"--host {host} would open the console to other machines. Use 127.0.0.1, localhost or ::1.",
                BAD_INPUT,
            )

    def _serve(self, lock: EngineLock, bound: socket, address: str) -> None:
        # Here, not above: Twisted chooses its reactor at import, and the application needs the migrated database.
        from console.asgi import application
        from console.server import Server
        from simulator.engine import Engine

        listener = bound.getsockname()[:2]
        if (name := urlsplit(address).netloc.rpartition(":")[0]) not in settings.ALLOWED_HOSTS:
            settings.ALLOWED_HOSTS.append(name)  # 127.0.0.2, say: loopback, and asked for
        engine = Engine(listeners={listener})

        async def started() -> None:
            lock.announce(address)
            await engine.start()
            try:
                self._introduce(address)
            except OSError:  # nobody reads it (`up | head -1`), or the disk is full: no reason to stop
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if not self._options["no_browser"] and _has_a_screen():
                _open(address, self._umask)
            # The loop and the engine's database thread share the GIL: with Python's 5 ms, each could wait that long.
            sys.setswitchinterval(0.0005)
            garbage.spare()

        async def stopping() -> None:
            transaction.hurry()
            await engine.stop(DRAIN_S)

        server = Server(application, [bound], started=started, stopping=stopping)
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # the only one that Twisted replaces
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # its terminal is closed; not so under nohup
            signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
        server.run()
        if server.failure:
            raise server.failure

    def _introduce(self, address: str) -> None:
        facts = {
            "Console": f"{address}/",
            "API key": settings.SIM_API_KEY,
            "Data": str(settings.SIM_DATA_DIR),
            "SQLite": sqlite3.sqlite_version,
        }
        if self._options["port"] is None and not address.endswith(f":{listening.DEFAULT_PORT}"):
            facts["Port"] = f"{listening.DEFAULT_PORT} is taken, so this is {address.rpartition(':')[2]}"
        if self._options["json"]:
            self.stdout.write(
                json.dumps({label.lower().replace(" ", "_"): fact for label, fact in facts.items()})
            )
        else:
            for label, fact in facts.items():
                self.stdout.write(f"{label:<8} {fact}")
        self.stdout.flush()


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise ValueError
    return port


_port.__name__ = "port"  # what argparse calls the type of a value it refuses


def _open(address: str, umask: int) -> None:
    """Open the browser, in a process of its own that is started before the engine's first turn.

    A child inherits the cores of the thread that starts it, and while the engine sends in bulk it keeps ours on one.
    `umask` is the shell's: with ours, nobody else could read what the browser downloads.
    """
    command = [sys.executable, "-I", "-m", "webbrowser", address]
    with suppress(OSError):  # no process, no page: the address is in the terminal
        opening = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True, umask=umask)
        # Some browsers return only when they are closed; nobody waits for them, not even at the end.
        threading.Thread(target=opening.wait, daemon=True).start()


def _has_a_screen() -> bool:
    """Whether a browser can open here: not in CI, nor where only a text browser would take over the terminal."""
    if os.environ.get("CI"):
        return False
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
