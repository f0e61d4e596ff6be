"""The ASGI application: doors, static files, Django, sockets. The engine is started by `up`."""

import os
from contextlib import nullcontext

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
pages = get_asgi_application()

# The apps have to be loaded before these; `urls` is here so that the first visitor need not wait for it.
from simulator import engine

from . import urls  # noqa: F401
from .files import files
from .live import ConsoleConsumer
from .security import API, RECEIVER, Application, Receive, Scope, Send, doors, pages_only, refuse_socket
from .stream import stream
from .threads import Threads


def attended(application: Application) -> Application:
    """While a person waits for a page or for what they clicked, bulk stands back."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        with engine.attending() if _somebody_waits(scope["path"]) else nullcontext():
            await application(scope, receive, send)

    return run


def _somebody_waits(path: str) -> bool:
    """Not a program that asks how its batch gets on, nor the built-in receiver to which the batch may go."""
    if path.startswith(API):
        return path.endswith(("/test", "/retry", "/resend"))
    return not path.startswith((RECEIVER, "/healthz", "/readyz"))


sockets = URLRouter(
    [
        path("ws/v1/stream", stream),
        path("ws/console/", pages_only(ConsoleConsumer.as_asgi())),
        re_path("", refuse_socket),
    ]
)
application = doors(ProtocolTypeRouter({"http": files(attended(Threads(pages))), "websocket": sockets}))
