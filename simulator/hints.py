"""The cure for one failure, as close to it as the answer allows. Knows no socket, row or page."""

import re
from collections.abc import Sequence
from urllib.parse import SplitResult, urljoin, urlsplit

from .failures import FAILURES, LONGEST_QUOTE, TLS_REASONS, UNANSWERED, in_ascii
from .targets import BadTarget, check_url

Headers = Sequence[tuple[str, str]]


def hint_for(
    code: str,
    *,
    status_code: int | None = None,
    headers: Headers = (),
    body: bytes = b"",
    url: str = "",
    message: str = "",
    last: bool = False,
) -> str:
    """The cure for this very failure: the code's own hint, or a closer one where the answer gives it away.

    `last` says that its delivery has ended with it.
    """
    if status_code not in (None, 410) and _asks_built_in(url, status_code):
        return f"Nothing to fix: the URL asks the built-in receiver for it (status={status_code})."
    if code == "status" and status_code is not None:
        return _status_hint(status_code, headers, body, url)
    if status_code == 304:
        return "304 answers the question whether something changed; a webhook asks none. Answer 2xx."
    if code == "redirect":
        return _redirect_hint(headers, url, message)
    if code == "refused" and UNANSWERED in message:
        return (
            "If you did not stop your receiver, it ended while handling this request: its own output says why. Then"
            " start it again."
        )
    if code == "refused":
        return _refused_hint(url)
    if code == "connect_timeout" and message.startswith(("127.", "[::1]")):
        return (
            "No firewall is in between: your receiver's queue of connections is full. It is halted (at a breakpoint?) or"
            " accepts few at once: let it continue, serve in threads, or lower the endpoint's max_in_flight."
        )
    if code == "bad_response" and body.startswith((b"\x15\x03", b"\x16\x03")):
        return f"This port speaks TLS: use https in the URL ({_with_scheme(url, 'https')})."
    if code == "bad_response" and status_code == 101:
        return "Answer 2xx. A webhook asks for no upgrade, so a websocket route cannot take it."
    if code == "bad_response" and _SETTINGS.match(body):
        return (
            "This port speaks only HTTP/2, but deliveries are HTTP/1.1: let your receiver accept HTTP/1.1, too, or"
            " register a port where it does."
        )
    if code == "bad_response" and status_code is None and body.lstrip(b"\r\n").startswith(b"HTTP/"):
        return _head_hint(message)
    if code == "bad_response" and status_code is not None:
        return "The answer's head is valid, its body is not: send a Content-Length that counts bytes, or valid chunks."
    if code == "body_truncated" and status_code != 410:
        return _truncated_hint({name.lower(): value.lower() for name, value in headers})
    if code == "tls_failed" and "perhaps this port does not speak TLS" in message:
        plain = _with_scheme(url, "http")
        return f"If this port speaks plain HTTP, use http in the URL ({plain}). Otherwise your receiver's log says why it hung up."
    if code == "tls_failed" and "does not speak TLS" in message:
        return f"This port does not speak TLS: use http in the URL ({_with_scheme(url, 'http')})."
    if code == "tls_failed":
        return _tls_hint(message)
    if code in ("no_response", "closed_before_response") and " of one came" in message:
        return (
            "An answer began, but the empty line that ends its headers did not come: send \\r\\n\\r\\n after the last"
            " one. If you do, the receiver's own output should say what held it up."
        )
    if code in ("reset", "closed_before_response"):
        return f"{FAILURES[code].hint} {_UNANSWERED[url.startswith('https:')]}"
    if code == "dns_failed" and _NO_RESOLVER.search(message):
        return (
            "The resolver of this machine failed: check the network, the VPN and the resolver's settings."
            " localhost and addresses need no resolver."
        )
    if code == "interrupted" and last:
        return "Nothing further is sent. If your receiver has not processed it, resend the event."
    if code == "internal_error" and "descriptors" in message:
        return "Raise the limit of open files (ulimit -n 4096) before manage.py up, or lower SIM_CONCURRENCY."
    if status_code == 410:
        return f"{FAILURES[code].hint} The 410 has paused the endpoint: answer 2xx, then resume it."
    return FAILURES[code].hint


def _head_hint(message: str) -> str:
    if "Duplicate Content-Length" in message or "can't be present with" in message:
        return (
            "Give the length of the body once: either a Content-Length in bytes, or chunks. A proxy or middleware that"
            " adds its own beside yours causes this."
        )
    if "Content-Length" in message:
        return (
            "A Content-Length is the body's number of bytes, in digits alone and given once: correct it, or leave the"
            " header to your framework."
        )
    return (
        "This is an HTTP server, but the head of its answer is not valid: correct what the message names. Its first"
        " bytes are kept with the attempt."
    )


def _truncated_hint(headers: dict[str, str]) -> str:
    if "chunked" in headers.get("transfer-encoding", ""):
        return (
            "Chunks came, but the last one, of size 0, did not: the receiver died while sending, or did not end its"
            " stream. Its own output should say why."
        )
    if "content-length" not in headers:
        return (
            "A body without a length ends with its connection, and this one was reset instead of closed: send a"
            " Content-Length, and read the whole request before you close. Or the receiver died while sending."
        )
    return FAILURES["body_truncated"].hint


_UNANSWERED = {
    False: "If this port speaks TLS, use https in the URL.",
    True: "A demand for a client certificate can end like this, too; the simulator offers none.",
}
# glibc and musl, each in its own words.
_NO_RESOLVER = re.compile(r"Temporary failure|Try again|Non-recoverable")

# The frame that every HTTP/2 server sends first (RFC 9113 §3.4), whatever it was sent.
_SETTINGS = re.compile(rb"\x00.{2}\x04\x00\x00{4}", re.DOTALL)

# nginx, Go, Apache and Tomcat, each in its own words.
_WANTS_TLS = re.compile(
    rb"plain HTTP request was sent to HTTPS port|HTTP request to an HTTPS server"
    rb"|speaking plain HTTP to an SSL|combination of host and port requires TLS",
    re.IGNORECASE,
)
# /accounts/login/, Devise's /users/sign_in, ASP.NET's /LogOn; neither /author/1 nor /sessions-webhook.
_LOGIN = re.compile(
    r"(?<![a-z])(log|sign)[-_]?(in|on)(?![a-z])|(?<![\w-])(o?auth2?|authenticate|authorize|sso|sessions?)(?![\w-])",
    re.IGNORECASE,
)
# A word of the receiver's own; the name of our header is on every debug page.
_NAMES_SIGNATURE = re.compile(rb"(?<!ultrareach[-_])signature", re.IGNORECASE)


def _status_hint(status: int, headers: Headers, body: bytes, url: str) -> str:
    if status == 500 and b'"FAIL_FIRST"' in body:
        return _fail_first_hint(body)
    if status == 500 and b"t end in a slash and you have APPEND_SLASH set" in body:
        return "Django's route ends in a slash: register the URL with a slash at its end."
    if status in (400, 501) and b"}POST" in body:
        return (
            "Your receiver took the end of the previous request for the beginning of this one: read Content-Length bytes"
            " of every request before you answer it, or answer with Connection: close."
        )
    if status == 403 and any(
        value.startswith("AirTunes") for name, value in headers if name.lower() == "server"
    ):
        return (
            "This is the AirPlay receiver of macOS, not your program: use another port, or switch AirPlay off in the"
            " system settings."
        )
    if status == 403 and re.search(rb"csrf", body, re.IGNORECASE):
        return (
            "Your framework's CSRF check refused the request: exempt this view (in Django @csrf_exempt) and"
            " verify the signature instead."
        )
    if status == 422 and b"InvalidAuthenticityToken" in body:
        return (
            "Rails' CSRF check refused the request: exempt this action (skip_before_action"
            " :verify_authenticity_token) and verify the signature instead."
        )
    if status == 400 and _WANTS_TLS.search(body):
        return f"This port speaks TLS: use https in the URL ({_with_scheme(url, 'https')})."
    if status == 400 and b"No required SSL certificate" in body:  # nginx
        return TLS_REASONS["CERTIFICATE_REQUIRED"][1]
    if status == 401 and not _NAMES_SIGNATURE.search(body) and (login := _login_asked(headers)):
        return (
            f"The receiver demands a login here (WWW-Authenticate: {login}): let webhooks in without one and verify the"
            " signature, or give the endpoint an Authorization header."
        )
    if status == 400 and b"DisallowedHost" in body:
        return "Django refused the Host header: add the URL's host to your receiver's ALLOWED_HOSTS."
    if status in (400, 403) and _NAMES_SIGNATURE.search(body):
        return _STATUS_HINTS[401]
    if status == 405:
        allowed = ", ".join(value.strip() for name, value in headers if name.lower() == "allow")[
            :LONGEST_QUOTE
        ]
        return "Deliveries are POST requests: let this route accept POST" + (
            f" (it allows {allowed})." if allowed else "."
        )
    if status == 404 and not url.endswith("/") and "?" not in url:
        return (
            "No route at this path: compare the path with your receiver's routes, including the final slash."
        )
    return _STATUS_HINTS.get(status) or _class_hint(status)


def _fail_first_hint(body: bytes) -> str:
    asked = re.search(rb"first (\d+) attempts", body)
    first = int(asked[1]) if asked else 1
    when = "A retry" if first < 2 else f"Attempt {first + 1}"
    return f"Nothing to fix: the built-in receiver fails on purpose here (fail_first). {when} will succeed."


def _asks_built_in(url: str, status: int | None) -> bool:
    parts = _split(url)
    return bool(
        parts and parts.path.startswith("/receiver/") and f"status={status}" in parts.query.split("&")
    )


def _login_asked(headers: Headers) -> str:
    """The scheme of a WWW-Authenticate that no signature of ours could satisfy, else ""."""
    asked = (value for name, value in headers if name.lower() == "www-authenticate")
    found = (re.match(r"\s*(Basic|Bearer|Digest|Negotiate|NTLM)\b", value, re.IGNORECASE) for value in asked)
    return next((match[1] for match in found if match), "")


_STATUS_HINTS = {
    400: "Your receiver refused the request: compare what it expects with the body and headers sent.",
    401: "Our signature is right: look at the signed bytes under Signature and hash exactly those. Most often the"
    " body was parsed and written again, the timestamp left out, or the secret cut; or another login guards the route.",
    403: "Your receiver refused the request: look for an access rule, an allow-list or a signature check.",
    404: "No route at this path: compare the path with your receiver's routes.",
    406: "Your receiver refused the Accept header: a webhook route should not negotiate content.",
    408: "Your receiver waited too long for the request: look for a proxy with a very short limit.",
    409: "Your receiver saw a conflict. If it knew the event already, answer 2xx to repeats.",
    410: "410 says that this receiver is gone, so the endpoint is paused. Answer 2xx, then resume it.",
    411: "Your receiver wants a Content-Length. It was sent, so look for a proxy that removes it.",
    413: "The body is larger than your receiver allows: raise its limit (client_max_body_size in nginx).",
    415: "The body is application/json: let this route accept that content type.",
    421: "The server does not serve this host: check the host name in the URL.",
    422: "Your receiver understood the JSON but refused its fields: compare its schema with the body sent.",
    426: "Your receiver wants another protocol; deliveries speak HTTP/1.1.",
    429: "Your receiver asks for fewer requests; a Retry-After header lengthens the wait before the next one.",
    500: "Your receiver failed while handling the event: its own output has the stack trace.",
    501: "Your receiver does not implement POST here: check the method its route accepts.",
    502: "A proxy answered, the application behind it did not: is it running, and on the proxied port?",
    503: "Your receiver is not available now; a Retry-After header lengthens the wait before the next attempt.",
    504: "A proxy answered, the application behind it was too slow: answer at once and work afterwards.",
}


def _class_hint(status: int) -> str:
    if 400 <= status < 500:
        return "Your receiver refused the request; its own output should say why."
    if 500 <= status < 600:
        return "Your receiver failed while handling the event: look at its own output."
    return f"{status} is not an HTTP status; answer with one from 200 to 299."


def _redirect_hint(headers: Headers, url: str, message: str) -> str:
    # Whitespace around a value is kept but no part of it; after a fold that includes a line end.
    location = next((value.strip(" \t\r\n") for name, value in headers if name.lower() == "location"), None)
    if location == "" or " points to an empty Location;" in message:
        return "The Location of this redirect is empty: answer with 2xx, or register the final URL of the receiver."
    if location is None and " points to " in message and " points to nowhere;" not in message:
        return FAILURES["redirect"].hint  # its Location is not among the headers that are kept
    if location is None:
        return "A 3xx without a Location: answer with 2xx, or register the final URL of the receiver."
    ours, theirs = _split(url) or urlsplit(""), _followed(url, location)
    if theirs is None:
        return "The Location of this redirect is not a valid URL for a webhook: answer with 2xx instead of redirecting."
    final = theirs.geturl()
    if theirs == ours:
        return "The redirect leads back to the same URL: answer with 2xx there instead of redirecting."
    same_server = theirs[:2] == ours[:2]
    if same_server and (theirs.path or "/") == ours.path + "/":
        return f"The redirect adds a slash: register the URL with a slash at its end ({ours._replace(path=theirs.path).geturl()})."
    if same_server and ours.path == theirs.path + "/":
        return f"The redirect removes the final slash: register {ours._replace(path=theirs.path).geturl()}."
    if _LOGIN.search(theirs.path) and not _LOGIN.search(ours.path):
        return "The redirect leads to a login page: let this route through without a session and verify the signature."
    try:
        final = check_url(final)
    except BadTarget as refused:
        return (
            f"Redirects are not followed: answer with 2xx. The target cannot be registered: {refused.message}"
        )
    if theirs.scheme == "https" and ours.scheme == "http" and theirs.hostname == ours.hostname:
        return f"The redirect leads to https: register {final}."
    return f"Redirects are not followed: answer with 2xx here, or register the final URL ({final})."


def _followed(url: str, location: str) -> SplitResult | None:
    """Where a Location leads, as a URL that can be registered: absolute, in ASCII, without its fragment."""
    try:
        given, target = urlsplit(location), _split(urljoin(url, in_ascii(location)))
    except ValueError:
        return None
    if given.scheme and not given.netloc:  # `http:///hook`, of an unset host name: urljoin would put in ours
        return None
    return target._replace(fragment="") if target and target.scheme in ("http", "https") else None


def _tls_hint(message: str) -> str:
    for reason, (_, cure) in TLS_REASONS.items():
        if re.search(reason, message):
            return cure
    if "ALERT_" in message:
        return "This port speaks TLS, but your receiver broke off the handshake: its own log says why."
    return FAILURES["tls_failed"].hint


def _refused_hint(url: str) -> str:
    parts = _split(url)
    port = parts and (parts.port or (443 if parts.scheme == "https" else 80))
    if not parts or not port:
        return FAILURES["refused"].hint
    other = {"127.0.0.1": "::1", "::1": "127.0.0.1"}.get(parts.hostname or "")
    both = f" If it listens only on {other}, write localhost: then both are tried." if other else ""
    return (
        f"Nothing listens on :{port}. Start your receiver, or correct the port in the endpoint's URL.{both}"
    )


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.port != -1 else None  # reading the port is what finds a bad one
    except ValueError:
        return None


def _with_scheme(url: str, scheme: str) -> str:
    return re.sub(r"^[a-z]+://", f"{scheme}://", url) if url else f"{scheme}://…"
