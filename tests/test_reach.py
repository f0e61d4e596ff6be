"""Reachability, against real sockets."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from threading import Event

import pytest

from simulator.reach import reach

from .receiving import Receiver
from .serving import Server


def test_a_receiver_that_listens_is_reachable_and_gets_no_request(receiver: Receiver) -> None:
    found = reach(receiver.url, timeout=5)
    assert found["reachable"] is True and found["error"] is None
    assert found["remote_address"] == f"127.0.0.1:{receiver.port}"
    assert set(found["phases"]) == {"dns", "connect", "tls"}
    assert found["phases"]["connect"] == round(found["phases"]["connect"], 3), "as precise as a delivery's"
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


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Takes connections and then waits for ever, whatever is asked."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        listening.settimeout(10)
        yield listening


def register(server: Server, silent: socket.socket) -> str:
    url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
    return f"/webhooks/{server.api('POST', '/webhooks', {'url': url, 'events': ['*']}).json['id']}/check"


def test_a_check_under_way_does_not_hold_up_the_end_of_the_product(
    make_server: Callable[..., Server], silent: socket.socket
) -> None:
    server = make_server()
    with ThreadPoolExecutor(1) as person:
        check = person.submit(server.api, "POST", register(server, silent))
        with silent.accept()[0]:  # it waits for TLS now, for ten seconds
            code, took = server.stop(within=20)
    assert (code, took < 5) == (0, True)
    error = check.result().json["error"]
    assert (error["code"], error["message"]) == ("interrupted", "The simulator stopped during this check.")


def test_nor_do_checks_that_come_while_it_ends(
    make_server: Callable[..., Server], silent: socket.socket
) -> None:
    server = make_server()
    path = register(server, silent)
    over = Event()

    def ask_on() -> None:
        while not over.is_set():
            with suppress(OSError, HTTPException):
                server.api("POST", path)

    with ThreadPoolExecutor(20) as people:
        for _ in range(20):
            people.submit(ask_on)
        try:
            with silent.accept()[0]:
                code, took = server.stop(within=20)
        finally:
            over.set()
    assert (code, took < 5) == (0, True)
