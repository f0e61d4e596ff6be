"""What a new data folder starts with: two endpoints on the built-in receiver, so that the first click works."""

from urllib.parse import urlsplit

from django.db.models import F
from django.utils import timezone

from simulator.models import Endpoint
from simulator.transaction import writing

# They subscribe to nothing: a user's own events go to the user's own endpoints, and a batch is not sent three
# times. A test event reaches any endpoint, whatever it subscribes to.
BUILT_IN = (
    ("Built-in receiver", "/receiver/ok"),
    ("Flaky receiver", "/receiver/flaky?fail_first=2"),
)


def furnish(address: str) -> None:
    """Register the built-in endpoints once; later, point them to where the receiver listens now.

    `address` is the console's, such as "http://127.0.0.1:8000". One that was deleted or edited stays so.
    """
    with writing():
        if not Endpoint.objects.exclude(origin=Endpoint.ADHOC).exists():  # deleted ones count
            for description, path in BUILT_IN:
                Endpoint.register(
                    url=address + path, description=description, events=[], origin=Endpoint.BUILTIN
                )
        for endpoint in Endpoint.objects.alive().filter(origin=Endpoint.BUILTIN):
            _move(endpoint, address)


def _move(endpoint: Endpoint, address: str) -> None:
    parts = urlsplit(endpoint.url)
    url = address + parts.path + (f"?{parts.query}" if parts.query else "")
    if url != endpoint.url:
        changes = {"url": url, "revision": F("revision") + 1, "updated_at": timezone.now()}
        Endpoint.objects.filter(pk=endpoint.pk).update(**changes)
