"""Which deliveries a list shows: what the page's query string asks for. The query itself is simulator.search's."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from urllib.parse import urlencode

from django.db.models import Q

from simulator import search, searchable
from simulator.models.delivery import DeliveryQuerySet

STATUSES = {
    "pending": "Waiting",
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
        """From a query string. A link that is out of date shows more, never an error."""
        given = {
            name: query.get(name, "").replace("\0", "").strip()[: search.MAX_TEXT] for name in cls.__slots__
        }
        if given["status"] not in STATUSES:
            given["status"] = ""
        return cls(**given)

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    def query_string(self) -> str:
        return urlencode({name: value for name, value in asdict(self).items() if value})

    def deliveries(self) -> DeliveryQuerySet:
        """What it lets through, in no order."""
        retrying = self.status == "retrying"
        asked = search.Filters(
            status="pending" if retrying else self.status or None,
            type=self.type or None,
            endpoint=self.endpoint or None,
        )
        found = search.matching(asked)
        if retrying:
            found = found.filter(attempt_count__gt=0)
        return found.filter(_with_text(self.q)) if self.q else found


def _with_text(text: str) -> Q:
    """Beside the bodies and headers: what the row itself shows, and the ids."""
    if text.startswith(("dlv_", "evt_")):
        return Q(pk=text) | Q(event=text)
    shown = Q(type__icontains=text) | Q(last_error__icontains=text)
    shown |= Q(endpoint__url__icontains=text) | Q(endpoint__description__icontains=text)
    if text.isascii() and text.isdigit():
        shown |= Q(last_status_code=int(text[:9]))
    return shown | searchable.containing(text)
