"""`verify`: checks one signature as a receiver should. Asks neither the database nor the running server."""

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from simulator import signing
from simulator.management.command import BAD_INPUT, ExplainedCommand

EXAMPLE = """\
Example, with the body exactly as it came, byte for byte:
  python3 manage.py verify --secret whsec_MDEy... --timestamp 1738896900 \\
      --signature v1=e6ad7a04... body.json

Exit code: 0 valid, 1 invalid, 2 bad input."""

VALID, INVALID = 0, 1


class Command(ExplainedCommand):
    help = "Check the signature of a body, and say why when it is wrong."
    epilog = EXAMPLE

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--secret", required=True, help="the endpoint's whole secret, with whsec_")
        parser.add_argument(
            "--timestamp", required=True, help="the x-ultrareach-timestamp header, unix seconds"
        )
        parser.add_argument("--signature", required=True, help="the whole x-ultrareach-signature header")
        parser.add_argument(
            "--tolerance",
            type=_tolerance,
            default=signing.TOLERANCE,
            metavar="SECONDS",
            help="how far the timestamp may be off, either way (default: 300)",
        )
        parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
        parser.add_argument("file", metavar="FILE", help="the body; - reads standard input")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            verdict = signing.verify(
                signing.DEFAULT,
                [options["secret"]],
                signature=options["signature"],
                timestamp=options["timestamp"],
                body=_body(options["file"]),
                now=time.time(),
                tolerance=options["tolerance"],
            )
        except signing.BadSecret as error:
            self.give_up(error.message, BAD_INPUT)
        except OSError as error:
            self.give_up(f"Cannot read the body from {options['file']!a}: {error.strerror}.", BAD_INPUT)
        self.stdout.write(json.dumps(verdict.as_dict()) if options["json"] else _as_text(verdict))
        raise SystemExit(VALID if verdict.valid else INVALID)


def _tolerance(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!a} is not a number of seconds, 0 or more")
    return seconds


def _body(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()


def _as_text(verdict: signing.Verdict) -> str:
    if verdict.valid:
        age = verdict.age_seconds or 0
        return f"Valid. The timestamp is {abs(age)} s {'old' if age >= 0 else 'ahead of this clock'}."
    lines = [f"Invalid ({verdict.reason}). {verdict.message}"]
    if (
        verdict.reason in ("signature_mismatch", "malformed_signature", "missing_signature")
        and verdict.expected
    ):
        lines.append(f"Expected: {verdict.expected}")
    return "\n".join(lines)
