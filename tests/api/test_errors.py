"""When something is wrong with the machine, or with us: 503 in the envelope, never a 500, never a traceback."""

import sqlite3
import time

import pytest
from django.core.exceptions import RequestDataTooBig
from django.db import DataError, OperationalError
from django.http import Http404

from simulator.api.errors import Problem, problem_of
from simulator.models.delivery import NotNow
from tests.serving import Server

from .conftest import made, refused


def test_a_locked_database_is_a_503_that_says_when_to_try_again(make_server) -> None:  # type: ignore[no-untyped-def]
    """E13: nothing is half-saved, and it works again by itself."""
    server: Server = make_server()
    event = {"type": "lead.qualified", "endpoints": []}
    holder = sqlite3.connect(server.data_dir / "simulator.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    reply = server.api("POST", "/events", event)
    waited = time.monotonic() - began
    error = refused(reply, 503)
    assert (error["type"], error["code"]) == ("server_error", "DATABASE_LOCKED")
    assert int(reply.headers["retry-after"]) >= 1
    assert 4 < waited < 12
    assert made(server.api("GET", "/events"))["data"] == []
    holder.execute("ROLLBACK")
    holder.close()
    made(server.api("POST", "/events", event))


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OperationalError("database is locked"), 503, "DATABASE_LOCKED"),
        (OperationalError("database or disk is full"), 503, "DISK_FULL"),
        (OperationalError("disk I/O error"), 503, "DATABASE_UNAVAILABLE"),
        (DataError("out of range"), 503, "DATABASE_UNAVAILABLE"),
        (RequestDataTooBig("x"), 413, "PAYLOAD_TOO_LARGE"),
        (NotNow("later"), 409, "CONFLICT"),
        (Http404(), 404, "NOT_FOUND"),
        (ZeroDivisionError("secret detail"), 503, "INTERNAL_ERROR"),
    ],
)
def test_every_exception_becomes_an_answer_without_its_inner_text(
    error: Exception, status: int, code: str
) -> None:
    problem = problem_of(error)
    assert isinstance(problem, Problem)
    assert (problem.status, problem.code) == (status, code)
    assert "secret detail" not in problem.message
    assert ("Retry-After" in problem.headers) == (status == 503)
