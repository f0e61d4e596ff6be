"""Deliveries over the API: shapes, filters, retry, cancel, resend, export."""

import base64
import json
import subprocess
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from tests.receiving import Answer, Receiver
from tests.serving import Server
from tests.waiting import wait_until

from .conftest import Json, field_of, made, refused

DELIVERY = (
    "id seq event endpoint status trigger attempt_count next_attempt_at created finished_at last_attempt"
)
ATTEMPT = (
    "id number trigger status started_at duration_ms phases remote_address request response error retry_after"
)


def fired(api: Server, endpoint: Json, **content: Any) -> Json:
    return made(api.api("POST", f"/webhooks/{endpoint['id']}/test", content))


def listed(api: Server, endpoint: Json, query: str = "") -> list[str]:
    return [
        each["id"]
        for each in made(api.api("GET", f"/deliveries?endpoint={endpoint['id']}&limit=200{query}"))["data"]
    ]


def test_a_delivery_that_failed_twice_tells_each_attempt(
    api: Server, endpoint: Json, receiver: Receiver, ended: Any
) -> None:
    oops = Answer(500, b"oops \xff\x00", (("X-One", "1"), ("x-one", "2"), ("retry-after", "1")))
    receiver.answer(oops, Answer(429, b"", (("Retry-After", "0"),)), 200)
    delivery = ended(fired(api, endpoint)["id"])
    assert set(DELIVERY.split()) | {"attempts"} == set(delivery)
    assert delivery["attempt_count"] == 3 and delivery["next_attempt_at"] is None
    assert delivery["finished_at"] >= delivery["created"]
    first, second, third = delivery["attempts"]
    assert set(ATTEMPT.split()) <= set(first)
    assert [each["number"] for each in delivery["attempts"]] == [1, 2, 3]
    assert [each["status"] for each in delivery["attempts"]] == ["failed", "failed", "succeeded"]
    assert set(first["phases"]) == {"dns", "connect", "tls", "send", "wait", "receive"}
    assert first["remote_address"] == f"127.0.0.1:{receiver.port}"

    answer = first["response"]
    assert answer["status_code"] == 500
    assert base64.b64decode(answer["body_base64"]) == b"oops \xff\x00"
    assert answer["body"] == "oops \ufffd\x00"
    assert (answer["size"], answer["truncated"]) == (7, False)
    assert [pair for pair in answer["headers"] if pair[0].lower() == "x-one"] == [
        ["X-One", "1"],
        ["x-one", "2"],
    ]
    assert first["error"]["code"] == "status" and first["error"]["message"] and first["error"]["hint"]
    assert first["retry_after"] is None
    assert second["retry_after"]["asked"] == 0
    assert third["error"] is None
    assert delivery["last_attempt"] == {
        "number": 3,
        "status_code": 200,
        "error": None,
        "duration_ms": third["duration_ms"],
    }
    on_wire = [[name, value] for name, value in receiver.requests[0].pairs]
    assert first["request"]["headers"] == on_wire
    assert first["request"]["method"] == "POST" and first["request"]["url"] == receiver.url
    assert first["request"]["body"].encode() == receiver.requests[0].body


def test_when_nothing_answers_there_is_an_error_and_no_response(
    api: Server, endpoint: Json, receiver: Receiver, ended: Any
) -> None:
    made(api.api("PATCH", f"/webhooks/{endpoint['id']}", {"retry": {"delays": []}}))
    receiver.stop()
    (attempt,) = ended(fired(api, endpoint)["id"], "failed")["attempts"]
    assert attempt["response"] is None
    assert attempt["error"]["code"] == "refused" and attempt["error"]["phase"] == "connect"


def test_what_is_no_http_is_shown_without_a_status(
    api: Server, endpoint: Json, receiver: Receiver, ended: Any
) -> None:
    made(api.api("PATCH", f"/webhooks/{endpoint['id']}", {"retry": {"delays": []}}))
    receiver.answer(b"220 smtp ready\r\n" + b"x" * 3000)
    (attempt,) = ended(fired(api, endpoint)["id"], "failed")["attempts"]
    assert attempt["error"]["code"] == "bad_response"
    assert attempt["response"]["status_code"] is None
    assert attempt["response"]["body"].startswith("220 smtp ready")
    assert attempt["response"]["size"] == len(attempt["response"]["body"]) == 1024


def test_filters_narrow_the_list(api: Server, endpoint: Json, receiver: Receiver, ended: Any) -> None:
    made(api.api("PATCH", f"/webhooks/{endpoint['id']}", {"retry": {"delays": []}}))
    receiver.answer(404, 503, 200, Answer(200, b"needle%_in the haystack", (("x-marked", "by \\ header"),)))
    four, five = (fired(api, endpoint, data={"n": n})["id"] for n in (4, 5) if ended)
    ended(four, "failed")
    ended(five, "failed")
    fine = fired(api, endpoint, type="message.received", data={"say": 'Quo"te é'})["id"]
    ended(fine)
    marked = fired(api, endpoint)["id"]
    ended(marked)
    assert listed(api, endpoint) == [marked, fine, five, four]
    assert listed(api, endpoint, "&status=failed") == [five, four]
    assert listed(api, endpoint, "&status=succeeded&type=message.received") == [fine]
    assert listed(api, endpoint, "&code=404") == [four]
    assert listed(api, endpoint, "&code=5xx") == [five]
    assert listed(api, endpoint, "&code=status") == [five, four]
    assert listed(api, endpoint, "&code=refused") == []
    assert listed(api, endpoint, "&type=nobody.sends") == []
    for text, expected in (
        ("needle%_in", [marked]),
        ("NEEDLE", [marked]),
        ("needle__in", []),
        ("%", [marked]),
        ("by \\ header", [marked]),
        ("X-Marked", [marked]),
        ('Quo\\"te é', [fine]),
        ("no such text", []),
        (fine, [fine]),
    ):
        assert listed(api, endpoint, f"&q={quote(text)}") == expected, text


def test_any_three_digits_a_receiver_answers_can_be_asked_for(
    api: Server, endpoint: Json, receiver: Receiver, ended: Any
) -> None:
    made(api.api("PATCH", f"/webhooks/{endpoint['id']}", {"retry": {"delays": []}}))
    receiver.answer(600, 999)
    high, highest = (ended(fired(api, endpoint)["id"], "failed")["id"] for _ in range(2))
    assert listed(api, endpoint, "&code=600") == listed(api, endpoint, "&code=6xx") == [high]
    assert listed(api, endpoint, "&code=999") == listed(api, endpoint, "&code=9xx") == [highest]
    rows = api.get(f"/deliveries/rows/?endpoint={endpoint['id']}&q=600").text
    assert high in rows and highest not in rows


def test_times_are_inclusive_on_both_ends(api: Server, endpoint: Json) -> None:
    first, second = (fired(api, endpoint) for _ in range(2))
    wait_until(lambda: made(api.api("GET", f"/deliveries/{second['id']}"))["finished_at"])
    assert second["id"] in listed(api, endpoint, f"&since={second['created']}&until={second['created']}")
    assert first["id"] in listed(api, endpoint, f"&until={first['created']}")
    moment = datetime.fromisoformat(first["created"])
    later, earlier = moment + timedelta(hours=1), moment - timedelta(hours=1)
    assert listed(api, endpoint, f"&since={quote(later.isoformat())}") == []
    assert listed(api, endpoint, f"&until={quote(earlier.isoformat())}") == []
    shifted = (earlier.replace(tzinfo=None) + timedelta(hours=5)).isoformat() + "%2B05:00"
    assert len(listed(api, endpoint, f"&since={shifted}")) == 2
    assert listed(api, endpoint, "&since=9999-12-31T23:59:59Z") == []
    assert listed(api, endpoint, "&until=0001-01-01T00:00:00Z") == []
    for last in ("", ".999", ".9995", ".999999"):
        assert (
            len(listed(api, endpoint, f"&since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59{last}Z")) == 2
        )


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=retrying", "status"),
        ("status=", "status"),
        ("endpoint=nope", "endpoint"),
        ("endpoint=dlv_00000000001", "endpoint"),
        ("endpoint=ep_zzzzzzzzzzz", "endpoint"),
        ("code=099", "code"),
        ("code=0xx", "code"),
        ("code=1000", "code"),
        ("code=nope", "code"),
        ("code=%D9%A4%D9%A0%D9%A4", "code"),
        ("q=", "q"),
        ("q=" + "x" * 201, "q"),
        ("q=%00", "q"),
        ("since=yesterday", "since"),
        ("since=1738896900", "since"),
        ("since=2025-02-07T02:55:00", "since"),
        ("until=2025-13-01T00:00:00Z", "until"),
        ("until=0001-01-01T00:00:00%2B23:59", "until"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(api: Server, query: str, field: str) -> None:
    assert field_of(api.api("GET", f"/deliveries?{query}"))[0] == field


def test_pages_stay_what_they_were_while_rows_arrive(api: Server, endpoint: Json) -> None:
    before = [fired(api, endpoint)["id"] for _ in range(5)]
    path = f"/deliveries?endpoint={endpoint['id']}&limit=2"
    first = made(api.api("GET", path))
    assert first["has_more"] is True
    fired(api, endpoint)
    second = made(api.api("GET", f"{path}&cursor={quote(first['next_cursor'])}"))
    third = made(api.api("GET", f"{path}&cursor={quote(second['next_cursor'])}"))
    seen = [each["id"] for page in (first, second, third) for each in page["data"]]
    assert seen == before[::-1]
    assert (third["has_more"], third["next_cursor"]) == (False, None)
    assert field_of(api.api("GET", f"/events?cursor={quote(first['next_cursor'])}"))[0] == "cursor"


@pytest.fixture
def slow(api: Server, receiver: Receiver) -> Json:
    """An endpoint whose receiver answers 500, with the next retry far away."""
    receiver.answer(500)
    new = {"url": receiver.url, "events": ["*"], "retry": {"delays": [80_000, 80_000]}}
    return made(api.api("POST", "/webhooks", new))


def waiting(api: Server, id: str, count: int = 1) -> Json:
    def find() -> Json | None:
        delivery = made(api.api("GET", f"/deliveries/{id}"))
        return delivery if delivery["status"] == "pending" and delivery["attempt_count"] == count else None

    return wait_until(find, 5, f"{id} to wait for a retry")


def test_a_manual_attempt_that_fails_leaves_the_timetable_as_it_was(api: Server, slow: Json) -> None:
    before = waiting(api, fired(api, slow)["id"])
    reply = api.api("POST", f"/deliveries/{before['id']}/retry")
    assert reply.status == 202 and reply.json["id"] == before["id"]
    after = waiting(api, before["id"], 2)
    assert after["next_attempt_at"] == before["next_attempt_at"]
    assert after["seq"] > before["seq"]
    assert [each["trigger"] for each in after["attempts"]] == ["automatic", "manual"]


def test_a_manual_attempt_that_succeeds_ends_the_delivery(
    api: Server, slow: Json, receiver: Receiver, ended: Any
) -> None:
    delivery = waiting(api, fired(api, slow)["id"])
    receiver.answer(200)
    made(api.api("POST", f"/deliveries/{delivery['id']}/retry"))
    ended(delivery["id"])
    error = refused(api.api("POST", f"/deliveries/{delivery['id']}/retry"), 409)
    assert error["type"] == "conflict_error" and "resend" in error["message"]


def test_cancelling_ends_it_without_another_attempt(api: Server, slow: Json, receiver: Receiver) -> None:
    delivery = waiting(api, fired(api, slow)["id"])
    cancelled = made(api.api("POST", f"/deliveries/{delivery['id']}/cancel"))
    assert (cancelled["status"], cancelled["next_attempt_at"]) == ("cancelled", None)
    assert cancelled["finished_at"]
    refused(api.api("POST", f"/deliveries/{delivery['id']}/cancel"), 409)
    assert len(receiver.requests) == 1


def test_only_what_a_paused_endpoint_holds_is_said_to_be_sent_when_it_is_resumed(
    api: Server, endpoint: Json, receiver: Receiver, ended: Any
) -> None:
    receiver.answer(500)
    made(api.api("PATCH", f"/webhooks/{endpoint['id']}", {"retry": {"delays": []}}))
    failed = ended(fired(api, endpoint)["id"], "failed")
    made(api.api("PATCH", f"/webhooks/{endpoint['id']}", {"status": "paused"}))
    for delivery, then in (
        (fired(api, endpoint), "then what it holds is sent"),
        (failed, "this one can be retried"),
    ):
        assert then in refused(api.api("POST", f"/deliveries/{delivery['id']}/retry"), 409)["message"]


def test_resending_sends_the_same_event_and_an_edited_one_is_new(
    api: Server, endpoint: Json, receiver: Receiver, ended: Any
) -> None:
    first = ended(fired(api, endpoint)["id"])
    same = made(api.api("POST", f"/deliveries/{first['id']}/resend"))
    edited = made(api.api("POST", f"/deliveries/{first['id']}/resend", {"raw_body": '{"edited": true}'}))
    assert same["id"] != first["id"] and same["event"] == first["event"]
    assert same["trigger"] == edited["trigger"] == "resend"
    assert edited["event"]["id"] != first["event"]["id"]
    receiver.wait_for(3)
    bodies = {request.headers["x-ultrareach-delivery-id"]: request.body for request in receiver.requests}
    assert bodies[same["id"]] == bodies[first["id"]]
    assert bodies[edited["id"]] == b'{"edited": true}'
    assert field_of(api.api("POST", f"/deliveries/{first['id']}/resend", {"raw_body": None}))[0] == "raw_body"


def test_the_exported_curl_command_sends_the_very_same_request_again(
    api: Server, receiver: Receiver, ended: Any
) -> None:
    headers = {"X-Quote": 'it\'s "$HOME" `x`'}
    new = {"url": f"{receiver.url}?a=[1]&b='", "events": ["*"], "headers": headers}
    endpoint = made(api.api("POST", "/webhooks", new))
    large = "it's " * 60_000
    for raw in ('@/etc/passwd {"q": "it\'s $HOME `x`"}\n', "a\0b\n", "", large):
        seen = len(receiver.requests)
        delivery = ended(fired(api, endpoint, raw_body=raw)["id"])
        reply = api.api("GET", f"/deliveries/{delivery['id']}/export?format=curl")
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
        script = reply.text.replace("curl ", "curl -sS --noproxy '*' ", 1)
        subprocess.run(["sh"], input=script.encode(), check=True, timeout=10)
        original, copy = receiver.wait_for(seen + 2)[seen:]
        assert copy.body == original.body == raw.encode()
        assert copy.target == original.target
        assert original.headers == copy.headers


def test_exports_for_other_tools(api: Server, endpoint: Json, receiver: Receiver, ended: Any) -> None:
    receiver.answer(500, 200)
    delivery = ended(fired(api, endpoint)["id"])
    assert made(api.api("GET", f"/deliveries/{delivery['id']}/export?format=json")) == delivery
    log = made(api.api("GET", f"/deliveries/{delivery['id']}/export?format=har"))["log"]
    assert log["version"] == "1.2"
    assert [entry["response"]["status"] for entry in log["entries"]] == [500, 200]
    for entry, request in zip(log["entries"], receiver.requests, strict=True):
        assert entry["request"]["postData"]["text"].encode() == request.body
        assert min(entry["timings"][name] for name in ("send", "wait", "receive")) >= 0
    assert endpoint["secret"] not in json.dumps(log)
    for format in ("", "xml", "CURL"):
        assert field_of(api.api("GET", f"/deliveries/{delivery['id']}/export?format={format}"))[0] == "format"
    assert field_of(api.api("GET", f"/deliveries/{delivery['id']}/export"))[0] == "format"


def chunks(api: Server, path: str) -> list[bytes]:
    """The pieces in which the answer came."""
    asked = f"GET /api/v1{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {api.key}\r\nConnection: close"
    _, rest = api.raw(f"{asked}\r\n\r\n".encode()).split(b"\r\n\r\n", 1)
    found = []
    while rest != b"0\r\n\r\n":
        size, rest = rest.split(b"\r\n", 1)
        found.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return found


def test_a_delivery_with_much_in_it_is_written_while_it_leaves(
    api: Server, endpoint: Json, receiver: Receiver, ended: Any
) -> None:
    """Fifty attempts with all that is kept of an answer would be held as 150 MB, and written without a pause."""
    bodies = [bytes([65 + n]) * 250_000 for n in range(3)]
    receiver.answer(*(Answer(500, body) for body in bodies[:2]), Answer(200, bodies[2]))
    delivery = ended(fired(api, endpoint, data={"note": "x" * 200_000})["id"])
    assert [base64.b64decode(each["response"]["body_base64"]) for each in delivery["attempts"]] == bodies
    assert {each["request"]["body"].encode() for each in delivery["attempts"]} == {receiver.requests[0].body}
    at = f"/deliveries/{delivery['id']}"
    for path in (at, f"{at}/export?format=json"):
        reply = api.api("GET", path)
        assert (reply.headers["content-type"], reply.json) == ("application/json", delivery)
        assert chunks(api, path)[0].endswith(b'"attempts":['), "it begins before the attempts are written"
    entries = made(api.api("GET", f"{at}/export?format=har"))["log"]["entries"]
    assert [entry["response"]["content"]["text"] for entry in entries] == [
        each["response"]["body_base64"] for each in delivery["attempts"]
    ]
    head = api.api("HEAD", at)
    assert (head.status, head.body) == (200, b"")


def test_manual_actions_and_changes_are_in_the_activity(api: Server, slow: Json) -> None:
    delivery = waiting(api, fired(api, slow)["id"])
    made(api.api("POST", f"/deliveries/{delivery['id']}/cancel"))
    made(api.api("PATCH", f"/webhooks/{slow['id']}", {"timeout": 5}))
    made(api.api("POST", f"/webhooks/{slow['id']}/rotate-secret"))
    made(api.api("POST", f"/webhooks/{slow['id']}/check"))
    made(api.api("POST", "/events", {"type": "lead.qualified", "endpoints": [slow["id"]], "trigger": "api"}))
    by_hand = {"type": "lead.qualified", "endpoints": [slow["id"]], "trigger": "cli"}
    event = made(api.api("POST", "/events", by_hand))["event"]["id"]
    entries = made(api.api("GET", "/activity?limit=6"))["data"]
    assert [(each["actor"], each["action"], each["subject"]) for each in entries] == [
        ("cli", "sent test event", event),
        ("api", "checked endpoint", slow["id"]),
        ("api", "rotated secret", slow["id"]),
        ("api", "changed endpoint", slow["id"]),
        ("api", "cancelled delivery", delivery["id"]),
        ("api", "sent test event", delivery["event"]["id"]),
    ]
