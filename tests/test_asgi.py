"""The application as a whole: pages, files, API and health behind one door, and what is said when nothing is there."""

import socket
from collections.abc import Iterator

import pytest

from console.asgi import _somebody_waits

from .serving import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("asgi")).start()
    yield running
    running.finish()


def test_it_is_alive_and_ready(server: Server):
    assert server.get("/healthz").json == {"status": "ok"}
    assert server.get("/readyz").json == {"status": "ok", "troubles": []}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_who_posts_there_is_told_that_it_takes_get(server: Server, path: str):
    answer = server.request("POST", path, b"")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_an_address_without_its_final_slash_is_led_to_the_one_with_it(server: Server):
    answer = server.get("/endpoints?status=paused")
    assert (answer.status, answer.headers["location"]) == (301, "/endpoints/?status=paused")
    assert server.request("POST", "/endpoints", b"", Origin=server.url).status == 404
    answer = server.get("/receiver?status=500")
    assert (answer.status, answer.headers["location"]) == (301, "/receiver/?status=500")


@pytest.mark.parametrize("path", ["/", "/receiver/", "/api/v1/webhooks"])
def test_a_query_of_too_many_fields_is_refused_without_a_word_in_the_log(server: Server, path: str):
    before = len(server.errors)  # a machine that stood still before is none of ours
    answer = (
        server.api("GET", "/webhooks?" + "a=1&" * 1001)
        if "api" in path
        else server.get(f"{path}?{'a=1&' * 1001}")
    )
    assert answer.status == 400
    assert server.errors[before:] == ""


@pytest.mark.parametrize("path", ["//evil.example", "//evil.example/endpoints", "/%2f%2fevil.example"])
def test_nobody_is_led_away_from_here(server: Server, path: str):
    answer = server.get(path)
    assert answer.status == 404
    assert "location" not in answer.headers


def test_where_nothing_is_a_page_says_so(server: Server):
    answer = server.get("/nothing/here")
    assert answer.status == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "Traceback" not in answer.text


def test_below_the_api_the_envelope_says_so(server: Server):
    assert server.get("/api/v1/nothing").status == 401  # without the key nobody learns what is there
    answer = server.api("GET", "/nothing")
    assert (answer.status, answer.json["error"]["code"]) == (404, "NOT_FOUND")
    assert server.api("PUT", "/webhooks").status == 405


@pytest.mark.parametrize("path", ["/", "/healthz", "/nothing", "/static/icon.svg", "/api/v1/webhooks"])
def test_every_short_answer_has_a_length(server: Server, path: str):
    answer = server.get(path)
    assert int(answer.headers["content-length"]) == len(answer.body) > 0


@pytest.mark.parametrize("path", ["/", "/endpoints/", "/healthz", "/nothing", "/static/icon.svg"])
def test_head_gets_the_same_without_the_body(server: Server, path: str):
    answer, head = server.get(path), server.request("HEAD", path)
    assert (head.status, head.body) == (answer.status, b"")
    assert head.headers["content-type"] == answer.headers["content-type"]


def test_head_of_an_answer_of_many_pieces_has_no_piece_of_it(server: Server):
    assert len(server.get("/api/v1/openapi.json").body) > 64 * 1024  # more than Django sends at once
    asked = b"%b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    end = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    answers = server.raw(asked % b"HEAD /api/v1/openapi.json", end)
    _, after_head = answers.split(b"\r\n\r\n", 1)
    assert after_head.startswith(b"HTTP/1.1 200 OK\r\n"), after_head[:80]


def test_static_files_come_with_their_type_and_nothing_else_is_served(server: Server):
    icon = server.get("/static/icon.svg")
    assert (icon.status, icon.headers["content-type"]) == (200, "image/svg+xml")
    assert server.request("POST", "/static/icon.svg", b"", Origin=server.url).status == 405
    for path in ("/static/../manage.py", "/static/%2e%2e/manage.py", "/static//etc/passwd", "/static/"):
        assert server.get(path).status == 404


def test_one_connection_serves_many_requests(server: Server):
    request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
        for _ in range(3):
            connection.sendall(request)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 OK")


def test_what_a_page_needs_while_a_slow_request_runs_does_not_wait_for_it(server: Server):
    slow = b"POST /receiver/ok?delay=2 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
        connection.sendall(slow)
        assert server.get("/").status == 200
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)


@pytest.mark.parametrize("address", ["ok", "flaky", "a/b//c/", "api/v1/webhooks", "healthz", "%2e%2e", ""])
def test_below_the_receiver_every_address_is_the_receivers(server: Server, address: str):
    assert server.request("PUT", f"/receiver/{address}", b"{}").json == {"received": True}


@pytest.mark.parametrize(
    ("path", "waits"),
    [
        ("/", True),
        ("/deliveries/rows/", True),
        ("/api/v1/webhooks/ep_1/test", True),
        ("/api/v1/deliveries/dlv_1/retry", True),
        ("/api/v1/deliveries/dlv_1/resend", True),
        ("/api/v1/events", False),
        ("/api/v1/events/batch/bat_1", False),
        ("/readyz", False),
    ],
)
def test_bulk_stands_back_for_people_not_for_programs(path: str, waits: bool) -> None:
    assert _somebody_waits(path) is waits
