"""An edit counts from its answer on: what was claimed a moment ahead is not begun as the endpoint was."""

import hmac
import time
from collections.abc import Callable
from hashlib import sha256

import pytest

from .receiving import Received, Receiver
from .serving import Server
from .waiting import wait_until

UNDER_WAY_S = 0.1  # a request that was begun before the answer is here by then


@pytest.fixture
def kind_of_server(forked: Callable[..., Server]) -> Callable[..., Server]:
    return forked


def running(server: Server, receiver: Receiver, count: int, **settings: object) -> str:
    """An endpoint to which a batch is on its way."""
    body = {"url": receiver.url, "events": ["*"], **settings}
    endpoint = server.api("POST", "/webhooks", json=body).json["id"]
    batch = {"type": "lead.qualified", "count": count, "endpoints": [endpoint]}
    assert server.api("POST", "/events/batch", json=batch).status == 202
    return endpoint


def patch(server: Server, endpoint: str, **fields: object) -> float:
    """The moment of its answer."""
    assert server.api("PATCH", f"/webhooks/{endpoint}", json=fields).status == 200
    return time.time()


def later(receiver: Receiver, moment: float) -> list[Received]:
    return [one for one in receiver.requests if one.at > moment + UNDER_WAY_S]


def test_a_paused_endpoint_gets_nothing_more_and_everything_once_it_is_resumed(
    server: Server, receiver: Receiver
) -> None:
    receiver.delay = 0.005  # so that a good deal is claimed ahead
    endpoint = running(server, receiver, 1500)
    receiver.wait_for(300)
    receiver.delay = 0.3  # and now waits
    paused = patch(server, endpoint, status="paused")
    wait_until(
        lambda: not server.api("GET", "/deliveries?status=sending").json["data"], 5, "the last answers"
    )
    assert later(receiver, paused) == []
    receiver.delay = 0
    patch(server, endpoint, status="enabled")
    receiver.wait_for(1500, within=20)
    assert len({one.headers["x-ultrareach-delivery-id"] for one in receiver.requests}) == 1500
    assert {one.headers["x-ultrareach-attempt"] for one in receiver.requests} == {"1"}


def test_after_a_rotation_without_overlap_nothing_is_signed_with_the_old_secret(
    server: Server, receiver: Receiver
) -> None:
    receiver.delay = 0.005
    endpoint = running(server, receiver, 1500)
    receiver.wait_for(300)
    receiver.delay = 0.2
    rotated = server.api("POST", f"/webhooks/{endpoint}/rotate-secret", json={"overlap_seconds": 0})
    moment, secret = time.time(), rotated.json["secret"]
    receiver.delay = 0
    receiver.wait_for(1500, within=20)
    new = later(receiver, moment)
    assert new
    for one in new:
        signed = one.headers["x-ultrareach-timestamp"].encode() + b"." + one.body
        expected = "v1=" + hmac.new(secret.encode(), signed, sha256).hexdigest()
        assert one.headers["x-ultrareach-signature"] == expected


def test_a_limit_that_is_raised_counts_while_those_before_it_hang(server: Server, receiver: Receiver) -> None:
    receiver.delay = 8
    endpoint = running(server, receiver, 20, max_in_flight=1)
    receiver.wait_for(1)
    patch(server, endpoint, max_in_flight=15)
    receiver.wait_for(15, within=2)
    assert len(receiver.requests) == 15


def test_a_deletion_in_the_middle_of_an_attempt_says_what_it_was(server: Server, receiver: Receiver) -> None:
    receiver.delay = 8
    endpoint = server.api("POST", "/webhooks", json={"url": receiver.url, "events": ["*"]}).json["id"]
    delivery = server.api("POST", f"/webhooks/{endpoint}/test", json={}).json["id"]
    receiver.wait_for(1)
    assert server.api("DELETE", f"/webhooks/{endpoint}").status == 204
    found = server.api("GET", f"/deliveries/{delivery}").json
    [attempt] = found["attempts"]
    assert (found["status"], attempt["status"]) == ("cancelled", "interrupted")
    assert attempt["error"]["message"].startswith("The endpoint was deleted during this attempt")
    assert attempt["error"]["hint"].startswith("Nothing further is sent.")
    page = server.get(f"/deliveries/{delivery}/").text
    assert "The endpoint was deleted" in page and "Nothing further is sent." in page
    assert "simulator stopped" not in page and "Sent again" not in page
