"""The closed list of failure codes: what each means, says and advises. Knows no socket, row or page."""

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Failure:
    """One code of the contract. `message` is a format string; the facts it names come from the wire."""

    code: str
    title: str
    message: str
    hint: str
    docs: str
    phases: tuple[str, ...] = ()


_LIST = (
    Failure(
        "dns_failed",
        "Name not found",
        "The name {host} could not be resolved: {detail}.",
        "Check the spelling of the host. A receiver on this machine is reached as localhost or 127.0.0.1.",
        "The host name of the URL has no address, or the resolver answered with an error.",
        ("dns",),
    ),
    Failure(
        "dns_timeout",
        "Name look-up timed out",
        "The resolver gave no address for {host} within {seconds}.",
        "The resolver of this machine does not answer. Check the network or VPN, or use an address"
        " instead of a name.",
        "The look-up of the host name took longer than 5 s, or than the endpoint's timeout.",
        ("dns",),
    ),
    Failure(
        "refused",
        "Connection refused",
        "Nothing listens on {address}.",
        "Start your receiver, or correct the port in the endpoint's URL.",
        "The machine answered, but no program accepts connections on that port.",
        ("connect",),
    ),
    Failure(
        "unreachable",
        "Unreachable",
        "There is no way to {address} from this machine: {detail}.",
        "Check the address, the network and any VPN. From a container, localhost is the container itself.",
        "The operating system knows no route to the address, or a router refused to forward.",
        ("connect",),
    ),
    Failure(
        "connect_timeout",
        "Connect timed out",
        "{address} did not accept a connection within {seconds}.",
        "A firewall that drops packets, a wrong address or an overloaded receiver looks like this.",
        "No TCP connection within 5 s, or within the endpoint's timeout; several addresses of a name share the time.",
        ("connect",),
    ),
    Failure(
        "tls_untrusted",
        "Certificate not trusted",
        "The certificate of {host} is not trusted: {detail}.",
        "For a receiver of your own with a self-signed certificate, switch certificate checks off for this"
        " endpoint (tls_verify: false). Elsewhere install the full chain with its intermediates.",
        "The certificate is self-signed, or its chain ends in an authority this machine does not trust.",
        ("tls",),
    ),
    Failure(
        "tls_hostname",
        "Certificate for another name",
        "The certificate is not valid for {host}: {detail}.",
        "Use the host name the certificate was issued for, or, for a receiver of your own, switch"
        " certificate checks off for this endpoint (tls_verify: false).",
        "The certificate is trusted, but was issued for other names than the URL's host.",
        ("tls",),
    ),
    Failure(
        "tls_expired",
        "Certificate expired",
        "The certificate of {host} is outside its dates: {detail}.",
        "Renew the certificate, check this machine's clock, or, for a receiver of your own, switch"
        " certificate checks off for this endpoint (tls_verify: false).",
        "The certificate has expired, or is not valid yet.",
        ("tls",),
    ),
    Failure(
        "tls_failed",
        "TLS failed",
        "TLS with {address} failed: {detail}.",
        "If your receiver serves plain HTTP, register its URL with http://. Else its own log says why the"
        " handshake failed.",
        "The handshake broke down: no TLS on that port, no common version, or a demand for a client"
        " certificate.",
        ("tls", "wait"),
    ),
    Failure(
        "tls_timeout",
        "TLS timed out",
        "{address} did not finish the TLS handshake within {seconds}.",
        "The port accepts connections but does not answer the handshake. Is it the right port, and is the"
        " receiver busy?",
        "The handshake took longer than 5 s, or than the endpoint's timeout.",
        ("tls",),
    ),
    Failure(
        "send_timeout",
        "Receiver stopped reading",
        "{address} stopped reading: the request was not taken within {seconds}.",
        "Read the whole request body before working on it; a blocked handler stops the reading too.",
        "The request could not be handed over completely within the endpoint's timeout.",
        ("send",),
    ),
    Failure(
        "no_response",
        "No answer in time",
        "{address} took the request but gave no answer within {seconds}.",
        "Answer 2xx at once and do the work afterwards (queue, background task), or raise the endpoint's"
        " timeout.",
        "The deadline passed before the headers of an answer were complete.",
        ("wait",),
    ),
    Failure(
        "incomplete_response",
        "Answer not finished in time",
        "{address} answered {status}, but the body was not complete after {seconds}: {received}.",
        "Send a short body, with its Content-Length, and close streams. What came in is kept.",
        "The deadline passed inside the body of the answer.",
        ("receive",),
    ),
    Failure(
        "reset",
        "Connection reset",
        "{address} reset the connection before it answered.",
        "The receiver crashed, was restarted or killed the worker in mid-request: look at its own output.",
        "The receiver's machine broke the connection off before an answer.",
        ("send", "wait"),
    ),
    Failure(
        "closed_before_response",
        "Closed without an answer",
        "{address} closed the connection without a complete answer{detail}.",
        "The handler ended without sending a response: look for an exception in the receiver's own output.",
        "The receiver closed the connection in good order, but before the headers of an answer were complete.",
        ("wait",),
    ),
    Failure(
        "body_truncated",
        "Answer cut short",
        "The answer {status} ended too early: {received}.",
        "The receiver announced a longer body than it sent, or died while sending. Content-Length must"
        " count bytes, not characters.",
        "The connection ended before the announced end of the body. Status and what came in are kept.",
        ("receive",),
    ),
    Failure(
        "bad_response",
        "Not valid HTTP",
        "{address} did not answer in valid HTTP/1.1: {detail}.",
        "Is this the port of an HTTP server? The first bytes it sent are kept with the attempt.",
        "What came back could not be understood: a broken status line, header or framing, or a 101 nobody"
        " asked for.",
        ("wait", "receive"),
    ),
    Failure(
        "headers_too_large",
        "Headers too large",
        "The headers of the answer are larger than {limit}.",
        "Look for a cookie or debug header that grows with every request.",
        "Status line and headers of the answer exceed 100 KiB.",
        ("wait",),
    ),
    Failure(
        "redirect",
        "Redirect",
        "{address} answered {status} and points to {location}; redirects are not followed.",
        "Register the final URL of the receiver.",
        "A 3xx answer. Redirects are shown, never followed, so signatures do not reach another host.",
        ("wait", "receive"),
    ),
    Failure(
        "status",
        "Status outside 2xx",
        "{address} answered {status}.",
        "Any 2xx counts as delivered; every other status makes the attempt fail.",
        "A complete answer whose status is neither 2xx nor 3xx.",
        ("wait", "receive"),
    ),
    Failure(
        "blocked_target",
        "Target not allowed",
        "{address} is not an allowed target: {detail}.",
        "Link-local, metadata and multicast addresses are never sent to, plain http only to this machine or"
        " a private network, and under --expose only public addresses.",
        "The address behind the URL, judged at the moment of dialling, is not one the simulator sends to.",
        ("connect",),
    ),
    Failure(
        "blocked_self",
        "The simulator itself",
        "{address} is the simulator itself; only /receiver/… may be sent to.",
        "Send to http://127.0.0.1:<port>/receiver/…, or to a receiver of your own on another port.",
        "The URL leads back to the simulator's own console or API.",
        ("connect",),
    ),
    Failure(
        "interrupted",
        "Interrupted",
        "The simulator stopped during this attempt; your receiver may or may not have processed it.",
        "Nothing to do: it is sent again with the same event id. A receiver that de-duplicates is safe.",
        "The simulator was stopped or killed while the attempt was under way; its outcome is unknown.",
    ),
    Failure(
        "internal_error",
        "Fault of the simulator",
        "The simulator could not make this attempt: {detail}.",
        "This is not your receiver's fault. The simulator's own output says more.",
        "A fault of the simulator or its surroundings, for example no free file descriptors.",
    ),
)

FAILURES: dict[str, Failure] = {failure.code: failure for failure in _LIST}
"""code → Failure, in the order of the contract."""

CODES: tuple[str, ...] = tuple(FAILURES)
LONGEST_LOCATION = 2048  # characters of it in a sentence; as it came it stands among the headers
DELETED = "The endpoint was deleted during this attempt; your receiver may or may not have processed it."


def message(code: str, **facts: object) -> str:
    """What happened, in words; `facts` are the names its format string asks for."""
    detail = facts.get("detail")
    if isinstance(detail, str):
        detail = detail.removesuffix(".")  # some libraries give whole sentences
        facts["detail"] = _tls_in_words(detail) if code == "tls_failed" else detail
    if code == "redirect":
        facts["location"] = _in_ascii(str(facts["location"]))[:LONGEST_LOCATION] or "an empty Location"
    return FAILURES[code].message.format(**facts)


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
    if code == "status" and status_code is not None:
        return _status_hint(status_code, headers, body, url)
    if code == "redirect":
        return _redirect_hint(headers, url, message)
    if code == "refused":
        return _refused_hint(url)
    if code == "bad_response" and body.startswith((b"\x15\x03", b"\x16\x03")):
        return f"This port speaks TLS: use https in the URL ({_with_scheme(url, 'https')})."
    if code == "bad_response" and status_code == 101:
        return "Answer 2xx. A webhook asks for no upgrade; a websocket route cannot take it."
    if code == "tls_failed" and "perhaps this port does not speak TLS" in message:
        plain = _with_scheme(url, "http")
        return f"If this port speaks plain HTTP: use http in the URL ({plain}). Else its own log says why it hung up."
    if code == "tls_failed" and "does not speak TLS" in message:
        return f"This port does not speak TLS: use http in the URL ({_with_scheme(url, 'http')})."
    if code == "tls_failed":
        return _tls_hint(message)
    if code in ("reset", "closed_before_response") and url.startswith("http:"):
        return f"{FAILURES[code].hint} If this port speaks TLS: use https in the URL."
    if code == "interrupted" and last:
        return "Nothing further is sent. If your receiver has not processed it, resend the event."
    if code == "internal_error" and "descriptors" in message:
        return "Raise the limit of open files (ulimit -n 4096) before manage.py up, or lower SIM_CONCURRENCY."
    return FAILURES[code].hint


# nginx, Go, Apache and Tomcat, each in its own words.
_WANTS_TLS = re.compile(
    rb"plain HTTP request was sent to HTTPS port|HTTP request to an HTTPS server"
    rb"|speaking plain HTTP to an SSL|combination of host and port requires TLS",
    re.IGNORECASE,
)


def _status_hint(status: int, headers: Headers, body: bytes, url: str) -> str:
    if status == 500 and b'"FAIL_FIRST"' in body:
        return (
            "Nothing to fix: the built-in receiver fails on purpose here (fail_first). A retry will succeed."
        )
    if status == 403 and re.search(rb"csrf", body, re.IGNORECASE):
        return (
            "Your framework's CSRF check refused the request: exempt this view (in Django @csrf_exempt) and"
            " verify the signature instead."
        )
    if status == 400 and _WANTS_TLS.search(body):
        return f"This port speaks TLS: use https in the URL ({_with_scheme(url, 'https')})."
    if status == 400 and b"DisallowedHost" in body:
        return "Django refused the Host header: add the URL's host to ALLOWED_HOSTS of your receiver."
    if status == 405:
        allowed = ", ".join(value for name, value in headers if name.lower() == "allow")
        return "Deliveries are POST requests: let this route accept POST" + (
            f" (it allows {allowed})." if allowed else "."
        )
    if status == 404 and not url.endswith("/") and "?" not in url:
        return "No route at this path: compare the path with your receiver's routes, also the final slash."
    return _STATUS_HINTS.get(status) or _class_hint(status)


_STATUS_HINTS = {
    400: "Your receiver refused the request: compare what it expects with the body and headers sent.",
    401: "Our signature is right: look at the signed bytes under Signature and hash exactly those. Most often the"
    " body was parsed and written again, the timestamp left out, or the secret cut; or another login guards the route.",
    403: "Your receiver refused the request: look for an access rule, an allow-list or a signature check.",
    404: "No route at this path: compare the path with your receiver's routes.",
    406: "Your receiver refuses the Accept it saw: a webhook route should not negotiate content.",
    408: "Your receiver waited too long for the request: look for a proxy with a very short limit.",
    409: "Your receiver saw a conflict. If it knew the event already, answer 2xx to repeats.",
    410: "410 says that this receiver is gone, so the endpoint is paused. Answer 2xx, then resume it.",
    411: "Your receiver wants a Content-Length; it is sent, so look for a proxy that removes it.",
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
    return f"{status} is no status of HTTP; answer with one from 200 to 299."


def _redirect_hint(headers: Headers, url: str, message: str) -> str:
    location = next((value for name, value in headers if name.lower() == "location"), None)
    if location == "" or " points to an empty Location;" in message:
        return "The Location of this redirect is empty: answer with 2xx, or register the final URL of the receiver."
    if location is None and " points to " in message and " points to nowhere;" not in message:
        return FAILURES["redirect"].hint  # its Location is not among the headers that are kept
    if location is None:
        return "A 3xx without a Location: answer with 2xx, or register the final URL of the receiver."
    ours, theirs = _split(url) or urlsplit(""), _followed(url, location)
    if theirs is None:
        return "The Location of this redirect is no valid URL: answer with 2xx instead of redirecting."
    final = theirs.geturl()
    if theirs == ours:
        return "The redirect leads back to the same URL: answer with 2xx there instead of redirecting."
    same_server = theirs[:2] == ours[:2]
    if same_server and (theirs.path or "/") == ours.path + "/":
        return f"The redirect adds a slash: register the URL with a slash at its end ({ours._replace(path=theirs.path).geturl()})."
    if same_server and ours.path == theirs.path + "/":
        return f"The redirect removes the final slash: register {ours._replace(path=theirs.path).geturl()}."
    if theirs.scheme == "https" and ours.scheme == "http" and theirs.hostname == ours.hostname:
        return f"The redirect leads to https: register {final}."
    if re.search(r"log-?in|sign-?in|auth|session", theirs.path, re.IGNORECASE):
        return (
            "The redirect leads to a login page: let this route through without a session; verify signatures."
        )
    return f"Redirects are not followed: register the final URL ({final})."


def _followed(url: str, location: str) -> SplitResult | None:
    """Where a Location leads, as a URL that can be registered: absolute, in ASCII, without its fragment."""
    try:
        target = _split(urljoin(url, _in_ascii(location)))
    except ValueError:
        return None
    return target._replace(fragment="") if target and target.scheme in ("http", "https") else None


def _in_ascii(location: str) -> str:
    """Its bytes were kept as latin-1: what is not ASCII leaves as it came, percent-encoded."""
    return quote(location, safe=string.punctuation, encoding="latin-1", errors="replace")


# What OpenSSL calls it, in words, and the cure.
_TLS_REASONS = (
    (
        "CERTIFICATE_REQUIRED",
        "the receiver demands a client certificate",
        "The simulator offers no client certificate: switch that demand off in your receiver for the test.",
    ),
    (
        "PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL",
        "it speaks no version of TLS that we do",
        "The simulator speaks TLS 1.2 and 1.3: enable one of them in your receiver.",
    ),
    (
        "UNRECOGNIZED_NAME",
        "the receiver does not know the host name of the URL",
        "Your receiver has no certificate or server block for that host name: add one, or use a name it has.",
    ),
    (
        "HANDSHAKE_FAILURE",
        "the receiver found no common ground",
        (
            "No cipher or certificate type in common: give your receiver an RSA or ECDSA certificate and the usual"
            " ciphers. A demand for a client certificate can end like this, too; the simulator offers none."
        ),
    ),
)


def _tls_in_words(detail: str) -> str:
    for reason, words, _ in _TLS_REASONS:
        if re.search(rf"(?:{reason})$", detail):
            return f"{words} ({detail})"
    return detail


def _tls_hint(message: str) -> str:
    for reason, _, cure in _TLS_REASONS:
        if re.search(reason, message):
            return cure
    if "ALERT" in message:
        return "This port speaks TLS, but your receiver broke the connection off: its own log says why."
    return FAILURES["tls_failed"].hint


def _refused_hint(url: str) -> str:
    parts = _split(url)
    port = parts and (parts.port or (443 if parts.scheme == "https" else 80))
    if not parts or not port:
        return FAILURES["refused"].hint
    return f"Nothing listens on :{port}. Start your receiver, or correct the port in the endpoint's URL."


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.port != -1 else None  # reading the port is what finds a bad one
    except ValueError:
        return None


def _with_scheme(url: str, scheme: str) -> str:
    return re.sub(r"^[a-z]+://", f"{scheme}://", url) if url else f"{scheme}://…"
