"""The closed list of failure codes: what each means, says and advises. Knows no socket, row or page."""

import re
import string
from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Failure:
    """One code of the contract. `message` is a format string; the facts it names come from the wire."""

    code: str
    title: str
    message: str
    hint: str
    docs: str


_LIST = (
    Failure(
        "dns_failed",
        "Name not found",
        "The name {host} could not be resolved: {detail}.",
        "Check the spelling of the host. A receiver on this machine is reached as localhost or 127.0.0.1.",
        "The host name of the URL has no address, or the resolver answered with an error.",
    ),
    Failure(
        "dns_timeout",
        "Name look-up timed out",
        "The resolver gave no address for {host} within {seconds}.",
        "The resolver of this machine does not answer. Check the network or VPN, or use an address"
        " instead of a name.",
        "The look-up of the host name took longer than 5 s, or than the endpoint's timeout.",
    ),
    Failure(
        "refused",
        "Connection refused",
        "Nothing listens on {address}.",
        "Start your receiver, or correct the port in the endpoint's URL.",
        "The machine answered, but no program accepts connections on that port.",
    ),
    Failure(
        "unreachable",
        "Unreachable",
        "This machine cannot reach {address}: {detail}.",
        "Check the address, the network and any VPN. From a container, localhost is the container itself.",
        "The operating system knows no route to the address, or a router refused to forward.",
    ),
    Failure(
        "connect_timeout",
        "Connect timed out",
        "{address} did not accept a connection within {seconds}.",
        "A firewall that drops packets, a wrong address or an overloaded receiver looks like this.",
        "No TCP connection within 5 s, or within the endpoint's timeout; several addresses of a name share the time.",
    ),
    Failure(
        "tls_untrusted",
        "Certificate not trusted",
        "The certificate of {host} is not trusted: {detail}.",
        "For a receiver of your own with a self-signed certificate, switch certificate checks off for this"
        " endpoint (tls_verify: false). Elsewhere install the full chain with its intermediates.",
        "The certificate is self-signed, or its chain ends in an authority this machine does not trust.",
    ),
    Failure(
        "tls_hostname",
        "Certificate for another name",
        "The certificate is not valid for {host}: {detail}.",
        "Use the host name the certificate was issued for, or, for a receiver of your own, switch"
        " certificate checks off for this endpoint (tls_verify: false).",
        "The certificate is trusted, but was issued for other names than the URL's host.",
    ),
    Failure(
        "tls_expired",
        "Certificate expired",
        "The certificate of {host} is not valid now: {detail}.",
        "Renew the certificate, check this machine's clock, or, for a receiver of your own, switch"
        " certificate checks off for this endpoint (tls_verify: false).",
        "The certificate has expired, or is not valid yet.",
    ),
    Failure(
        "tls_failed",
        "TLS failed",
        "TLS with {address} failed: {detail}.",
        "If your receiver serves plain HTTP, register its URL with http://. Otherwise its own log says why the"
        " handshake failed.",
        "The handshake failed: no TLS on that port, no common version, or a demand for a client certificate.",
    ),
    Failure(
        "tls_timeout",
        "TLS timed out",
        "{address} did not finish the TLS handshake within {seconds}.",
        "The port accepts connections but does not answer the handshake. Is it the right port, does it speak TLS"
        " at all (else use http://), and is the receiver busy?",
        "The handshake took longer than 5 s, or than the endpoint's timeout.",
    ),
    Failure(
        "send_timeout",
        "Receiver stopped reading",
        "{address} stopped reading: it did not take the whole request within {seconds}.",
        "Read the whole request body before working on it; a blocked handler stops the reading too.",
        "The receiver did not take the whole request within the endpoint's timeout.",
    ),
    Failure(
        "no_response",
        "No answer in time",
        "{address} took the request but gave no answer within {seconds}{detail}.",
        "Answer 2xx at once and do the work afterwards (queue, background task), or raise the endpoint's"
        " timeout. Read no more than Content-Length bytes of the request: a handler that reads on waits in vain.",
        "The deadline passed before the headers of an answer were complete.",
    ),
    Failure(
        "incomplete_response",
        "Answer not finished in time",
        "{address} answered {status}, but the body was not complete after {seconds}: {received}.",
        "Send a short body, with its Content-Length, and close streams. What came in is kept.",
        "The deadline passed before the body of the answer was complete.",
    ),
    Failure(
        "reset",
        "Connection reset",
        "{address} reset the connection before it answered.",
        "The receiver crashed, was restarted or killed the worker mid-request: look at its own output.",
        "The receiver's machine reset the connection before an answer came.",
    ),
    Failure(
        "closed_before_response",
        "Closed without an answer",
        "{address} closed the connection without a complete answer{detail}.",
        "The handler ended without sending a response: look for an exception in the receiver's own output.",
        "The receiver closed the connection properly, but before the headers of an answer were complete.",
    ),
    Failure(
        "body_truncated",
        "Answer cut short",
        "The answer {status} ended too early: {received}.",
        "The receiver announced a longer body than it sent, or died while sending. Content-Length must"
        " count bytes, not characters.",
        "The connection ended before the announced end of the body. Status and what came in are kept.",
    ),
    Failure(
        "bad_response",
        "Not valid HTTP",
        "{address} did not answer in valid HTTP/1.1: {detail}.",
        "Is this the port of an HTTP server? If so, it wrote something before its status line and headers. The"
        " first bytes it sent are kept with the attempt.",
        "What came back is not valid HTTP: a broken status line, header or framing, or a 101 nobody"
        " asked for.",
    ),
    Failure(
        "headers_too_large",
        "Headers too large",
        "The headers of the answer are larger than {limit}.",
        "Look for a cookie or debug header that grows with every request.",
        "Status line and headers of the answer exceed 100 KiB.",
    ),
    Failure(
        "redirect",
        "Redirect",
        "{address} answered {status} and points to {location}; redirects are not followed.",
        "Register the final URL of the receiver.",
        "A 3xx answer. Redirects are shown, never followed, so signatures do not reach another host.",
    ),
    Failure(
        "status",
        "Status outside 2xx",
        "{address} answered {status}.",
        "Any 2xx counts as delivered; every other status makes the attempt fail.",
        "A complete answer whose status is neither 2xx nor 3xx.",
    ),
    Failure(
        "blocked_target",
        "Target not allowed",
        "{address} is not an allowed target: {detail}.",
        "The simulator never sends to link-local, metadata and multicast addresses; it sends plain http only to this"
        " machine or a private network, and under --expose only to public addresses.",
        "The address behind the URL, checked when dialling, is not one the simulator sends to.",
    ),
    Failure(
        "blocked_self",
        "The simulator itself",
        "{address} is the simulator itself; only its /receiver/… takes events.",
        "Send to http://127.0.0.1:<port>/receiver/…, or to a receiver of your own on another port.",
        "The URL leads back to the simulator's own console or API.",
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
        "Simulator fault",
        "The simulator could not make this attempt: {detail}.",
        "This is not your receiver's fault. See the simulator's own output.",
        "A fault of the simulator or its surroundings, for example no free file descriptors.",
    ),
)

FAILURES: dict[str, Failure] = {failure.code: failure for failure in _LIST}
"""code → Failure, in the order of the contract."""

CODES: tuple[str, ...] = tuple(FAILURES)
LONGEST_QUOTE = 2048  # characters of a receiver's words in a sentence of ours; its answer has them in full
UNANSWERED = "A reused connection had just ended with this request on it, unanswered."
DELETED = "The endpoint was deleted during this attempt; your receiver may or may not have processed it."


TLS_REASONS = {
    "CERTIFICATE_REQUIRED": (
        "the receiver demands a client certificate",
        "The simulator offers no client certificate: switch that demand off in your receiver for the test.",
    ),
    "PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL": (
        "no TLS version in common",
        "The simulator speaks TLS 1.2 and 1.3: enable one of them in your receiver.",
    ),
    "UNRECOGNIZED_NAME": (
        "the receiver does not know the host name of the URL",
        "Your receiver has no certificate or server block for that host name: add one, or use a name it has.",
    ),
    "NO_APPLICATION_PROTOCOL": (
        "the receiver does not accept HTTP/1.1",
        "Your receiver speaks only HTTP/2 on this port: let it offer HTTP/1.1, too (in Node allowHTTP1: true).",
    ),
    "HANDSHAKE_FAILURE": (
        "the receiver rejected the handshake",
        (
            "No cipher or certificate type in common: give your receiver an RSA or ECDSA certificate and the usual"
            " ciphers. A demand for a client certificate can end like this, too; the simulator offers none."
        ),
    ),
}
"""What OpenSSL calls it (a pattern) → in words, and the cure."""


def message(code: str, **facts: object) -> str:
    """What happened, in words; `facts` are the names its format string asks for."""
    detail = facts.get("detail")
    if isinstance(detail, str):
        detail = detail.removesuffix(".")  # some libraries give whole sentences
        facts["detail"] = _tls_in_words(detail) if code == "tls_failed" else detail
    if code == "redirect":
        facts["location"] = in_ascii(str(facts["location"]))[:LONGEST_QUOTE] or "an empty Location"
    if "status" in facts:
        facts["status"] = str(facts["status"])[:LONGEST_QUOTE]
    return FAILURES[code].message.format(**facts)


def in_ascii(location: str) -> str:
    """A Location, whose bytes were kept as latin-1, with those that are not ASCII percent-encoded."""
    return quote(location, safe=string.punctuation, encoding="latin-1", errors="replace")


def _tls_in_words(detail: str) -> str:
    for reason, (words, _) in TLS_REASONS.items():
        if re.search(rf"(?:{reason})$", detail):
            return f"{words} ({detail})"
    return detail
