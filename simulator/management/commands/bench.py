"""`bench`: measures this machine, side by side with a bare httpx loop, in a temporary folder. Touches no data."""

import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import CommandParser
from rich.console import Console

from simulator.bench.goals import judged, show
from simulator.bench.measures import Bench
from simulator.bench.plan import DEFAULT, FULL, QUICK
from simulator.bench.processes import Failed
from simulator.management.command import ENVIRONMENT, INTERRUPTED, ExplainedCommand

EXAMPLE = """\
Examples:
  python3 manage.py bench
  python3 manage.py bench --json > bench.json
  python3 manage.py bench --full

Everything stays on this machine; nothing else should keep it busy meanwhile.
Exit code: 0 measured, 2 bad input, 3 cannot be measured here."""

TERMINATED = 143


class Command(ExplainedCommand):
    help = "Measure this machine, side by side with a bare httpx loop (takes minutes)."
    epilog = EXAMPLE

    def add_arguments(self, parser: CommandParser) -> None:
        size = parser.add_mutually_exclusive_group()
        size.add_argument("--quick", action="store_true", help="a short run, too short for good figures")
        size.add_argument(
            "--full", action="store_true", help="with a history of 1,000,000 deliveries; takes longer"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        plan = QUICK if options["quick"] else FULL if options["full"] else DEFAULT
        signal.signal(signal.SIGTERM, _terminate)
        try:
            with tempfile.TemporaryDirectory(prefix="simulator-bench-") as folder:
                report = Bench(plan, Path(folder), str(settings.SETTINGS_MODULE), _say).run()
        except Failed as error:
            self.give_up(str(error), ENVIRONMENT)
        except OSError as error:
            self.give_up(f"{error.filename or tempfile.gettempdir()}: {error.strerror}.", ENVIRONMENT)
        except KeyboardInterrupt:
            self.give_up("Stopped. Nothing is left behind.", INTERRUPTED)
        report["goals"] = judged(report)
        if options["json"]:
            self.stdout.write(json.dumps(report))
        else:
            show(report, Console(file=sys.stdout))


def _say(text: str) -> None:
    print(f"{text}…", file=sys.stderr, flush=True)


def _terminate(number: int, frame: object) -> NoReturn:
    raise SystemExit(TERMINATED)  # through the same clean-up as Ctrl-C
