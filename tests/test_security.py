"""The doors, tried from outside: raw sockets and sockets of pages that are not ours. Ids as in group L."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from .serving import Server

REGISTER = {"url": "http://127.0.0.1:9/", "events": ["*"]}
MIB = 1024 * 1024
RSS = re.compile(r"VmRSS:\s+(\d+) kB")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests here: none of them may leave a trace."""
    running = Server(tmp_path_factory.mktemp("doors")).start()
    yield running
    running.finish()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def post(path: str, *lines: str, body: bytes = b"{}") -> bytes:
    head = [f"POST {path} HTTP/1.1", *lines, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(head).encode("latin-1") + body


# --- Host


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/v1/webhooks", "/receiver/ok", "/static/icon.svg"])
@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8000", "[::2]", "", "a b"]
)
def test_l01_a_name_that_was_rebound_reads_nothing(server: Server, path: str, host: str):
    answer = server.get(path, Host=host, Authorization=f"Bearer {server.key}")
    assert answer.status == 400
    assert b"Use http://127.0.0.1" in answer.body


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:1", "[::1]:8000"])
def test_every_name_of_this_machine_is_welcome(server: Server, host: str):
    assert server.get("/healthz", Host=host).status == 200


@pytest.mark.parametrize("hosts", [(), ("127.0.0.1", "evil.example"), ("127.0.0.1", "127.0.0.1")])
def test_there_is_exactly_one_host(server: Server, hosts: tuple[str, ...]):
    lines = [
        b"GET /healthz HTTP/1.1",
        *(f"Host: {host}".encode() for host in hosts),
        b"Connection: close",
        b"",
        b"",
    ]
    assert status_of(server.raw(b"\r\n".join(lines))) == 400


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://127.0.0.1:1/healthz", 200),
        ("HTTP://localhost/deliveries/rows/?status=failed", 200),
        ("http://[::1]:8000?q=a", 200),
        ("http://127.0.0.1", 200),
        ("http://127.0.0.1/nothing", 404),
        ("http://127.0.0.1/api/v1/webhooks", 401),
        ("http://evil.example/healthz", 400),
        ("http://me@127.0.0.1/healthz", 400),
        ("http:///healthz", 400),
    ],
)
def test_the_host_of_an_absolute_address_counts_instead_of_the_header(
    server: Server, target: str, status: int
):
    for host in ("127.0.0.1", "evil.example"):
        lines = [f"GET {target} HTTP/1.1", f"Host: {host}", "Connection: close", "", ""]
        assert status_of(server.raw("\r\n".join(lines).encode())) == status


def test_an_absolute_address_needs_its_one_host_too(server: Server):
    for hosts in ("", "Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n"):
        head = f"GET http://127.0.0.1/healthz HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n"
        assert status_of(server.raw(head.encode())) == 400


def test_what_is_too_large_for_an_absolute_address_of_the_api_is_refused_as_the_api_does(server: Server):
    head = f"POST http://127.0.0.1/api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {3 * MIB}\r\n\r\n"
    answer = server.raw(head.encode())
    assert status_of(answer) == 413 and b'"code": "PAYLOAD_TOO_LARGE"' in answer


def test_below_the_api_a_refusal_is_the_envelope(server: Server):
    error = server.get("/api/v1/webhooks", Host="evil.example").json["error"]
    assert (error["type"], error["code"]) == ("validation_error", "BAD_REQUEST")
    assert re.fullmatch(r"req_[0-9A-Za-z]{11}", error["request_id"])


# --- Sockets


def handshake(server: Server, path: str, **headers: str) -> int:
    """The status of a websocket handshake: 101 when the door opens."""
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    keys = {"Sec_WebSocket_Key": "MDEyMzQ1Njc4OWFiY2RlZg==", "Sec_WebSocket_Version": "13"}
    return server.get(path, **upgrade, **keys, **headers).status


@pytest.mark.parametrize("path", ["/ws/console/", "/ws/v1/stream", "/ws/nothing"])
def test_l02_a_name_that_was_rebound_gets_no_socket(server: Server, path: str):
    host = "evil.example"
    headers = {"Host": host, "Origin": f"http://{host}", "Authorization": f"Bearer {server.key}"}
    assert handshake(server, path, **headers) == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:{other}",
        "http://127.0.0.1:{other}",
        "http://localhost:{port}",
        "https://127.0.0.1:{port}",
    ]
    + ["http://127.0.0.1", "http://evil.example", "null", "http://127.0.0.1:{port}.evil.example", "file://"],
)
def test_l05_a_page_of_another_port_gets_no_socket(server: Server, origin: str):
    foreign = origin.format(port=server.port, other=server.port + 1)
    key = {"Authorization": f"Bearer {server.key}"}
    for path in ("/ws/console/", "/ws/v1/stream"):
        assert handshake(server, path, Origin=foreign, **key) in (400, 403)  # 400 when it is no origin at all


def test_the_socket_of_the_console_opens_for_its_own_page_only(server: Server):
    assert handshake(server, "/ws/console/", Origin=server.url) == 101
    assert handshake(server, "/ws/console/") == 403


@pytest.mark.parametrize(
    "path", ["/ws/nothing", "/", "/ws/console", "/ws/v1/stream/more", "/api/v1/webhooks"]
)
def test_w07_an_unknown_socket_is_turned_away(server: Server, path: str):
    assert handshake(server, path, Origin=server.url) == 403


@pytest.mark.parametrize(
    "lines",
    [
        ("Host: 127.0.0.1\x85",),
        ("Host: 127.0.0.1", "Host: evil.example"),
        ("Host: 127.0.0.1", "Origin: http://\x85"),
        ("Host: 127.0.0.1", "Upgrade: websocket\x85"),
        ("Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: short"),
        ("Host: \xff", "Upgrade: websocket", "Connection: Upgrade"),
        ("Host: 127.0.0.1:port", "Upgrade: websocket", "Connection: Upgrade", "Origin: http://[::1"),
        ("Host: 127.0.0.1", "Br\xf6ken: header"),
        ("Host: 127.0.0.1", "No colon at all"),
    ],
)
def test_w08_malformed_headers_are_refused_and_harm_nobody(server: Server, lines: tuple[str, ...]):
    status = status_of(server.raw(post("/ws/v1/stream", *lines, body=b"")))
    assert 400 <= status < 500
    assert server.get("/healthz").status == 200


# --- Origin and Sec-Fetch-Site


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://{host}"},
        {"Origin": "http://{host}", "Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://{host}, http://evil.example"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_l04_another_page_changes_nothing(server: Server, method: str, headers: dict[str, str]):
    headers = {name: value.format(host=f"127.0.0.1:{server.port}") for name, value in headers.items()}
    before = server.api("GET", "/webhooks").json
    page = server.request(method, "/endpoints/", body=b"url=x", **headers)
    call = server.api(method, "/webhooks", json=REGISTER, **headers)
    assert (page.status, call.status) == (403, 403)
    assert call.json["error"]["code"] == "FORBIDDEN"
    assert server.api("GET", "/webhooks").json == before


def test_l04_json_sent_as_plain_text_is_refused(server: Server):
    body = b'{"url": "http://127.0.0.1:9/", "events": ["*"]}'
    answer = server.request(
        "POST", "/api/v1/webhooks", body, Content_Type="text/plain", Authorization=f"Bearer {server.key}"
    )
    assert answer.status == 415


def test_programs_and_our_own_pages_pass(server: Server):
    for headers in ({}, {"Origin": server.url}, {"Origin": server.url, "Sec_Fetch_Site": "same-origin"}):
        assert server.api("POST", "/webhooks", json={}, **headers).status == 400


def test_the_built_in_receiver_takes_anything_from_anyone(server: Server):
    answer = server.request(
        "POST", "/receiver/ok", b"{}", Origin="http://evil.example", Sec_Fetch_Site="cross-site"
    )
    assert (answer.status, answer.json) == (200, {"received": True})


def test_a_link_from_another_page_may_be_followed(server: Server):
    assert server.get("/healthz", Sec_Fetch_Site="cross-site").status == 200


def test_a_form_without_its_token_changes_nothing(server: Server):
    answer = server.request("POST", "/endpoints/", b"url=x", Origin=server.url)
    assert answer.status == 403
    assert "open too long" in answer.text and "your browser sent none" in answer.text


# --- What every answer says


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/api/v1/webhooks", "/receiver/ok", "/static/icon.svg", "/nothing"]
)
def test_l07_no_answer_may_be_framed_guessed_or_kept(server: Server, path: str):
    headers = server.get(path).headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == f"'self' ws://127.0.0.1:{server.port}"


def test_pages_are_not_stored_and_files_are_asked_for_again(server: Server):
    assert server.get("/").headers["cache-control"] == "no-store"
    file = server.get("/static/icon.svg")
    assert file.headers["cache-control"] == "max-age=0, public"
    again = server.get("/static/icon.svg", If_None_Match=file.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_l14_our_cookies_carry_our_name_and_nothing_else_of_worth(server: Server):
    cookie = server.get("/").headers.get("set-cookie", "")
    assert re.match(r"sim_csrf=[0-9A-Za-z]+; .*HttpOnly; .*SameSite=Strict$", cookie)
    assert server.key not in cookie


# --- Bodies


def rss(server: Server) -> int:
    """Resident bytes of the server's process."""
    with open(f"/proc/{server.process.pid}/status") as status:
        return int(RSS.search(status.read())[1]) * 1024


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def test_a06_one_mebibyte_and_a_byte_is_too_much_for_the_api(server: Server):
    answer = server.request(
        "POST",
        "/api/v1/events",
        b" " * (MIB + 1),
        Content_Type="application/json",
        Authorization=f"Bearer {server.key}",
    )
    assert (answer.status, answer.json["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("path", ["/api/v1/events", "/endpoints/", "/ws/v1/stream"])
def test_a06_a_body_that_says_it_is_too_long_is_not_even_read(server: Server, path: str):
    before = rss(server)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {1024 * MIB}\r\n\r\n".encode()
    answer = server.raw(head, *[b"x" * MIB] * 20)
    assert status_of(answer) == 413
    assert rss(server) - before <= 8 * MIB
    assert (b"application/json" in answer) == path.startswith("/api/")


@pytest.mark.parametrize("mebibytes", [2, 20, 100])
def test_a06_a_body_without_a_length_is_counted_while_it_comes(server: Server, mebibytes: int):
    before = rss(server)
    head = b"POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = server.raw(head, *[chunked(b"x" * MIB)] * mebibytes, b"0\r\n\r\n")
    assert status_of(answer) == 413
    assert answer.count(b"HTTP/1.1") == 1
    assert rss(server) - before <= 8 * MIB
    assert server.get("/healthz").status == 200


@pytest.mark.alone
def test_a20_half_sent_requests_keep_nobody_waiting(server: Server):
    half = b"POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"
    with ExitStack() as open_ones:
        for _ in range(300):
            connection = socket.create_connection(("127.0.0.1", server.port))
            open_ones.enter_context(connection)
            connection.sendall(half)
        began = time.monotonic()
        assert server.get("/healthz").status == 200
        assert time.monotonic() - began < 0.5


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    ],
)
def test_a20_broken_requests_get_400(server: Server, request_bytes: bytes):
    answer = server.raw(request_bytes)
    assert answer == b"" or status_of(answer) == 400  # of what was still being sent, nothing may come back
    assert b"Traceback" not in answer
    assert server.get("/healthz").status == 200


def test_an_encoded_nul_in_a_path_is_an_address_that_is_not_there(server: Server):
    assert server.get("/%00").status == 404
    assert server.get("/static/%00").status == 404
