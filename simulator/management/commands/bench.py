"""`bench`: measures this machine, side by side with a bare httpx loop, in a temporary folder. Touches no data."""

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter
from rich.console import Console

from simulator.bench.goals import judged, show
from simulator.bench.measures import Bench
from simulator.bench.plan import DEFAULT, FULL, QUICK
from simulator.bench.processes import Failed

EXAMPLE = """\
Examples:
  python3 manage.py bench
  python3 manage.py bench --json > bench.json
  python3 manage.py bench --full

Everything stays on this machine, and nothing on it should be busy meanwhile.
Exit code: 0 measured, 2 bad input, 3 it cannot be measured here."""

ENVIRONMENT, INTERRUPTED, TERMINATED = 3, 130, 143


class _Formatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the example's lines as they are."""


class Command(BaseCommand):
    help = "Measure this machine, side by side with a bare httpx loop (some minutes)."
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            prog_name, subcommand, epilog=EXAMPLE, formatter_class=_Formatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        size = parser.add_mutually_exclusive_group()
        size.add_argument("--quick", action="store_true", help="a short look, too short for good figures")
        size.add_argument("--full", action="store_true", help="a history of 1,000,000 deliveries; minutes")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        plan = QUICK if options["quick"] else FULL if options["full"] else DEFAULT
        signal.signal(signal.SIGTERM, _terminate)
        try:
            with tempfile.TemporaryDirectory(prefix="simulator-bench-") as folder:
                report = Bench(plan, Path(folder), str(settings.SETTINGS_MODULE), _say).run()
        except Failed as error:
            self._give_up(str(error), ENVIRONMENT)
        except OSError as error:
            self._give_up(f"{error.filename or tempfile.gettempdir()}: {error.strerror}.", ENVIRONMENT)
        except KeyboardInterrupt:
            self._give_up("Stopped. Nothing is left behind.", INTERRUPTED)
        report["goals"] = judged(report)
        if options["json"]:
            self.stdout.write(json.dumps(report))
        else:
            show(report, Console(file=sys.stdout))

    def _give_up(self, text: str, code: int) -> NoReturn:
        self.stderr.write(text)
        raise SystemExit(code)


def _say(text: str) -> None:
    print(f"{text}…", file=sys.stderr, flush=True)


def _terminate(number: int, frame: object) -> NoReturn:
    raise SystemExit(TERMINATED)  # through the same clean-up as Ctrl-C
