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
    ("path", "body", "field", "reason", "said"),
    [
        ("/webhooks", {"max_in_flight": "5"}, "max_in_flight", "invalid_type", "Must be a whole number."),
        ("/webhooks", {"timeout": 121}, "timeout", "out_of_range", "Must be at most 120."),
        ("/webhooks", {"timeout": 0.01}, "timeout", "out_of_range", "Must be at least 0.1."),
        (
            "/webhooks",
            {"retry": {"delays": [86_401]}},
            "retry.delays.0",
            "out_of_range",
            "Must be at most 86,400.",
        ),
        ("/webhooks", {"retry": 5}, "retry", "invalid_type", "Must be an object."),
        ("/webhooks", {"retry": {"delays": 5}}, "retry.delays", "invalid_type", "Must be a list."),
        ("/webhooks", {"events": []}, "events", "too_short", "Must have 1 or more entries."),
        ("/webhooks", {"headers": {"{x}": 5}}, "headers.{x}", "invalid_type", "Must be a string."),
        ("/webhooks", {"status": "off"}, "status", "invalid_choice", "Must be 'enabled' or 'paused'."),
        (
            "/webhooks",
            {"description": "x" * 1001},
            "description",
            "too_long",
            "Must have at most 1,000 characters.",
        ),
        ("/webhooks", {"extras": 1}, "extras", "invalid_type", "Must be true or false."),
        ("/events", {"type": ""}, "type", "too_short", "Must have 1 or more characters."),
        ("/events", {"trigger": "me"}, "trigger", "invalid_format", "Must match '^(api|cli)$'."),
    ],
)
def test_a_value_that_does_not_fit_is_told_how_it_must_be(
    api: Server, path: str, body: dict[str, object], field: str, reason: str, said: str
) -> None:
    known = {"url": f"{api.url}/receiver/ok", "events": ["*"]} if path == "/webhooks" else {"type": "a"}
    error = refused(api.api("POST", path, known | body), 400)
    assert (error["message"], error["details"]) == (f"{field}: {said}", {"field": field, "reason": reason})


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
