"""The ASGI application: pages and API by Django, sockets by Channels. The engine is started by `up`."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
pages = get_asgi_application()

from .live import sockets  # noqa: E402 - needs the apps loaded

application = ProtocolTypeRouter({"http": pages, "websocket": sockets})
