"""Searching deliveries: filters read from text, and the query they make. Knows no page and no API."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from django.db.models import Q, QuerySet

from . import failures, ids, searchable
from .models import Delivery
from .models.delivery import CANCELLED, FAILED, FINISHED, PENDING, SENDING, SUCCEEDED, DeliveryQuerySet
from .rows import query
from .sending import BadInput

STATUSES = (PENDING, SENDING, SUCCEEDED, FAILED, CANCELLED)
MAX_TEXT = 200
NEWEST = 1000  # how many deliveries are read for the headers that nearly every request has
# Up to so many are read one by one: the index may find far more with a frequent text. Not more than NEWEST, beyond
# which nobody looks: of that many it would not be known whether they are all.
FEW = NEWEST
# An id is made a moment before or after the row's own time; the range of ids only serves to use the index.
_SLACK = timedelta(minutes=1)
_LAST = datetime.max.replace(tzinfo=UTC) - timedelta(milliseconds=1)


class Row(Protocol):
    """A delivery, or some columns of one."""

    @property
    def pk(self) -> Any: ...


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Filters:
    """None: not filtered by. `code` is 404, 5xx or a failure code; `since` and `until` are both inclusive."""

    status: str | None = None
    type: str | None = None
    endpoint: str | None = None
    code: str | None = None
    q: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def parsed(texts: Mapping[str, str | None]) -> Filters:
    """The filters of a query string; other keys are ignored. Raises BadInput."""
    given: dict[str, Any] = {
        name: value for name in Filters.__slots__ if (value := texts.get(name)) is not None
    }
    for name, value in given.items():
        _check(name, value)
    for name in ("since", "until"):
        if name in given:
            given[name] = _moment(name, given[name])
    return Filters(**given)


def _check(name: str, text: str) -> None:
    if not text or "\0" in text or len(text) > MAX_TEXT:
        raise BadInput(name, "invalid_format", f"{name} must be 1 to {MAX_TEXT} characters without NUL.")
    if name == "status" and text not in STATUSES:
        raise BadInput(name, "invalid_choice", f"status must be one of {', '.join(STATUSES)}.")
    if name == "endpoint" and ids.decode("ep", text) is None:
        raise BadInput(name, "invalid_format", "endpoint must be an id such as ep_0Ab1Cd2Ef3G.")
    if name == "code" and not re.fullmatch(r"[1-9](xx|\d\d)", text, re.ASCII) and text not in failures.CODES:
        raise BadInput(
            name, "invalid_choice", "code must be a status (404), a class (5xx) or a failure code (refused)."
        )


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput(
            name, "invalid_format", f"{name} must be a time such as 2025-02-07T02:55:00Z."
        ) from None


def matching(filters: Filters) -> DeliveryQuerySet:
    """The deliveries that match all but the text, in no order."""
    found: DeliveryQuerySet = Delivery.objects.all()
    if filters.status:
        # Only with the second condition are the partial indexes used.
        found = found.filter(status=filters.status, due_at__isnull=filters.status in FINISHED)
    if filters.type:
        found = found.filter(type=filters.type)
    if filters.endpoint:
        found = found.filter(endpoint=ids.decode("ep", filters.endpoint))
    if filters.code:
        found = found.filter(_code(filters.code))
    return _between(found, filters.since, filters.until)


def _code(code: str) -> Q:
    if code.endswith("xx"):
        return Q(last_status_code__range=(int(code[0]) * 100, int(code[0]) * 100 + 99))
    return Q(last_status_code=int(code)) if code.isdigit() else Q(last_error=code)


def _between(found: DeliveryQuerySet, since: datetime | None, until: datetime | None) -> DeliveryQuerySet:
    if since:
        found = found.filter(pk__gte=_id_at(since, -_SLACK), created_at__gte=since)
    if until:
        # Pages and API show milliseconds: all of the last one belongs to the range.
        end = min(until, _LAST) + timedelta(milliseconds=1)
        found = found.filter(created_at__lt=end)
        if not ids.run_ahead():
            found = found.filter(pk__lt=_id_at(until, _SLACK))
    return found


def _id_at(moment: datetime, slack: timedelta) -> int:
    return min(ids.at(moment.timestamp() + slack.total_seconds()), (1 << 63) - 1)


def newest(
    rows: QuerySet[Delivery, R],
    filters: Filters,
    cursor: str | None,
    count: int,
    also: Sequence[Q] = (),
) -> list[R]:
    """The newest `count` of these rows, older than delivery `cursor`, that contain `filters.q` or meet any of `also`.

    The rows already match all other filters. Each place where a text may be, and each status of a class, is queried by
    itself, and the results are merged: one query would read every row as soon as the text is rare in one place and
    common in another, or the class is large. The quick places come first; the others need only look for what is newer
    than the results so far, and at first try only the newest of their own. When few deliveries match the other filters,
    no others are read.
    """
    rows = rows.order_by("-pk")
    rows = rows.filter(pk__lt=cursor) if cursor else rows
    if filters.q is None:
        return _merged(rows, _each_code(filters.code), count)
    some: list[Any] = list(rows.values_list("pk", flat=True)[: NEWEST + 1])
    few = some if len(some) <= FEW else None
    rows = rows if few is None else rows.filter(pk__in=few)
    near, after = some[:NEWEST], None
    sought = [*searchable.known(filters.q, near, few), *also]
    if short := few is None and searchable.is_short(filters.q):
        sought.append(searchable.among(filters.q, near).all)
    found = _merged(rows, sought, count)
    if short and len(found) == count and found[-1].pk >= near[-1]:
        return found
    for place in searchable.places(filters.q, before=cursor, few=few):
        if len(found) == count:
            after = found[-1].pk
            rows = rows.filter(pk__gt=after)
        hits = place.newest(place.first, after)
        here = _merged(rows, [Q(pk__in=hits)], count)
        if len(hits) == place.first and len(here) < count:
            here = _merged(rows, [place.all], count)
        found = _newest([*found, *here], count)
    return found


def _merged(rows: QuerySet[Delivery, R], places: Sequence[Q], count: int) -> list[R]:
    return _newest([each for place in places for each in rows.filter(place)[:count]], count)


def _newest(found: Sequence[R], count: int) -> list[R]:
    return sorted({each.pk: each for each in found}.values(), key=lambda each: each.pk, reverse=True)[:count]


def _each_code(code: str | None) -> list[Q]:
    """The statuses of a class such as 5xx that occur: the index gives the newest of each single one."""
    if code is None or not code.endswith("xx"):
        return [Q()]
    low = int(code[0]) * 100
    return [Q(last_status_code=one) for (one,) in query(_CODES, [low, low + 99, low + 99])]


# One seek per status instead of reading all its rows.
_CODES = """
WITH RECURSIVE code(n) AS (
  SELECT min(last_status_code) FROM simulator_delivery WHERE last_status_code >= %s
  UNION ALL
  SELECT (SELECT min(d.last_status_code) FROM simulator_delivery d WHERE d.last_status_code > code.n)
  FROM code WHERE code.n < %s)
SELECT n FROM code WHERE n <= %s"""
