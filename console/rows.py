"""The rows of a list: one query and one rendering, whether the page loads, a filter changes or the socket pushes."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, QuerySet, prefetch_related_objects
from django.utils.safestring import SafeString, mark_safe

from simulator import feed
from simulator.models import Attempt, Delivery, Endpoint
from simulator.models.attempt import INTERRUPTED
from simulator.models.delivery import DeliveryQuerySet

from . import row
from .filters import Filter

PAGE = 60
MOST_NAMED = 200
_KEPT = 4000  # rendered rows, about 1 KiB each
_drawn: OrderedDict[tuple[str, int, int], str] = OrderedDict()  # by id, seq and endpoint's revision
_lock = threading.Lock()  # views and sockets render in different threads
_COLUMNS = ("pk", "seq", "status", "type", "due_at", "manual", "cancelling", "attempt_count", "failed_count")
_COLUMNS += ("last_status_code", "last_error", "last_duration_ms", "created_at", "endpoint")
# Few endpoints have many rows: they are read once, not joined to every row.
_ENDPOINTS = Prefetch("endpoint", Endpoint.objects.only("url", "description", "retry_delays", "revision"))
# Few deliveries have any: it is looked up only for those that may.
_INTERRUPTED = Prefetch(
    "attempts", Attempt.objects.filter(status=INTERRUPTED).only("delivery", "number"), to_attr="interrupted"
)


@dataclass(frozen=True, slots=True)
class Page:
    """`html` newest first; `seq` was read before the query, so that no change is lost between page and push."""

    html: SafeString
    seq: int
    next_cursor: str


def page(filter: Filter, cursor: str = "") -> Page:
    """The newest PAGE rows, or those older than `cursor` (a delivery id)."""
    seq = feed.latest()
    found = filter.newest(_named, cursor, PAGE + 1)
    more = len(found) > PAGE
    return Page(_joined(found[:PAGE]), seq, found[PAGE - 1].pk if more else "")


def some(ids: list[str]) -> SafeString:
    """The rows of these deliveries, whatever filter they came through."""
    return _joined(list(_named(Delivery.objects.filter(pk__in=ids[:MOST_NAMED]))))


def _named(deliveries: DeliveryQuerySet) -> "QuerySet[Delivery, Any]":
    """Ids and versions only: rows that are already rendered need no more."""
    return deliveries.values_list("pk", "seq", "endpoint", named=True)


def _joined(named: Sequence[Any]) -> SafeString:
    endpoints = Endpoint.objects.filter(pk__in={each.endpoint for each in named})
    revisions = dict(endpoints.values_list("pk", "revision"))
    html = {each.pk: _drawn.get((each.pk, each.seq, revisions[each.endpoint])) for each in named}
    missing = [pk for pk, drawn_before in html.items() if drawn_before is None]
    if missing:
        html |= {each.pk: drawn(each) for each in _shown(Delivery.objects.filter(pk__in=missing))}
    return mark_safe("\n".join(filter(None, html.values())))  # None: deleted a moment ago


def among(filter: Filter, changed: Sequence[str]) -> list[Delivery]:
    """Those of these few deliveries that match the filter, with only the columns that a row shows."""
    return _shown(filter.among(changed))


def _shown(deliveries: DeliveryQuerySet) -> list[Delivery]:
    found = list(deliveries.only(*_COLUMNS).prefetch_related(_ENDPOINTS))
    prefetch_related_objects([each for each in found if row.has_others(each)], _INTERRUPTED)
    return found


def drawn(delivery: Delivery) -> str:
    """The row's HTML, rendered once for all tabs and requests."""
    key = (delivery.pk, delivery.seq, delivery.endpoint.revision)
    html = _drawn.get(key)
    if html is None:
        html = row.html(delivery)
        with _lock:
            _drawn[key] = html
            if len(_drawn) > _KEPT:
                _drawn.popitem(last=False)
    return html
