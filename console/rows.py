"""The rows of a list: one query and one way to draw them, whether the page loads, a filter changes or the socket pushes."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Prefetch
from django.utils.safestring import SafeString, mark_safe

from simulator import feed
from simulator.models import Delivery, Endpoint
from simulator.models.delivery import DeliveryQuerySet

from . import row
from .filters import Filter

PAGE = 60
MOST_NAMED = 200
_KEPT = 4000  # rendered rows, about 1 KiB each
_COLUMNS = ("pk", "seq", "status", "type", "due_at", "manual", "cancelling", "attempt_count", "failed_count")
_COLUMNS += ("last_status_code", "last_error", "last_duration_ms", "created_at", "endpoint")
# Few endpoints have many rows: by themselves, and not joined to each.
_ENDPOINTS = Prefetch("endpoint", Endpoint.objects.only("url", "description", "retry_delays", "revision"))


@dataclass(frozen=True, slots=True)
class Page:
    """`html` newest first; `seq` is from before the query, so that nothing falls between page and push."""

    html: SafeString
    seq: int
    next_cursor: str


def page(filter: Filter, cursor: str = "") -> Page:
    """The newest PAGE rows, or those older than `cursor` (a delivery id)."""
    seq = feed.latest()
    found = filter.newest(_shown, cursor, PAGE + 1)
    more = len(found) > PAGE
    return Page(joined(found[:PAGE]), seq, found[PAGE - 1].pk if more else "")


def joined(deliveries: Iterable[Delivery]) -> SafeString:
    return mark_safe("\n".join(map(drawn, deliveries)))


def some(ids: list[str]) -> SafeString:
    """The rows of these deliveries, whatever filter they came through."""
    return joined(shown(Filter()).filter(pk__in=ids[:MOST_NAMED]))


def shown(filter: Filter) -> DeliveryQuerySet:
    """What the filter lets through, with what a row shows and no more."""
    return _shown(filter.deliveries())


def _shown(deliveries: DeliveryQuerySet) -> DeliveryQuerySet:
    return deliveries.only(*_COLUMNS).prefetch_related(_ENDPOINTS)


def drawn(delivery: Delivery) -> str:
    """The row's HTML, rendered once for all tabs and requests."""
    key = (delivery.pk, delivery.seq, delivery.endpoint.revision)
    html = _cache.get(key)
    if html is None:
        html = row.html(delivery)
        _cache.put(key, html)
    return html


class _Cache:
    """The last rendered rows. Views and sockets render in different threads."""

    def __init__(self) -> None:
        self._rows: OrderedDict[tuple[str, int, int], str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, int, int]) -> str | None:
        return self._rows.get(key)

    def put(self, key: tuple[str, int, int], html: str) -> None:
        with self._lock:
            self._rows[key] = html
            if len(self._rows) > _KEPT:
                self._rows.popitem(last=False)


_cache = _Cache()
