"""How log lines look: one line per entry, and no secret in any. Knows nothing of what is logged."""

import errno
import json
import logging
import re
import sqlite3
import time
from typing import Any

from django.db import DatabaseError, OperationalError

from .transaction import why_shut

NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)
QUIET_S = 60
_SECRET = re.compile(r"(whsec_)[\w+/=-]+|(Bearer )\S+|(://)[^/\s]+@", re.IGNORECASE)


def masked(text: str) -> str:
    """The text without secrets: signing secrets, Bearer keys, credentials in URLs."""
    return _SECRET.sub(lambda found: (found[1] or found[2] or found[3]) + "…", text)


class NoSecrets(logging.Filter):
    """Masks secrets in the entry, also inside its arguments and traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = masked(_message(record)), None
        if record.exc_info and not record.exc_text:
            record.exc_text = masked(logging.Formatter().formatException(record.exc_info))
        return True


def _message(record: logging.LogRecord) -> str:
    """Appends arguments that do not fit its format: raised in a filter, the error would reach the code that logs."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  (whatever the __str__ of an argument does)
        return f"{record.msg} {record.args!r:.1000}"


class Seldom(logging.Filter):
    """Lets the same words pass once in QUIET_S: a full disk would say them at each of thousands of refused calls."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            return True
        now, words = time.monotonic(), _message(record)
        self._said = {said: at for said, at in self._said.items() if now - at < QUIET_S}
        passes = words not in self._said
        self._said.setdefault(words, now)
        return passes


class FaultsOnly(logging.Filter):
    """Lets only our own bugs pass: not a 500 that the built-in receiver answers on purpose, nor a database that is
    locked, full, damaged or gone, which is already logged in a line. Wrong SQL and wrong rows are bugs."""

    def filter(self, record: logging.LogRecord) -> bool:
        raised = record.exc_info[1] if record.exc_info else None
        cause = raised.__cause__ if raised else None
        if isinstance(raised, OperationalError) and not isinstance(cause, sqlite3.Error):
            return False  # raised by `transaction`, or SQLite has no memory
        if type(raised) in (DatabaseError, OperationalError):  # subclasses are about the data to be written
            return getattr(cause, "sqlite_errorname", "SQLITE_ERROR") == "SQLITE_ERROR" and why_shut() is None
        if isinstance(raised, OSError) and raised.errno in NO_DESCRIPTOR:  # whose limit is told by others
            return False
        return raised is not None


class Lines(logging.Formatter):
    """Times as the API writes them, in UTC: Django sets this process to it, whatever the terminal's time zone."""

    converter = staticmethod(time.gmtime)
    default_time_format, default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"


class JsonLines(Lines):
    """One JSON object per line, for log collectors: time, level, logger, message, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_text:
            entry["traceback"] = record.exc_text
        return json.dumps(entry, ensure_ascii=False)


def config(format: str) -> dict[str, Any]:
    """Django's LOGGING: one line per entry on standard error, `text` or `json`; secrets never get through."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "no_secrets": {"()": "simulator.logs.NoSecrets"},
            "faults_only": {"()": "simulator.logs.FaultsOnly"},
            "seldom": {"()": "simulator.logs.Seldom"},
        },
        "formatters": {
            "text": {
                "()": "simulator.logs.Lines",
                "format": "{asctime} {levelname} {name}: {message}",
                "style": "{",
            },
            "json": {"()": "simulator.logs.JsonLines"},
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": format, "filters": ["no_secrets"]},
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "simulator": {"level": "INFO"},
            "simulator.api.errors": {"filters": ["seldom"]},
            "console": {"level": "INFO"},
            "console.stream": {"filters": ["seldom"]},
            "django": {"level": "ERROR"},
            "django.request": {"filters": ["faults_only"]},
            "django.security": {"level": "CRITICAL"},  # the client is told what is wrong with its request
        },
    }
