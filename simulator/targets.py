"""Which URLs may be registered and which dialled addresses may be sent to. Pure; looks nothing up."""

import ipaddress
import posixpath
import re
import socket
from collections.abc import Collection
from urllib.parse import SplitResult, quote, unquote, urlsplit

import idna

MAX_LENGTH = 2048

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class BadTarget(ValueError):
    """A URL that cannot be an endpoint. `reason` is for programs, `message` for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


# --- the URL, when it is saved


def check_url(url: str) -> str:
    """The URL as it will be used: host in ASCII, an address as it is usually written, neither dots nor fragment.

    Raises BadTarget.
    """
    parts = _parts(url)
    if "@" in parts.netloc:
        host = parts.netloc.rpartition("@")[2]
        raise BadTarget(
            "credentials_in_url",
            f"A URL must not contain a user name or password (its host would be {host!r}): remove all before the @.",
        )
    if "\\" in parts.netloc + parts.path:
        raise BadTarget("invalid_format", "A URL must not contain backslashes; use / instead.")
    host = _host(parts)
    port = _port(parts)
    if parts.scheme == "http" and not is_local_name(host):
        raise BadTarget("https_required", _why_https(host))
    shown = f"[{host}]" if ":" in host else host
    used = parts._replace(
        netloc=shown if port is None else f"{shown}:{port}",
        path=quote(_without_dots(parts.path), safe=_KEPT),
        query=quote(parts.query, safe=_KEPT + "?`{}"),
        fragment="",
    ).geturl()
    _check_length(used)  # as it is stored, so that what is read back can be saved again
    return used


def _without_dots(path: str) -> str:
    """As every client sends it (RFC 3986 §5.2.4): what is shown is what goes over the wire."""
    if not {".", ".."} & {*path.split("/")}:
        return path
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1] if kept != [""] else kept
        elif segment != ".":
            kept.append(segment)
    if segment in (".", ".."):  # the last one: what is left is a folder
        kept.append("")
    return "/".join(kept) if len(kept) > 1 else "/"


_KEPT = "/%:@!$&'()*+,;=~-._[]|^"
_UNSEEN = re.compile(
    r"[\x00-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ud800-\udfff]"
)


def _parts(url: str) -> SplitResult:
    if not isinstance(url, str):
        raise BadTarget("invalid_format", "A URL must be a string such as http://localhost:3000/webhook.")
    _check_length(url)
    if not url:
        raise BadTarget("invalid_format", "Enter a URL such as http://localhost:3000/webhook.")
    if _UNSEEN.search(url):
        raise BadTarget(
            "invalid_format", "A URL must not contain spaces, line breaks or invisible characters."
        )
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:(?!\d)", url):
        raise BadTarget("invalid_format", "A URL must begin with http:// or https://.")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadTarget("invalid_format", f"This is not a URL: {error}.") from None
    if parts.scheme not in ("http", "https"):
        raise BadTarget("unsupported_scheme", f"{parts.scheme}: is not supported; use http:// or https://.")
    if not re.match(r"https?://", url, re.IGNORECASE):
        raise BadTarget("invalid_format", f"A URL must begin with {parts.scheme}://.")
    return parts


def _check_length(url: str) -> None:
    if len(url) > MAX_LENGTH:
        raise BadTarget(
            "too_long",
            f"A URL may have at most {MAX_LENGTH:,} characters, percent-encoded; this one has {len(url):,}.",
        )


def _why_https(host: str) -> str:
    address = literal(host)
    if address is not None and _kind(unwrapped(address)) == "never":
        return f"The simulator never sends to {host}: it is a link-local, metadata, multicast or reserved address."
    return f"{host} is neither this machine nor in a private network: use https."


def _host(parts: SplitResult) -> str:
    host = _bare_host(parts.netloc)
    if not host:
        raise BadTarget("invalid_host", "The URL has no host.")
    if parts.netloc.startswith("["):
        try:
            return str(ipaddress.IPv6Address(host)) if "%" not in host else _bad_host(host)
        except ValueError:
            return _bad_host(host)
    ascii_host = _ascii(host)
    labels = ascii_host.removesuffix(".").split(".")
    if len(ascii_host) > 253 or not all(
        re.fullmatch(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", x) for x in labels
    ):
        return _bad_host(host)
    if not re.fullmatch(r"\d+|0x[0-9a-f]*", labels[-1]):
        return ascii_host
    address = literal(ascii_host)  # what follows knows 127.0.0.1, but not its other spellings
    return _bad_host(host) if address is None else str(address)


def _bare_host(netloc: str) -> str:
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0]
    return netloc.partition(":")[0]


def _ascii(host: str) -> str:
    if host.isascii():
        return host.lower()
    try:
        return idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        return _bad_host(host)


def _bad_host(host: str) -> str:
    raise BadTarget("invalid_host", f"{host!r} is not a host name or address.")


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise BadTarget("invalid_port", "The port must be a number from 1 to 65535.")
    after_host = parts.netloc.partition("]")[2] if parts.netloc.startswith("[") else parts.netloc
    if not re.fullmatch(r"[^:]*(:\d*)?", after_host, re.ASCII):
        raise BadTarget("invalid_port", "The port must be a number from 1 to 65535.")
    return port


_LOCAL_SUFFIXES = (
    *(".localhost", ".local", ".internal", ".intranet", ".lan", ".home", ".corp", ".private", ".home.arpa"),
    *(".test", ".invalid"),
)


def is_local_name(host: str) -> bool:
    """Whether plain http may be registered for this host: this machine, a private network, or a name that
    can never be public. What it really leads to is judged when it is dialled."""
    address = literal(host)
    if address is not None:
        return _kind(unwrapped(address)) in ("own", "private")
    name = host.removesuffix(".")
    return name == "localhost" or "." not in name or name.endswith(_LOCAL_SUFFIXES)


def literal(host: str) -> Address | None:
    """The address a host spells, in every way `inet_aton` takes one (127.1, 0x7f000001, 2130706433)."""
    try:
        if ":" in host:
            return ipaddress.IPv6Address(host)
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


# --- the address, when it is dialled


def judge(
    address: str,
    port: int,
    path: str,
    scheme: str,
    *,
    own_listeners: Collection[tuple[str, int]] = (),
    exposed: bool = False,
) -> str | None:
    """`blocked_self`, `blocked_target`, or None when this very address may be connected to.

    `address` is numeric, as the dialler is about to use it; `path` is the request's, still encoded; a query does not matter.
    """
    target = unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    if _is_own_listener(target, port, own_listeners):
        return None if _leads_to_receiver(path) else "blocked_self"
    kind = _kind(target)
    if exposed:
        return None if kind == "public" and scheme == "https" else "blocked_target"
    if kind == "public":
        return None if scheme == "https" else "blocked_target"
    return None if kind in ("own", "private") else "blocked_target"


def _networks(*texts: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# Own tables, from the IANA special-purpose registries: `ipaddress` changes its mind between patch releases.
_OWN = _networks("127.0.0.0/8", "0.0.0.0/32", "::1/128", "::/128")
_PRIVATE = _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
_METADATA = _networks(
    "169.254.169.254/32",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "fd00:ec2::/32",
    "fd20:ce::254/128",
)
_NEVER = _networks(
    "0.0.0.0/8",
    "169.254.0.0/16",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")


def _kind(address: Address) -> str:
    if any(address in network for network in _METADATA):
        return "never"
    if any(address in network for network in _OWN):
        return "own"
    if any(address in network for network in _PRIVATE):
        return "private"
    if any(address in network for network in _NEVER):
        return "never"
    return "public" if address.version == 4 or address in _GLOBAL_V6 else "never"


_LAST_32_BITS = tuple(
    ipaddress.IPv6Network(text)
    for text in ("::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "::/96")
)
_6TO4 = ipaddress.IPv6Network("2002::/16")


def unwrapped(address: Address) -> Address:
    """The IPv4 address inside mapped, translated, NAT64, compatible, 6to4 and Teredo forms; else itself."""
    if isinstance(address, ipaddress.IPv4Address) or int(address) in (0, 1):
        return address
    if address in _6TO4:
        return ipaddress.IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    if address.teredo:
        return address.teredo[1]
    if any(address in network for network in _LAST_32_BITS):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_own_listener(address: Address, port: int, listeners: Collection[tuple[str, int]]) -> bool:
    for host, own_port in listeners:
        if port != own_port:
            continue
        own = unwrapped(ipaddress.ip_address(host)) if literal(host) else ipaddress.IPv4Address("127.0.0.1")
        if address == own or _kind(address) == "own" and _kind(own) == "own":
            return True
        if own.is_unspecified and _is_of_this_machine(address):
            return True
    return False


def _is_of_this_machine(address: Address) -> bool:
    """Whether an interface of this machine has the address: only then can a socket be bound to it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def _leads_to_receiver(path: str) -> bool:
    path = path.partition("?")[0]
    for _ in range(8):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    plain = posixpath.normpath("/" + path.replace("\\", "/").lstrip("/"))
    return path.startswith("/receiver/") and (plain == "/receiver" or plain.startswith("/receiver/"))
