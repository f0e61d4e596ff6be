"""TLS on a dialled socket: the two contexts, the handshake, and the names of its failures. Knows no HTTP."""

import asyncio
import os
import ssl
import time

import certifi

from .connection import Connection
from .dialling import STEP_LIMIT, WireFailure, seconds


class TlsContexts:
    """One context that verifies and one that does not, each built when first needed: building costs 20 ms."""

    def __init__(self, cafile: str | None) -> None:
        self._cafile = cafile
        self._made: dict[bool, ssl.SSLContext] = {}

    @property
    def verifying(self) -> ssl.SSLContext:
        return self._context(True)

    @property
    def trusting(self) -> ssl.SSLContext:
        return self._context(False)

    def _context(self, verify: bool) -> ssl.SSLContext:
        if verify not in self._made:
            self._made[verify] = context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.set_alpn_protocols(["http/1.1"])
            if verify:
                self._load_authorities(context)
            else:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
        return self._made[verify]

    def _load_authorities(self, context: ssl.SSLContext) -> None:
        """certifi, as httpx does, and the system's own store; not SSL_CERT_FILE of whatever shell started us."""
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
            await loop.create_connection(
                lambda: connection,
                sock=connection.sock,
                ssl=context,
                server_hostname=host.removesuffix("."),
                ssl_handshake_timeout=STEP_LIMIT * 2,
            )
    except TimeoutError:
        raise WireFailure("tls_timeout", "tls", address=connection.address, seconds=seconds(limit)) from None
    except (OSError, UnicodeError) as error:
        raise _tls_failure(error, host, connection.address) from error
    finally:
        phases["tls"] = (time.perf_counter() - began) * 1000


_VERIFY_CODES = {9: "tls_expired", 10: "tls_expired", 62: "tls_hostname", 64: "tls_hostname"}  # X509_V_ERR_…
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNEXPECTED_EOF_WHILE_READING")


def _tls_failure(error: Exception, host: str, address: str) -> WireFailure:
    if isinstance(error, ssl.SSLCertVerificationError):
        code = _VERIFY_CODES.get(error.verify_code, "tls_untrusted")
        return WireFailure(code, "tls", host=host, detail=error.verify_message)
    if isinstance(error, ssl.SSLError) and error.reason not in _NOT_TLS:
        return WireFailure("tls_failed", "tls", address=address, detail=error.reason or str(error))
    if isinstance(error, ssl.SSLError):
        return WireFailure("tls_failed", "tls", address=address, detail="this port does not speak TLS")
    detail = "the connection ended during the handshake; perhaps this port does not speak TLS"
    return WireFailure("tls_failed", "tls", address=address, detail=detail)
