"""The ASGI application: doors, static files, Django, sockets. The engine is started by `up`."""

import os
from contextlib import nullcontext

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path, re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
django.setup(set_prefix=False)

# The apps have to be loaded before these; `urls` is imported so that the first visitor need not wait for it.
from simulator import engine
from simulator.receiver import receive as receive_webhook

from . import urls  # noqa: F401
from .files import files
from .handlers import InThreads, OnLoop
from .live import ConsoleConsumer
from .security import API, RECEIVER, Application, Receive, Scope, Send, doors, pages_only, refuse_socket
from .stream import stream


def attended(application: Application) -> Application:
    """While a person waits for a page or for what they clicked, bulk stands back."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        with engine.attending() if _somebody_waits(scope["path"]) else nullcontext():
            await application(scope, receive, send)

    return run


def _somebody_waits(path: str) -> bool:
    """Not for an API call, such as a program polling its batch, unless it stands for a click."""
    if path.startswith(API):
        return path.endswith(("/test", "/retry", "/resend"))
    return path not in ("/healthz", "/readyz")


sockets = URLRouter(
    [
        path("ws/v1/stream", stream),
        path("ws/console/", pages_only(ConsoleConsumer.as_asgi())),
        re_path("", refuse_socket),
    ]
)
pages, receiver = attended(InThreads()), OnLoop(receive_webhook)


async def web(scope: Scope, receive: Receive, send: Send) -> None:
    """The built-in receiver is on the loop: it may wait two minutes before it answers, which would cost a thread."""
    await (receiver if scope["path"].startswith(RECEIVER) else pages)(scope, receive, send)


application = doors(ProtocolTypeRouter({"http": files(web), "websocket": sockets}))
