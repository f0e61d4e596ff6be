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
from .security import RECEIVER, Application, Receive, Scope, Send, doors, pages_only, refuse_socket
from .stream import stream
from .threads import Threads


def attended(application: Application) -> Application:
    """Somebody waits for the answer, and bulk stands back meanwhile; but the built-in receiver is where bulk may go."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        waited_for = nullcontext() if scope["path"].startswith(RECEIVER) else engine.attending()
        with waited_for:
            await application(scope, receive, send)

    return run


sockets = URLRouter(
    [
        path("ws/v1/stream", stream),
        path("ws/console/", pages_only(ConsoleConsumer.as_asgi())),
        re_path("", refuse_socket),
    ]
)
application = doors(ProtocolTypeRouter({"http": files(attended(Threads(pages))), "websocket": sockets}))
