"""Which deliveries a list shows: what the page's query string asks for. The query itself is simulator.search's."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet

from simulator import failures, search
from simulator.models import Delivery, Endpoint
from simulator.models.delivery import DeliveryQuerySet
from simulator.models.event_type import known_types

Shape = Callable[[DeliveryQuerySet], "QuerySet[Delivery, Any]"]
STATUSES = {
    "pending": "Pending",  # waiting, retrying or held
    "retrying": "Retrying",
    "sending": "Sending",
    "succeeded": "Succeeded",
    "failed": "Failed",
    "cancelled": "Cancelled",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Hashable, so that tabs with the same filter share what was read and rendered for one of them."""

    status: str = ""
    type: str = ""
    endpoint: str = ""
    q: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Filter":
        """From a query string. An outdated link finds what there is; it is never an error."""
        given = {
            name: query.get(name, "").replace("\0", "").strip()[: search.MAX_TEXT] for name in cls.__slots__
        }
        return cls(**given)

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    def query_string(self) -> str:
        return urlencode({name: value for name, value in asdict(self).items() if value})

    def unknown(self) -> list[tuple[str, str]]:
        """(kind, value) of each choice that does not exist, so that nothing can match."""
        found = []
        if self.status and self.status not in STATUSES:
            found.append(("status", self.status))
        if self.type and self.type not in known_types():
            found.append(("type", self.type))
        if self.endpoint and not Endpoint.objects.filter(pk=self.endpoint).exists():
            found.append(("endpoint", self.endpoint))
        return found

    def unlisted(self, endpoints: Sequence[Endpoint]) -> str:
        """The name of the chosen endpoint if it is not among these; "" if it is, or if none is chosen."""
        if not self.endpoint or self.endpoint in [each.pk for each in endpoints]:
            return ""
        endpoint = Endpoint.objects.filter(pk=self.endpoint).first()
        return f"{endpoint or self.endpoint}{' (deleted)' if endpoint and endpoint.deleted_at else ''}"

    def among(self, changed: Sequence[str]) -> DeliveryQuerySet:
        """Those of these few deliveries that match, in no particular order."""
        found = search.matching(self._asked()).filter(pk__in=changed)
        return found.filter(search.among(self.q, changed, _shown(self.q))) if self.q else found

    def newest(self, shape: Shape, cursor: str, count: int) -> list[Any]:
        """The newest `count` matching deliveries older than the one `cursor` names; `shape` says what is read of each."""
        asked, also = self._asked(), _shown(self.q) if self.q else []
        return search.newest(shape(search.matching(asked)), asked, cursor, count, also)

    def _asked(self) -> search.Filters:
        return search.Filters(**{name: value or None for name, value in asdict(self).items()})


def _shown(text: str) -> list[search.Filters]:
    """Where else a text is searched, besides bodies and headers: in what the row shows."""
    low = text.lower()
    endpoints = Endpoint.objects.filter(Q(description__icontains=text)).values_list("pk", flat=True)
    shown = [search.Filters(type=type) for type in known_types() if low in type.lower()]
    shown += [search.Filters(code=code) for code in failures.CODES if low in code]
    shown += [search.Filters(endpoint=endpoint) for endpoint in endpoints]
    if re.fullmatch(r"[1-9]\d\d", text, re.ASCII):
        shown.append(search.Filters(code=text))
    return shown
