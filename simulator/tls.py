"""TLS on a dialled socket: contexts, handshake, the layer below asyncio's TLS. Names its failures, knows no HTTP."""

import asyncio
import os
import re
import ssl
import time
from typing import Any

import certifi

from .connection import Connection
from .dialling import STEP_LIMIT, WireFailure, seconds

RECORDS = 48 * 1024
"""Read at once: together with a record already begun, no more than a connection takes at a time."""


class TlsContexts:
    """One context that verifies and one that does not, each made when first needed."""

    def __init__(self, cafile: str | None) -> None:
        self._cafile = cafile
        self._made: dict[bool, asyncio.Future[ssl.SSLContext]] = {}

    async def of(self, verify: bool, deadline: float) -> ssl.SSLContext:
        """Made in a thread, once for all callers: reading the authorities would block the loop for 0.1 s.

        Raises OSError when they cannot be read; the next call tries again.
        """
        made = self._made.get(verify)
        if made is None or made.done() and made.exception():
            made = self._made[verify] = asyncio.ensure_future(asyncio.to_thread(self._make, verify))
        try:
            async with asyncio.timeout(deadline - time.perf_counter()):
                return await asyncio.shield(made)
        except TimeoutError:  # something keeps all threads busy
            raise WireFailure(
                "internal_error", "tls", detail="the certificate authorities were not read in time"
            ) from None

    def _make(self, verify: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_alpn_protocols(["http/1.1"])
        if verify:
            self._load_authorities(context)
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _load_authorities(self, context: ssl.SSLContext) -> None:
        """certifi, as in httpx, and the system's own store; not the SSL_CERT_FILE of the shell that started us."""
        context.load_verify_locations(certifi.where())
        system = ssl.get_default_verify_paths()
        for option, path in (("cafile", system.openssl_cafile), ("capath", system.openssl_capath)):
            if os.path.exists(path):
                context.load_verify_locations(**{option: path})
        if self._cafile:
            context.load_verify_locations(self._cafile)


async def shake_hands(
    connection: Connection, context: ssl.SSLContext, host: str, phases: dict[str, float], deadline: float
) -> None:
    began = time.perf_counter()
    limit = min(STEP_LIMIT, deadline - began)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(limit):
            below, _ = await loop.create_connection(Unread, sock=connection.sock)
            above = await loop.start_tls(
                below,
                connection,
                context,
                server_hostname=host.removesuffix("."),
                ssl_handshake_timeout=STEP_LIMIT * 2,
            )
            if above is None:
                raise ConnectionResetError("it was lost as the handshake ended")
    except TimeoutError:
        raise WireFailure("tls_timeout", "tls", address=connection.address, seconds=seconds(limit)) from None
    except (OSError, UnicodeError) as error:
        # Its traceback holds asyncio's frame, which holds the error: a cycle that would keep all of TLS alive.
        error.with_traceback(None)
        raise _tls_failure(error, host, connection.address) from error
    finally:
        phases["tls"] = (time.perf_counter() - began) * 1000
    Records(below, connection)
    connection.connection_made(above)


class Unread(asyncio.Protocol):
    """Reads nothing: the receiver's first bytes are for the handshake."""

    def connection_made(self, transport: Any) -> None:
        transport.pause_reading()


class Records(asyncio.BufferedProtocol):
    """Sits between the socket and asyncio's TLS, to do two things that asyncio's TLS does not.

    It does not pass on that the socket takes no more, so a receiver that stopped reading would look like a slow one;
    and after a failed write it does not read an answer that had already come.
    """

    def __init__(self, transport: asyncio.Transport, connection: Connection) -> None:
        self._transport = transport
        self._connection = connection
        self._tls: Any = transport.get_protocol()
        transport.set_protocol(self)
        connection.read_below(transport)
        transport.set_write_buffer_limits(high=0)

    def get_buffer(self, sizehint: int) -> memoryview:
        """No more than the connection takes at once: when TLS ends, asyncio loses what it has not passed on."""
        buffer: memoryview = self._tls.get_buffer(sizehint)[:RECORDS]
        return buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._tls.buffer_updated(nbytes)

    def eof_received(self) -> bool | None:
        keep_open: bool | None = self._tls.eof_received()
        return keep_open

    def pause_writing(self) -> None:
        self._tls.pause_writing()
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._tls.resume_writing()  # it may write more, and be paused again by that
        if not self._transport.get_write_buffer_size():
            self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            exc = self._read_the_rest(exc)
        self._tls.connection_lost(exc)

    def _read_the_rest(self, exc: Exception) -> Exception:
        """Also return the true cause: a receiver that refuses our handshake may reset right after its alert."""
        told = [exc]
        # asyncio's own would report it to a transport that is already closed.
        self._tls._fatal_error = lambda error, *words: told.append(error)
        self._connection.read_the_rest(self._tls, exc)
        return told[-1]


_VERIFY_CODES = {9: "tls_expired", 10: "tls_expired", 62: "tls_hostname", 64: "tls_hostname"}  # X509_V_ERR_…
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNEXPECTED_EOF_WHILE_READING")


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's name for it. Python does not know all names; for the others it has the text they are made of."""
    words = re.sub(r"^\[\w+\] | \(_ssl\.c:\d+\)$", "", str(error))
    return error.reason or words.upper().replace(" ", "_")


def _tls_failure(error: Exception, host: str, address: str) -> WireFailure:
    if isinstance(error, ssl.SSLCertVerificationError):
        code = _VERIFY_CODES.get(error.verify_code, "tls_untrusted")
        return WireFailure(code, "tls", host=host, detail=error.verify_message)
    if isinstance(error, ssl.SSLZeroReturnError):  # a clean end for OpenSSL, so it has no reason
        detail = "the receiver ended the handshake (ALERT_CLOSE_NOTIFY)"
    elif isinstance(error, ssl.SSLError):
        detail = "this port does not speak TLS" if error.reason in _NOT_TLS else _reason(error)
    else:
        detail = "the connection ended during the handshake; perhaps this port does not speak TLS"
    return WireFailure("tls_failed", "tls", address=address, detail=detail)
