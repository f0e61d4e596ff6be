"""The cure each failure is shown with."""

import pytest

from simulator.failures import CODES
from simulator.hints import hint_for

LOCAL = "http://localhost:3000/webhook"


@pytest.mark.parametrize(
    ("code", "facts", "cure"),
    [
        ("refused", {}, ":3000"),
        ("connect_timeout", {"message": "192.168.0.9:80 did not accept …"}, "firewall that drops packets"),
        ("connect_timeout", {"message": "127.0.0.1:80 did not accept …"}, "queue of connections is full"),
        ("connect_timeout", {"message": "[::1]:80 did not accept …"}, "queue of connections is full"),
        ("refused", {"url": "https://example.com/"}, ":443"),
        ("refused", {"url": "http://127.0.0.1:3000/"}, "only on ::1, write localhost"),
        ("refused", {"url": "http://[::1]:3000/"}, "only on 127.0.0.1, write localhost"),
        (
            "redirect",
            {"status_code": 301, "headers": [("Location", "/webhook/")]},
            "http://localhost:3000/webhook/",
        ),
        ("redirect", {"status_code": 308, "headers": [("location", LOCAL + "/")]}, "adds a slash"),
        (
            "body_truncated",
            {"status_code": 200, "headers": [("Content-Length", "9")]},
            "bytes, not characters",
        ),
        ("body_truncated", {"status_code": 200, "headers": [("transfer-encoding", "Chunked")]}, "of size 0"),
        ("body_truncated", {"status_code": 200, "headers": [("Date", "now")]}, "send a Content-Length"),
        ("redirect", {"url": LOCAL + "/", "headers": [("Location", "/webhook")]}, "removes the final slash"),
        ("redirect", {"headers": [("Location", "https://localhost:3000/webhook")]}, "leads to https"),
        ("redirect", {"headers": [("Location", "/accounts/login/?next=/webhook")]}, "login page"),
        ("redirect", {"headers": [("Location", "/users/sign_in")]}, "login page"),
        ("redirect", {"headers": [("Location", "/Identity/Account/LogOn")]}, "login page"),
        ("redirect", {"headers": [("Location", "/api/auth?next=/webhook")]}, "login page"),
        ("redirect", {"headers": [("Location", "/sessions/new")]}, "login page"),
        ("redirect", {"headers": [("Location", "/author/1/hook")]}, "(http://localhost:3000/author/1/hook)"),
        ("redirect", {"headers": [("Location", "/v2/sessions-webhook")]}, "final URL"),
        ("redirect", {"headers": [("Location", "/blogin/hook")]}, "final URL"),
        (
            "redirect",
            {"url": "http://localhost/sessions", "headers": [("Location", "https://localhost/sessions")]},
            "leads to https",
        ),
        ("redirect", {"headers": [("Location", "https://[bad")]}, "not a valid URL"),
        ("redirect", {"headers": []}, "without a Location"),
        ("redirect", {"status_code": 304}, "the question whether something changed"),
        ("redirect", {"headers": [("Location", "")]}, "Location of this redirect is empty"),
        ("redirect", {"message": "h answered 302 Found and points to an empty Location; …"}, "is empty"),
        ("redirect", {"headers": [("Location", "mailto:a@b.test")]}, "not a valid URL"),
        ("redirect", {"headers": [("Location", "ftp://files.test/a")]}, "not a valid URL for a webhook"),
        ("redirect", {"headers": [("Location", "http:///webhook/")]}, "not a valid URL for a webhook"),
        ("redirect", {"headers": [("Location", "https:///a")]}, "not a valid URL for a webhook"),
        ("redirect", {"headers": [("Location", "/webhook#top")]}, "back to the same URL"),
        ("redirect", {"headers": [("Location", "/a")]}, "(http://localhost:3000/a)"),
        ("redirect", {"status_code": 303, "headers": [("Location", "/thanks")]}, "answer with 2xx here, or"),
        ("redirect", {"headers": [("Location", " /a\t ")]}, "(http://localhost:3000/a)"),
        ("redirect", {"headers": [("Location", "\r\n /a/à".encode().decode("latin-1"))]}, ":3000/a/%C3%A0)"),
        ("redirect", {"headers": [("Location", "  ")]}, "Location of this redirect is empty"),
        ("redirect", {"headers": [("Location", "../b?x=1#f")]}, "(http://localhost:3000/b?x=1)"),
        ("redirect", {"headers": [("Location", "?x=1")]}, "(http://localhost:3000/webhook?x=1)"),
        ("redirect", {"headers": [("Location", "//127.0.0.2/x")]}, "(http://127.0.0.2/x)"),
        ("redirect", {"headers": [("Location", "/é".encode().decode("latin-1"))]}, ":3000/%C3%A9)"),
        ("redirect", {"headers": [("Location", "/a b")]}, "(http://localhost:3000/a%20b)"),
        ("redirect", {"headers": [("Location", "https://localhost:3000/webhook/#f")]}, "/webhook/."),
        ("status", {"status_code": 403, "body": b"<input name=csrftoken>"}, "exempt this view"),
        ("status", {"status_code": 403, "body": b"CSRF verification failed"}, "exempt this view"),
        (
            "status",
            {"status_code": 422, "body": b"ActionController::InvalidAuthenticityToken in Webhooks"},
            "skip_before_action :verify_authenticity_token",
        ),
        ("status", {"status_code": 403, "body": b"no"}, "access rule"),
        ("status", {"status_code": 403, "headers": [("Server", "AirTunes/595.13.1")]}, "AirPlay"),
        ("status", {"status_code": 403, "body": b'{"error": "Invalid signature"}'}, "signature is right"),
        ("status", {"status_code": 400, "body": b"Webhook Error: bad Signature"}, "signature is right"),
        ("status", {"status_code": 400, "body": b"HTTP_X_ULTRAREACH_SIGNATURE</td>"}, "compare what it"),
        (
            "status",
            {
                "status_code": 500,
                "body": b"RuntimeError: You called this URL via POST, but the URL doesn&#x27;t end in a slash and you"
                b" have APPEND_SLASH set.",
            },
            "with a slash at its end",
        ),
        ("status", {"status_code": 500, "body": b"<td>APPEND_SLASH</td><td>True</td>"}, "stack trace"),
        ("status", {"status_code": 401}, "signature is right"),
        (
            "status",
            {"status_code": 401, "headers": [("WWW-Authenticate", 'Basic realm="dev"')]},
            "demands a login here (WWW-Authenticate: Basic)",
        ),
        (
            "status",
            {"status_code": 401, "headers": [("www-authenticate", "Bearer")], "body": b"Not authenticated"},
            "an Authorization header",
        ),
        (
            "status",
            {"status_code": 401, "headers": [("WWW-Authenticate", "Bearer")], "body": b"Bad signature"},
            "signature is right",
        ),
        (
            "status",
            {"status_code": 401, "headers": [("WWW-Authenticate", "Signature")]},
            "signature is right",
        ),
        ("status", {"status_code": 404}, "final slash"),
        ("status", {"status_code": 405, "headers": [("Allow", "GET, HEAD")]}, "it allows GET, HEAD"),
        ("status", {"status_code": 405}, "POST"),
        ("status", {"status_code": 410}, "paused"),
        ("status", {"status_code": 413}, "limit"),
        ("status", {"status_code": 415}, "application/json"),
        ("status", {"status_code": 418}, "refused the request"),
        ("status", {"status_code": 500}, "stack trace"),
        ("status", {"status_code": 599}, "failed while handling"),
        ("status", {"status_code": 700}, "not an HTTP status"),
        (
            "status",
            {"status_code": 400, "body": b"The plain HTTP request was sent to HTTPS port"},
            "use https",
        ),
        (
            "status",
            {"status_code": 400, "body": b"Client sent an HTTP request to an HTTPS server.\n"},
            "use https",
        ),
        (
            "status",
            {
                "status_code": 400,
                "body": b"Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
            },
            "use https",
        ),
        (
            "status",
            {"status_code": 400, "body": b"Bad Request\nThis combination of host and port requires TLS."},
            "use https",
        ),
        ("status", {"status_code": 400, "body": b"DisallowedHost at /"}, "ALLOWED_HOSTS"),
        (
            "status",
            {
                "status_code": 400,
                "body": b'Bad request syntax (&#x27;{"id":"evt_1"}POST /hook HTTP/1.1&#x27;)',
            },
            "read Content-Length bytes",
        ),
        (
            "status",
            {"status_code": 501, "body": b"Unsupported method (&#x27;{&quot;id&quot;:1}POST&#x27;)."},
            "read Content-Length bytes",
        ),
        ("status", {"status_code": 501, "body": b"Unsupported method (&#x27;POST&#x27;)."}, "implement POST"),
        (
            "status",
            {"status_code": 400, "body": b"No required SSL certificate was sent"},
            "switch that demand off",
        ),
        (
            "redirect",
            {"headers": [("Location", "http://evil.example/x")]},
            "cannot be registered: evil.example",
        ),
        (
            "redirect",
            {"headers": [("Location", "http://u:p@localhost/")]},
            "cannot be registered: A URL must not contain a",
        ),
        (
            "redirect",
            {"headers": [("Location", "https://u:p@localhost:3000/webhook")]},
            "cannot be registered",
        ),
        ("bad_response", {"status_code": 200}, "or valid chunks"),
        ("body_truncated", {"status_code": 410}, "has paused the endpoint"),
        ("incomplete_response", {"status_code": 410}, "has paused the endpoint"),
        ("redirect", {"message": "h answered 302 Found and points to nowhere; …"}, "without a Location"),
        ("redirect", {"message": "h answered 302 Found and points to /there; …"}, "final URL"),
        (
            "tls_failed",
            {"url": "https://localhost:3000/", "message": "… perhaps this port does not speak TLS."},
            "If this port speaks plain HTTP, use http in",
        ),
        ("bad_response", {"body": b"\x15\x03\x01\x00\x02"}, "https://localhost:3000/webhook"),
        ("bad_response", {"status_code": 101}, "upgrade"),
        ("bad_response", {"body": b"HTTP/1.1 200 OK\r\nno colon"}, "correct what the message names"),
        (
            "bad_response",
            {"body": b"HTTP/1.1 2", "message": "… Duplicate Content-Length."},
            "either a Content-Length",
        ),
        (
            "bad_response",
            {"body": b"HTTP/1.1 2", "message": "… Invalid character in Content-Length."},
            "in digits alone",
        ),
        ("bad_response", {"body": b"HTTP/2 200 OK"}, "correct what the message names"),
        ("bad_response", {"body": b"\r\nHTTP/1.1 abc"}, "correct what the message names"),
        ("bad_response", {"body": bytes.fromhex("000006040000000000 000300000064")}, "speaks only HTTP/2"),
        ("bad_response", {"body": bytes.fromhex("000000040000000000 0000080700")}, "speaks only HTTP/2"),
        ("bad_response", {"body": b"J\0\0\0\n8.0.33"}, "port of an HTTP server"),
        ("bad_response", {"body": b"SSH-2.0-OpenSSH_9.6"}, "port of an HTTP server"),
        ("bad_response", {"body": b"okHTTP/1.0 200 OK"}, "before its status line"),
        (
            "tls_failed",
            {"url": "https://localhost:3000/", "message": "… this port does not speak TLS."},
            "use http in",
        ),
        ("internal_error", {"message": "… no free file descriptors (ulimit -n)."}, "ulimit -n"),
        ("no_response", {}, "Answer 2xx at once"),
        ("no_response", {}, "Content-Length bytes"),
        ("closed_before_response", {}, "use https"),
        ("reset", {}, "use https"),
        ("reset", {"url": "https://localhost/"}, "its own output"),
        ("reset", {"url": "https://localhost/"}, "a client certificate"),
        ("closed_before_response", {"url": "https://localhost/"}, "a client certificate"),
        ("closed_before_response", {"message": "… (25 bytes of one came)."}, "empty line"),
        ("no_response", {"message": "… within 2 s (1 byte of one came)."}, "empty line"),
        ("dns_failed", {}, "spelling"),
        ("dns_failed", {"message": "… Temporary failure in name resolution."}, "resolver of this machine"),
        ("dns_failed", {"message": "… Try again."}, "resolver of this machine"),
    ],
)
def test_the_hint_names_the_cure_of_this_very_failure(code: str, facts: dict, cure: str) -> None:
    hint = hint_for(code, **{"url": LOCAL, **facts})
    assert cure in hint and "`" not in hint  # page, API and terminal show it as it is


@pytest.mark.parametrize("url", ["", "http://[::1", "http://h:99999/", "nonsense", "http://h/%zz?\ud800"])
@pytest.mark.parametrize(
    "location", ["", "//", "http://[::1", "http://h:99999/", "\xff\xfe", "?q", "/" * 3000]
)
def test_no_url_and_no_location_can_make_a_hint_fail(url: str, location: str) -> None:
    for code in CODES:
        assert hint_for(code, url=url, status_code=302, headers=[("Location", location)], body=b"\xff")


def test_an_allow_of_any_length_leaves_the_hint_one_that_can_be_read() -> None:
    hint = hint_for("status", status_code=405, headers=[("Allow", "GET, " * 20_000)])
    assert "it allows GET, " in hint and len(hint) < 2200


def test_the_flaky_receiver_is_not_blamed_for_what_it_does_on_purpose() -> None:
    body = b'{"error": {"code": "FAIL_FIRST"}}'
    assert "on purpose" in hint_for("status", status_code=500, body=body)
    assert "on purpose" not in hint_for("status", status_code=500, body=b"Traceback")


@pytest.mark.parametrize(("first", "promise"), [(1, "A retry"), (2, "Attempt 3"), (9, "Attempt 10")])
def test_the_flaky_receiver_promises_success_for_the_attempt_that_will_have_it(
    first: int, promise: str
) -> None:
    body = b'{"code": "FAIL_FIRST", "message": "Fails the first %d attempts, as the URL asks."}' % first
    assert f"{promise} will succeed." in hint_for("status", status_code=500, body=body)


def test_a_status_that_the_url_asks_the_built_in_receiver_for_is_nothing_to_fix() -> None:
    asks = "http://127.0.0.1:8000/receiver/ok?delay=1&status=503"
    assert "Nothing to fix" in hint_for("status", status_code=503, url=asks)
    assert "Nothing to fix" in hint_for("redirect", status_code=302, url=asks.replace("503", "302"))
    assert "Nothing to fix" not in hint_for("status", status_code=500, url=asks)
    assert "Nothing to fix" not in hint_for(
        "status", status_code=503, url="http://localhost:3000/hook?status=503"
    )
