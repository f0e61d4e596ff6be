"""Where the console listens: on this machine only, on a port that is known before anything starts."""

import errno
import ipaddress
import socket

DEFAULT_PORT = 8000
TRIED_PORTS = 100
_OF_THE_PORT = (errno.EADDRINUSE, errno.EACCES)  # errors that another port may not have


class CannotListen(Exception):
    """Nothing can listen there; the text says why and what to do instead."""


def is_local(host: str) -> bool:
    """Whether all addresses of this name are loopback addresses, in whatever spelling (`0x0` is not)."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise CannotListen(
            f"--host {host}: this name has no address. Use 127.0.0.1, localhost or ::1."
        ) from None
    return all(ipaddress.ip_address(address[0].split("%")[0]).is_loopback for *_, address in found)


def bind(host: str, port: int | None) -> socket.socket:
    """A listening socket; without a port on 8000, or the next one that is free. Raises CannotListen.

    A port is not free if a receiver has it on the other loopback address, as one of Node may: `localhost` leads to both.
    """
    address = "127.0.0.1" if host == "localhost" else host.strip("[]")
    ports = range(DEFAULT_PORT, DEFAULT_PORT + TRIED_PORTS) if port is None else [port]
    other = "127.0.0.1" if ":" in host else "::1"
    for candidate in ports:
        if port is None and _is_taken(other, candidate):
            continue
        try:
            return _bound(address, candidate)
        except OSError as error:
            if error.errno not in _OF_THE_PORT:
                raise CannotListen(
                    f"Cannot listen on {host}: {error.strerror}. Choose another address with --host, such as 127.0.0.1."
                ) from None
            failure = error
    if port is None:
        raise CannotListen(
            f"No port from {ports[0]} to {ports[-1]} is free. Choose one with --port, or 0 for any."
        )
    raise CannotListen(
        f"Cannot listen on {host} port {port}: {failure.strerror}. Choose another with --port."
    )


def _is_taken(address: str, port: int) -> bool:
    try:
        _bound(address, port).close()
    except OSError as error:  # the machine may have no such address
        return error.errno == errno.EADDRINUSE
    return False


def _bound(address: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after a kill the port is free at once
        bound.bind((address, port))
        bound.listen(512)
    except OSError:
        bound.close()
        raise
    return bound


def url(bound: socket.socket) -> str:
    """`http://127.0.0.1:8000`, as browsers and programs on this machine reach it."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
