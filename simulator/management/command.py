"""What our commands have in common: a help that ends with examples, and an end in one sentence, for scripts as JSON too."""

import argparse
import json
from collections.abc import Mapping
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter

BAD_INPUT, ENVIRONMENT, INTERRUPTED = 2, 3, 130  # exit codes
# What the API would call the error; an end by Ctrl-C is none.
_ERRORS = {BAD_INPUT: ("validation_error", "INVALID_PARAMETER"), ENVIRONMENT: ("server_error", "ENVIRONMENT")}


class ExplainedCommand(BaseCommand):
    """`epilog` is printed below the options, line by line as it is written."""

    epilog: str
    requires_system_checks = ()
    _for_scripts = False

    def run_from_argv(self, argv: list[str]) -> None:
        self._for_scripts = "--json" in argv  # before argparse, which may refuse another option
        super().run_from_argv(argv)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(
            prog_name, subcommand, epilog=self.epilog, formatter_class=_Formatter, **kwargs
        )
        refuse = parser.error

        def error(message: str) -> None:
            self._tell(message, BAD_INPUT)
            refuse(message)

        parser.error = error  # type: ignore[method-assign]
        return parser

    def give_up(self, text: str, code: int, error: Mapping[str, Any] | None = None) -> NoReturn:
        """End with that sentence on standard error; with --json there is an error of the API on standard output, too."""
        self._tell(text, code, error)
        self.stderr.write(text)
        raise SystemExit(code)

    def _tell(self, text: str, code: int, error: Mapping[str, Any] | None = None) -> None:
        if self._for_scripts and code in _ERRORS:
            kind, name = _ERRORS[code]
            made: dict[str, Any] = {
                "type": kind,
                "code": name,
                "message": text,
                "details": {},
                "request_id": None,
            }
            self.stdout.write(json.dumps({"error": error or made}))


class _Formatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the epilog."""
