"""The built-in receiver, asked as a webhook sender would ask it; some of it over a real socket."""

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import AsyncRequestFactory

from simulator.models import Endpoint
from simulator.receiver import BODY_KEPT, REMEMBERED, receive, recent
from simulator.signing import new_secret

from .serving import Server

BODY = b'{"id":"evt_1","type":"lead.qualified"}'
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"


async def post(
    path: str, body: bytes = BODY, headers: dict[str, str] | None = None, method: str = "POST"
) -> HttpResponse:
    made = AsyncRequestFactory().generic
    return await receive(made(method, path, body, content_type="application/json", headers=headers or {}))


async def statuses(path: str, *requests: dict[str, str], body: bytes = BODY) -> list[int]:
    return [(await post(path, body, headers)).status_code for headers in requests]


def attempt(number: int, event: str = "evt_1") -> dict[str, str]:
    return {"x-ultrareach-attempt": str(number), "x-ultrareach-event-id": event}


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/receiver/", "/receiver/a", "/receiver/a/b/c/", "/receiver/ä%20b"])
async def test_any_method_on_any_path_is_received(method: str, path: str) -> None:
    answer = await post(path, method=method)
    assert (answer.status_code, answer.content) == (200, b'{"received":true}')
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_it_remembers_what_came_newest_first() -> None:
    await post("/receiver/remembered?status=503&x=1", b"\x00\xff raw", {"x-custom": "yes"}, method="PUT")
    await post("/receiver/later")
    later, found = recent()[:2]
    assert later.path == "/receiver/later"
    assert (found.method, found.path) == ("PUT", "/receiver/remembered?status=503&x=1")
    assert (found.body, found.size) == (b"\x00\xff raw", 6)
    assert "yes" in [value for name, value in found.headers if name.lower() == "x-custom"]
    assert abs(found.received_at.timestamp() - time.time()) < 60


async def test_it_remembers_the_last_100_and_of_a_large_body_the_beginning() -> None:
    for number in range(REMEMBERED + 5):
        await post(f"/receiver/many/{number}", b"x" * (BODY_KEPT + 10) if number == REMEMBERED + 4 else b"x")
    assert [each.path for each in recent()] == [f"/receiver/many/{n}" for n in range(104, 4, -1)]
    assert (len(recent()[0].body), recent()[0].size) == (BODY_KEPT, BODY_KEPT + 10)


@pytest.mark.parametrize("status", [200, 201, 204, 205, 299, 302, 304, 404, 410, 429, 503, 599])
async def test_it_answers_with_the_status_it_is_asked_for(status: int) -> None:
    answer = await post(f"/receiver/?status={status}")
    assert answer.status_code == status
    assert answer.content == (b"" if status in (204, 205, 304) else b'{"received":true}')


async def test_a_body_asked_for_is_sent_as_plain_text_that_no_browser_runs() -> None:
    answer = await post("/receiver/?body=%3Cscript%3Ealert(1)%3C/script%3E%20%C3%A9&status=418")
    assert answer.status_code == 418
    assert answer.content == "<script>alert(1)</script> é".encode()
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_slow_answers_do_not_wait_for_each_other() -> None:
    began = time.perf_counter()
    answers = await asyncio.gather(*(post("/receiver/?delay=0.4&status=202") for _ in range(5)))
    took = time.perf_counter() - began
    assert [answer.status_code for answer in answers] == [202] * 5
    assert 0.4 <= took < 1.6


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=199", "status"),
        ("status=600", "status"),
        ("status=", "status"),
        ("status=abc", "status"),
        ("status=200.0", "status"),
        ("status=-200", "status"),
        ("status=٢٠٠", "status"),
        ("status=%00", "status"),
        ("delay=121", "delay"),
        ("delay=-1", "delay"),
        ("delay=NaN", "delay"),
        ("delay=inf", "delay"),
        ("delay=1e1", "delay"),
        ("delay=", "delay"),
        ("fail_first=-1", "fail_first"),
        ("fail_first=1.5", "fail_first"),
        ("fail_first=two", "fail_first"),
        ("fail_first=99999999999999999999", "fail_first"),
    ],
)
async def test_a_bad_query_value_is_a_400_that_names_the_field(query: str, field: str) -> None:
    answer = await post(f"/receiver/?{query}")
    error = json.loads(answer.content)["error"]
    assert answer.status_code == 400
    assert (error["type"], error["code"], error["details"]["field"]) == (
        "validation_error",
        "INVALID_PARAMETER",
        field,
    )
    assert error["request_id"].startswith("req_")
    assert field in error["message"]


async def test_parameters_of_ones_own_are_left_alone() -> None:
    assert (await post("/receiver/?tenant=5&token=%FF")).status_code == 200


async def test_a_body_too_large_for_the_console_is_refused_in_the_envelope() -> None:
    answer = await post("/receiver/", b"x" * (2 * 1024 * 1024))
    assert answer.status_code == 413
    assert json.loads(answer.content)["error"]["code"] == "PAYLOAD_TOO_LARGE"


async def test_the_first_two_attempts_of_each_event_fail() -> None:
    path = "/receiver/flaky/each?fail_first=2"
    assert await statuses(path, attempt(1), attempt(2), attempt(3)) == [500, 500, 200]
    assert await statuses(path, attempt(1, "evt_2"), attempt(2, "evt_2"), attempt(3, "evt_2")) == [
        500,
        500,
        200,
    ]


async def test_a_resend_of_an_event_that_got_through_succeeds_at_once() -> None:
    path = "/receiver/flaky/resend?fail_first=2"
    assert await statuses(path, attempt(1), attempt(2), attempt(3), attempt(1)) == [500, 500, 200, 200]


async def test_without_the_extra_headers_the_same_body_is_the_same_event() -> None:
    path = "/receiver/flaky/bare?fail_first=2"
    assert await statuses(path, {}, {}, {}) == [500, 500, 200]
    assert await statuses(path, {}, body=b"another") == [500]


async def test_two_urls_count_separately() -> None:
    assert await statuses("/receiver/flaky/one?fail_first=1", attempt(1), attempt(2)) == [500, 200]
    assert await statuses("/receiver/flaky/two?fail_first=1", attempt(1), attempt(2)) == [500, 200]


async def test_after_a_restart_the_attempt_number_stands_in_for_the_lost_count() -> None:
    assert await statuses("/receiver/flaky/restart?fail_first=2", attempt(2), attempt(3)) == [500, 200]


async def test_after_the_failures_comes_what_else_was_asked_for() -> None:
    path = "/receiver/flaky/then?fail_first=1&status=202&body=done"
    assert (await post(path, headers=attempt(1))).status_code == 500
    last = await post(path, headers=attempt(2))
    assert (last.status_code, last.content) == (202, b"done")


@pytest.mark.parametrize("number", ["0", "-1", "x", "²", "9" * 50, ""])
async def test_an_odd_attempt_header_is_not_believed(number: str) -> None:
    path = f"/receiver/flaky/odd{len(number)}{number[:1] or 'empty'}?fail_first=1"
    headers = {"x-ultrareach-attempt": number}
    assert await statuses(path, headers, headers) == [500, 200]


async def test_the_memory_of_failed_events_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from simulator import receiver

    monkeypatch.setattr(receiver, "_EVENTS_COUNTED", 10)
    monkeypatch.setattr(receiver, "_failed", type(receiver._failed)())
    for number in range(30):
        await post("/receiver/flaky/bounded?fail_first=1", headers=attempt(1, f"evt_{number}"))
    assert len(receiver._failed) == 10


def signed(secret: str, timestamp: int | None = None, body: bytes = BODY) -> dict[str, str]:
    timestamp = int(time.time()) if timestamp is None else timestamp
    digest = hmac.new(secret.encode(), b"%d." % timestamp + body, "sha256").hexdigest()
    return {"x-ultrareach-timestamp": str(timestamp), "x-ultrareach-signature": f"v1={digest}"}


@pytest.fixture
def endpoint(transactional_db: None) -> Endpoint:
    return Endpoint.register(url="http://127.0.0.1:9/", events=["*"], secret=SECRET)


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        (lambda: signed(SECRET), 200, None),
        (lambda: signed(new_secret()), 401, "signature_mismatch"),
        (lambda: signed(SECRET, body=b"other"), 401, "signature_mismatch"),
        (lambda: signed(SECRET, timestamp=1738896900), 401, "timestamp_too_old"),
        (dict, 401, "missing_signature"),
        (
            lambda: {"x-ultrareach-signature": signed(SECRET)["x-ultrareach-signature"]},
            401,
            "missing_timestamp",
        ),
        (lambda: signed(SECRET) | {"x-ultrareach-timestamp": "now"}, 401, "malformed_timestamp"),
    ],
)
async def test_asked_to_verify_it_refuses_a_bad_signature(
    endpoint: Endpoint, headers: Callable[[], dict[str, str]], status: int, reason: str | None
) -> None:
    answer = await post(f"/receiver/?verify={endpoint.pk}", headers=headers())
    assert answer.status_code == status
    if reason:
        error = json.loads(answer.content)["error"]
        assert (error["type"], error["details"]["reason"]) == ("authentication_error", reason)


def test_both_secrets_of_a_rotation_verify(endpoint: Endpoint) -> None:
    new, _ = endpoint.rotate_secret()
    path = f"/receiver/?verify={endpoint.pk}"
    assert asyncio.run(statuses(path, signed(SECRET), signed(new))) == [200, 200]


def test_it_verifies_by_the_profile_of_the_endpoint(endpoint: Endpoint) -> None:
    endpoint.change(signature={"preset": "github"})
    right = "sha256=" + hmac.new(SECRET.encode(), BODY, "sha256").hexdigest()
    path = f"/receiver/?verify={endpoint.pk}"
    assert asyncio.run(statuses(path, {"X-Hub-Signature-256": right}, signed(SECRET))) == [200, 401]


async def test_a_bad_signature_uses_up_none_of_the_failures(endpoint: Endpoint) -> None:
    path = f"/receiver/?verify={endpoint.pk}&fail_first=1"
    assert await statuses(path, {}, signed(SECRET), signed(SECRET)) == [401, 500, 200]


@pytest.mark.parametrize("id", ["", "ep_", "ep_00000000000", "evt_1", "ep_" + "z" * 11, "x" * 5000, "%00"])
async def test_verifying_for_an_unknown_endpoint_is_a_400(transactional_db: None, id: str) -> None:
    answer = await post(f"/receiver/?verify={id}")
    assert answer.status_code == 400
    assert json.loads(answer.content)["error"]["details"]["field"] == "verify"


def test_a_deleted_endpoint_verifies_nothing(endpoint: Endpoint) -> None:
    endpoint.remove()
    assert asyncio.run(statuses(f"/receiver/?verify={endpoint.pk}", signed(SECRET))) == [400]


def test_over_a_real_socket_it_answers_byte_for_byte_and_at_once(server: Server) -> None:
    answers: list[Any] = []
    for _ in range(20):
        began = time.perf_counter()
        answer = server.request("POST", "/receiver/x", BODY, content_type="application/json")
        answers.append(
            (time.perf_counter() - began, answer.status, answer.body, answer.headers["content-type"])
        )
    assert {answer[1:] for answer in answers} == {(200, b'{"received":true}', "application/json")}
    assert sorted(answer[0] for answer in answers)[10] < 0.1
    assert server.request("POST", "/receiver/?status=204").body == b""
    assert server.request("DELETE", "/receiver/?status=503&delay=0.2").status == 503
    foreign = server.request("POST", "/receiver/", BODY, Origin="http://localhost:3000")
    assert foreign.status == 200
