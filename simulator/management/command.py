"""What our commands have in common: a help that ends with examples, and an end in one sentence."""

import argparse
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter


class ExplainedCommand(BaseCommand):
    """`epilog` is printed below the options, line by line as it is written."""

    epilog: str
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            prog_name, subcommand, epilog=self.epilog, formatter_class=_Formatter, **kwargs
        )

    def give_up(self, text: str, code: int) -> NoReturn:
        self.stderr.write(text)
        raise SystemExit(code)


class _Formatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the epilog."""
