"""Log lines: one line an entry, and never a secret."""

import io
import json
import logging
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from logging.config import DictConfigurator
from pathlib import Path

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError
from django.test import Client

from simulator import logs, transaction
from simulator.logs import FaultsOnly, JsonLines, NoSecrets, Seldom, masked
from simulator.models import Endpoint

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"signing with {SECRET}!", SECRET[6:]),
        ("whsec_abc+def/ghi=", "def/ghi"),
        ("Authorization: Bearer s3cret-key", "s3cret"),
        ("authorization: bearer s3cret-key", "s3cret"),
        ("GET http://user:pa55@host/x", "pa55"),
        ("GET https://user:p@55@host/x", "55@"),
    ],
)
def test_secrets_are_masked(text: str, hidden: str):
    assert hidden not in masked(text)
    assert "…" in masked(text)


def test_what_is_no_secret_stays_as_it_is():
    text = "http://127.0.0.1:3000/webhook answered 500 after 12 ms; contact a@b.example"
    assert masked(text) == text


def logged(formatter: logging.Formatter, write) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(NoSecrets())
    handler.setFormatter(formatter)
    logger = logging.getLogger("simulator.test")
    logger.addHandler(handler)
    try:
        write(logger)
    finally:
        logger.removeHandler(handler)
    return stream.getvalue()


def fail(logger: logging.Logger) -> None:
    try:
        raise ValueError(f"cannot sign with {SECRET}")
    except ValueError:
        logger.exception("failed for %s", SECRET)


def test_arguments_and_tracebacks_are_masked_too():
    text = logged(logging.Formatter("%(message)s"), fail)
    assert "Traceback" in text
    assert "failed for whsec_…" in text
    assert SECRET[6:] not in text


def test_arguments_that_do_not_fit_harm_nobody_and_are_masked_too():
    text = logged(logging.Formatter("%(message)s"), lambda logger: logger.warning("%d things", SECRET))
    assert text == "%d things ('whsec_…',)\n"


def test_json_is_one_object_a_line_with_the_traceback_inside():
    lines = logged(JsonLines(), fail).splitlines()
    assert len(lines) == 1
    entry = json.loads(lines[0])
    assert entry["level"] == "ERROR"
    assert entry["logger"] == "simulator.test"
    assert entry["message"] == "failed for whsec_…"
    assert "ValueError" in entry["traceback"]
    assert SECRET[6:] not in lines[0]


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_moment_is_in_utc_and_says_so(format: str):
    config = logs.config(format)
    formatter = DictConfigurator(config).configure_formatter(config["formatters"][format])
    entry = logging.makeLogRecord({"created": 1738896900.25, "msecs": 250.0})
    assert "2025-02-07T02:55:00.250Z" in formatter.format(entry)


@pytest.mark.parametrize("format", ["text", "json"])
def test_every_entry_passes_the_mask(format: str):
    config = logs.config(format)
    assert config["root"]["handlers"] == ["stderr"]
    assert config["handlers"]["stderr"]["filters"] == ["no_secrets"]
    assert config["handlers"]["stderr"]["formatter"] == format


def test_an_answer_of_500_is_no_entry_and_an_exception_is() -> None:
    said = logging.LogRecord(
        "django.request", logging.ERROR, "", 0, "Internal Server Error: /receiver/", (), None
    )
    raised = logging.LogRecord(
        "django.request", logging.ERROR, "", 0, "x", (), (ValueError, ValueError(), None)
    )
    assert not FaultsOnly().filter(said)
    assert FaultsOnly().filter(raised)


def test_the_same_words_pass_once_a_minute_and_every_bug_does(monkeypatch: pytest.MonkeyPatch):
    def entry(words: str, bug: object = None) -> logging.LogRecord:
        return logging.LogRecord("x", logging.WARNING, "", 0, "refused: %s", (words,), bug)

    seldom = Seldom()
    assert [seldom.filter(entry(words)) for words in ("full", "full", "locked", "full")] == [1, 0, 1, 0]
    bug = (ValueError, ValueError(), None)
    assert [seldom.filter(entry("full", bug)) for _ in range(2)] == [1, 1]
    monkeypatch.setattr(logs, "QUIET_S", 0)
    assert seldom.filter(entry("full")), "the minute is over"


@pytest.mark.parametrize(
    ("sql", "kind", "ours"),
    [
        ("SELECT nothing", OperationalError, True),
        ("INSERT INTO simulator_seq VALUES (NULL)", IntegrityError, True),
        ("PRAGMA query_only = ON; INSERT INTO simulator_seq VALUES (1)", OperationalError, False),
    ],
)
def test_a_database_that_is_in_trouble_is_no_fault_of_ours_but_wrong_sql_is(
    tmp_path: Path, sql: str, kind: type[DatabaseError], ours: bool
):
    with closing(sqlite3.connect(tmp_path / "file")) as reader:
        reader.execute("CREATE TABLE simulator_seq (n NOT NULL)")
        try:
            reader.executescript(sql)
        except sqlite3.Error as cause:
            error = kind(*cause.args)
            error.__cause__ = cause
    raised = logging.LogRecord("x", logging.ERROR, "", 0, "", (), (kind, error, None))
    assert FaultsOnly().filter(raised) is ours


@pytest.fixture(params=["deleted", "locked"])
def unwritable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The database was deleted, or somebody else has had the right to write for too long."""
    monkeypatch.setattr("simulator.transaction._refused", None)
    if request.param == "deleted":
        transaction.shut("The database file was deleted.")
        yield
        transaction.shut(None)
    else:
        monkeypatch.setattr("simulator.transaction.LOCK_WAIT_S", 0.05)
        with ThreadPoolExecutor(1) as other:
            assert other.submit(transaction._lock.acquire, timeout=1).result()
            yield
            other.submit(transaction._lock.release).result()


def test_a_click_that_cannot_be_written_is_no_bug_in_the_log(
    client: Client, endpoint: Endpoint, unwritable: None, caplog: pytest.LogCaptureFixture
):
    client.raise_request_exception = False
    answer = client.post(f"/endpoints/{endpoint.pk}/status/", {"status": "paused"})
    assert answer.status_code == 503
    assert not [entry for entry in caplog.records if entry.exc_info], "a line tells it"
