"""Static files, served by WhiteNoise in front of Django: a sync middleware slows down every other request."""

from typing import Any

from whitenoise.middleware import WhiteNoiseMiddleware

from .security import Application, Headers, Receive, Scope, Send


def files(otherwise: Application) -> Application:
    """Answers requests for static files; all others go to `otherwise`."""
    known: dict[str, Any] = WhiteNoiseMiddleware().files

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        file = known.get(scope["path"])
        if file is None:
            return await otherwise(scope, receive, send)
        try:
            status, headers, body = _read(file, scope)
        except OSError as error:  # no descriptor is left for it, or it was removed meanwhile
            status, headers = 503, [(b"content-type", b"text/plain; charset=utf-8")]
            body = f"This file of the page cannot be read: {error.strerror}.\n".encode()
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return served


def _read(file: Any, scope: Scope) -> tuple[int, Headers, bytes]:
    response = file.get_response(scope["method"], _environ(scope))
    headers = [(name.lower().encode(), value.encode()) for name, value in response.headers]
    body = b""
    if response.file:
        with response.file as opened:
            body = opened.read()
    return int(response.status), headers, body


def _environ(scope: Scope) -> dict[str, str]:
    """The request headers under the names that WhiteNoise asks for."""
    return {
        "HTTP_" + name.decode("latin-1").upper().replace("-", "_"): value.decode("latin-1")
        for name, value in scope["headers"]
    }
