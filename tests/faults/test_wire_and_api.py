"""What was on the wire is what the API shows, to the byte: 1,000 mixed requests and their answers."""

import base64
import random
from typing import Any

import pytest

from ..receiving import Answer, Receiver
from ..serving import Server
from ..waiting import wait_until

pytestmark = pytest.mark.long

EVENTS = 125  # to eight endpoints each
ENDPOINTS: list[dict[str, Any]] = [
    {"signature": "ultrareach"},
    {"signature": "standard-webhooks"},
    {"signature": "stripe"},
    {"signature": "github"},
    {"signature": "slack", "extras": False},
    {"signature": "shopify", "extras": False, "headers": {"X-ONE": "1", "x-two": "a  b"}},
    {"headers": {"Authorization": "Bearer of-the-receiver", "user-agent": "mine/1.0"}},
    {"headers": {f"X-Nr-{number}": "v" * number for number in range(1, 30)}},
]
TYPES = ("lead.qualified", "property.matched", "message.received", "analysis.completed")
STATUSES = (200, 200, 200, 201, 202, 299, 301, 400, 404, 418, 429, 500, 503)
ODD_BODIES = (
    " ",
    "not JSON at all",
    '{"a":1,"a":2}',
    "\ufeff{}",
    '{"n":1e999,"m":[1.0,1e2,9223372036854775808]}',
    '"\\ud83d\\ude00 \U0001f600 \u202e \x7f"',
    "line\r\nline\n\ttab",
    "x" * 70_000,
)


def content(chance: random.Random, number: int) -> dict[str, Any]:
    """What to send: a sample, one's own data, or bytes of one's own; each unlike every other."""
    type = chance.choice(TYPES)
    kind = number % 3
    if kind == 0:
        return {"type": type, "overrides": {"number": number}}
    if kind == 1:
        return {"type": type, "data": {"number": number, "text": chance.choice(ODD_BODIES)}}
    return {"type": type, "raw_body": f"{chance.choice(ODD_BODIES)}{number}"}


def answer(chance: random.Random) -> Answer:
    """Any status, headers in any order, case and number, any bytes."""
    names = (
        "X-Any",
        "x-any",
        "SET-COOKIE",
        "Set-Cookie",
        "eTag",
        "Content-Type",
        "Content-Encoding",
        "Location",
    )
    latin = [chr(code) for code in (*range(0x21, 0x7F), *range(0xA1, 0x100))]
    headers = tuple(
        (chance.choice(names), "".join(chance.choices(latin, k=chance.randrange(1, 40))))
        for _ in range(chance.randrange(8))
    )
    return Answer(chance.choice(STATUSES), chance.randbytes(chance.choice((0, 1, 20, 5000))), headers)


@pytest.fixture
def endpoints(server: Server, receiver: Receiver) -> list[str]:
    made = []
    for settings in ENDPOINTS:
        body = {"url": receiver.url, "events": ["*"], "retry": {"delays": []}, **settings}
        reply = server.api("POST", "/webhooks", json=body)
        assert reply.status == 201, reply.text
        made.append(reply.json["id"])
    return made


def test_what_was_on_the_wire_is_what_the_api_shows(server: Server, receiver: Receiver, endpoints: list[str]):
    chance = random.Random(7)
    answers = [answer(chance) for _ in range(EVENTS * len(endpoints))]
    receiver.answer(*answers)
    for number in range(EVENTS):
        reply = server.api("POST", "/events", json={**content(chance, number), "endpoints": endpoints})
        assert reply.status == 202, reply.text
    receiver.wait_for(len(answers), within=30)
    on_the_wire = {
        (request.head, request.body): given for request, given in zip(receiver.requests, answers, strict=True)
    }
    assert len(on_the_wire) == len(answers)
    for attempt in attempts(server, len(answers)):
        head, body = shown_request(attempt)
        assert shown_answer(attempt) == wire_answer(on_the_wire.pop((head, body)))
    assert on_the_wire == {}


def attempts(server: Server, count: int) -> list[dict[str, Any]]:
    """The one attempt of each delivery, once all have ended."""
    for status in ("pending", "sending"):
        wait_until(
            lambda status=status: not server.api("GET", f"/deliveries?status={status}").json["data"],
            10,
            "the end",
        )
    ids, cursor = [], ""
    while cursor is not None:
        page = server.api("GET", f"/deliveries?limit=200{cursor and '&cursor=' + cursor}").json
        ids += [delivery["id"] for delivery in page["data"]]
        cursor = page["next_cursor"]
    assert len(ids) == count
    deliveries = [server.api("GET", f"/deliveries/{id}").json for id in ids]
    return [attempt for delivery in deliveries for attempt in delivery["attempts"]]


def shown_request(attempt: dict[str, Any]) -> tuple[bytes, bytes]:
    """The bytes that the API says were sent."""
    request = attempt["request"]
    lines = [f"{request['method']} /webhook HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request["headers"]]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n", request["body"].encode()


def shown_answer(attempt: dict[str, Any]) -> tuple[Any, ...]:
    response = attempt["response"]
    headers = [tuple(pair) for pair in response["headers"]]
    return response["status_code"], response["reason"], headers, base64.b64decode(response["body_base64"])


def wire_answer(given: Answer) -> tuple[Any, ...]:
    headers = [("content-length", str(len(given.body))), *given.headers]
    return given.status, "Scripted", headers, given.body
