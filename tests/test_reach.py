"""Reachability, against real sockets."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from simulator.reach import reach

from .receiving import Receiver
from .serving import Server


def test_a_receiver_that_listens_is_reachable_and_gets_no_request(receiver: Receiver) -> None:
    found = reach(receiver.url, timeout=5)
    assert found["reachable"] is True and found["error"] is None
    assert found["remote_address"] == f"127.0.0.1:{receiver.port}"
    assert set(found["phases"]) == {"dns", "connect", "tls"}
    assert receiver.requests == []


def test_what_keeps_it_from_being_reached_comes_with_a_hint(receiver: Receiver) -> None:
    receiver.stop()
    refused = reach(receiver.url, timeout=5)
    assert refused["reachable"] is False
    assert refused["error"]["code"] == "refused" and refused["error"]["phase"] == "connect"
    assert str(receiver.port) in refused["error"]["hint"]
    nowhere = reach("http://name.invalid/", timeout=5)
    assert nowhere["error"]["code"] == "dns_failed"


def test_what_may_not_be_sent_to_is_not_dialled_either() -> None:
    assert reach("http://169.254.169.254/", timeout=5)["error"]["code"] == "blocked_target"


def test_a_check_under_way_does_not_hold_up_the_end_of_the_product(tmp_path: Path) -> None:
    server = Server(tmp_path).start()
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as person:
        silent.settimeout(10)
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        endpoint = server.api("POST", "/webhooks", {"url": url, "events": ["*"]}).json["id"]
        check = person.submit(server.api, "POST", f"/webhooks/{endpoint}/check")
        with silent.accept()[0]:  # it waits for TLS now, for ten seconds
            code, took = server.stop(within=20)
        assert (code, took < 5) == (0, True)
        assert check.result().json["error"]["code"] == "interrupted"
    server.finish()
