"""How `up` ends, and how it goes on after a halt: what is under way is neither lost nor said to have failed."""

import signal
import socket
import time
from collections.abc import Callable

import pytest

from .receiving import Answer, Receiver
from .serving import Server
from .waiting import wait_until


def slow_delivery(server: Server, receiver: Receiver, delay: float) -> str:
    """Send to a receiver that takes `delay` seconds; returns the delivery's id once the request is there."""
    receiver.answer(Answer(delay=delay))
    endpoint = server.api("POST", "/webhooks", {"url": receiver.url, "events": ["lead.qualified"]}).json
    delivery = server.api("POST", f"/webhooks/{endpoint['id']}/test", {}).json
    receiver.wait_for(1)
    return delivery["id"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_e08_what_answers_in_time_is_recorded_before_it_ends(server: Server, receiver: Receiver, how: int):
    delivery = slow_delivery(server, receiver, 1.5)
    code, took = server.stop(how)
    assert (code, took < 6) == (0, True)
    server.start()
    found = server.api("GET", f"/deliveries/{delivery}").json
    assert found["status"] == "succeeded"
    assert [attempt["status"] for attempt in found["attempts"]] == ["succeeded"]


def test_e08_what_takes_longer_is_interrupted_and_sent_again(server: Server, receiver: Receiver):
    delivery = slow_delivery(server, receiver, 9)
    code, took = server.stop()
    assert (code, took < 6) == (0, True)
    receiver.answer(200)
    server.start()
    receiver.wait_for(2)
    wait_until(lambda: server.api("GET", f"/deliveries/{delivery}").json["status"] == "succeeded", 5)
    found = server.api("GET", f"/deliveries/{delivery}").json
    assert [attempt["status"] for attempt in found["attempts"]] == ["interrupted", "succeeded"]


def test_while_it_drains_it_is_not_ready(server: Server, receiver: Receiver):
    slow_delivery(server, receiver, 1.5)
    server.process.send_signal(signal.SIGTERM)
    told = wait_until(lambda: (r := server.get("/readyz")).status == 503 and r.json["troubles"], 1)
    assert told == ["The delivery engine is stopping."]
    assert server.wait() == 0


def test_one_that_still_starts_ends_as_well_and_nothing_is_half_done(make_server: Callable[..., Server]):
    server = make_server(start=False)
    server.start(ready=False)
    wait_until((server.data_dir / "engine.lock").exists, 10, "the first thing that it makes")
    code, _ = server.stop()
    assert (code, server.output) == (0, "")
    server.start()
    assert server.get("/readyz").status == 200


def test_an_idle_one_ends_at_once(server: Server):
    code, took = server.stop()
    assert (code, took < 1) == (0, True)


def test_it_ends_with_half_sent_requests_and_open_sockets_around(server: Server):
    headers = {"Authorization": f"Bearer {server.key}"}
    with (
        socket.create_connection(("127.0.0.1", server.port)) as half,
        server.socket("/ws/v1/stream", additional_headers=headers),
    ):
        half.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\n")
        assert server.get("/healthz").status == 200
        code, took = server.stop()
        assert (code, took < 2) == (0, True)


def test_what_was_answered_while_it_was_stopped_came_in_time(server: Server, receiver: Receiver):
    """Ctrl-Z and fg, or a machine that was suspended: the answer lies in the kernel when the deadline has passed."""
    hook = {"url": receiver.url, "events": ["*"], "timeout": 1, "retry": {"delays": []}}
    endpoint = server.api("POST", "/webhooks", json=hook).json["id"]
    receiver.delay = 0.3
    sent = [
        server.api("POST", f"/webhooks/{endpoint}/test", json={"type": "lead.qualified"}).json
        for _ in range(3)
    ]
    receiver.wait_for(3)
    server.process.send_signal(signal.SIGSTOP)
    try:
        stopped = time.monotonic()
        wait_until(lambda: time.monotonic() > stopped + 1.5, 3)
    finally:
        server.process.send_signal(signal.SIGCONT)
    for one in sent:
        path = f"/deliveries/{one['id']}"
        wait_until(lambda path=path: server.api("GET", path).json["status"] not in ("pending", "sending"), 5)
        assert server.api("GET", path).json["status"] == "succeeded"
