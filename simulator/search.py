"""Searching deliveries: filters read from text, and the query they make. Knows no page and no API."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any, Protocol, TypeVar

from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL

from . import endings, failures, ids, searchable
from .endings import Condition
from .models import Delivery
from .models.delivery import CANCELLED, FAILED, FINISHED, HELD, PENDING, SENDING, SUCCEEDED, DeliveryQuerySet
from .rows import query
from .sending import BadInput

RETRYING = "retrying"  # pending after an attempt, and not held: only for pages
STATUSES = (PENDING, SENDING, SUCCEEDED, FAILED, CANCELLED)
MAX_TEXT = 200
NEWEST = 1000  # how many deliveries are read for the headers that nearly every request has
# Up to so many are read one by one: the index may find far more with a frequent text. Not more than NEWEST, beyond
# which nobody looks: of that many it would not be known whether they are all.
FEW = NEWEST
MOST_APART = 50  # conditions that are asked for one by one
ONE_BY_ONE = 200  # deliveries that are read for a text, rather than asking the full-text index
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
    found = Delivery.objects.filter(*map(_as_q, [*_whose(filters), *_alike(filters), *_each(filters)]))
    if filters.status:  # only with this condition, too, are the partial indexes used
        found = found.filter(due_at__isnull=filters.status in FINISHED)
    return found


def _as_q(condition: Condition) -> Q:
    column, comparison, value = condition
    return Q((f"{column}__{_LOOKUPS[comparison]}", value))


_LOOKUPS = {"=": "exact", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


def _whose(filters: Filters) -> list[Condition]:
    return [("endpoint_id", "=", ids.decode("ep", filters.endpoint))] if filters.endpoint else []


def _alike(filters: Filters) -> list[Condition]:
    """The filters that deliveries which ended alike all meet, or none of them."""
    found: list[Condition] = []
    if filters.status:
        found.append(("status", "=", PENDING if filters.status == RETRYING else filters.status))
    if filters.type:
        found.append(("type", "=", filters.type))
    return found + _code(filters.code) if filters.code else found


def _code(code: str) -> list[Condition]:
    if code.endswith("xx"):
        low = int(code[0]) * 100
        return [("last_status_code", ">=", low), ("last_status_code", "<=", low + 99)]
    return [("last_status_code", "=", int(code)) if code.isdigit() else ("last_error", "=", code)]


def _each(filters: Filters) -> list[Condition]:
    """The others, beside endpoint and text."""
    found: list[Condition] = []
    if filters.status == RETRYING:
        found += [("attempt_count", ">", 0), ("due_at", "<", HELD)]
    if since := filters.since:
        found += [("id", ">=", _id_at(since, -_SLACK)), ("created_at", ">=", since)]
    if until := filters.until:
        # Pages and API show milliseconds: all of the last one belongs to the range.
        found.append(("created_at", "<", min(until, _LAST) + timedelta(milliseconds=1)))
        if not ids.run_ahead():
            found.append(("id", "<", _id_at(until, _SLACK)))
    return found


def _id_at(moment: datetime, slack: timedelta) -> int:
    return min(ids.at(moment.timestamp() + slack.total_seconds()), (1 << 63) - 1)


def newest(
    rows: QuerySet[Delivery, R],
    filters: Filters,
    cursor: str | None,
    count: int,
    also: Sequence[Filters] = (),
) -> list[R]:
    """The newest `count` of these rows, older than delivery `cursor`, that contain `filters.q` or meet any of `also`.

    The rows already match all other filters. Each place where a text may be is queried by itself, and the results are
    merged: one query would read every row as soon as the text is rare in one place and common in another. The quick
    places come first; the others need only look for what is newer than the results so far, and at first try only the
    newest of their own. When few deliveries match the other filters, no others are read.
    """
    rows = rows.order_by("-pk")
    rows = rows.filter(pk__lt=cursor) if cursor else rows
    by_kinds = _of_kinds(filters)
    if filters.q is None and by_kinds:  # in one statement: between two, some of them would cease to match
        return list(rows.filter(pk__in=RawSQL(*_by_kinds([filters], cursor, count))))
    if filters.q is None:
        return list(rows[:count])
    if by_kinds:
        some: list[Any] = [
            ids.encode("dlv", id) for (id,) in query(*_by_kinds([filters], cursor, NEWEST + 1))
        ]
    else:
        some = list(rows.values_list("pk", flat=True)[: NEWEST + 1])
    return _containing(filters.q, rows, filters, cursor, count, also, some)


def _containing(
    text: str,
    rows: QuerySet[Delivery, R],
    filters: Filters,
    cursor: str | None,
    count: int,
    also: Sequence[Filters],
    some: Sequence[Any],
) -> list[R]:
    few = some if len(some) <= FEW else None
    rows = rows if few is None else rows.filter(pk__in=few)
    near, after = some[:NEWEST], None
    sought, also = searchable.known(text, near, few), [*also, *_sent_to(text)]
    if few is None and len(also) <= MOST_APART:
        apart = [one for one in also if not filters.endpoint or one.endpoint in (None, filters.endpoint)]
        looked_up = [query(*_by_kinds([filters, one], cursor, count)) for one in apart]
        sought.append(Q(pk__in=[id for numbers in looked_up for (id,) in numbers]))
    else:
        sought += _any_of(also)
    if short := few is None and searchable.is_short(text):
        sought.append(searchable.among(text, near).all)
    found = _merged(rows, sought, count)
    if few is None and len(found) == count and found[-1].pk >= near[-1]:
        newer = [one for one in near if one > found[-1].pk]
        if short or len(newer) <= ONE_BY_ONE:  # the full-text index would go on to its end
            return _newest([*found, *_merged(rows, [searchable.among(text, newer).all], count)], count)
    for place in searchable.places(text, before=cursor, few=few):
        if len(found) == count:
            after = found[-1].pk
            rows = rows.filter(pk__gt=after)
        hits = place.newest(place.first, after)
        here = _merged(rows, [Q(pk__in=hits)], count)
        if len(hits) == place.first and len(here) < count:
            here = _merged(rows, [place.all], count)
        found = _newest([*found, *here], count)
    return found


def _sent_to(text: str) -> list[Filters]:
    """Of the endpoints whose URL contains the text: every request to them does, too."""
    return [Filters(endpoint=ids.encode("ep", one)) for one in searchable.endpoints(text)]


def among(text: str, few: Sequence[str], also: Sequence[Filters] = ()) -> Q:
    """Of these few deliveries, those that contain the text or match any of `also`."""
    here = [searchable.among(text, few).all, *searchable.known(text, few, few)]
    return reduce(or_, [*here, *_any_of([*also, *_sent_to(text)])])


def _any_of(several: Sequence[Filters]) -> list[Q]:
    """What matches any of these, a place for each column."""
    columns: dict[str, list[Any]] = defaultdict(list)
    for one in several:
        for column, _, value in [*_whose(one), *_alike(one)]:
            columns[column].append(value)
    return [Q((f"{column}__in", values)) for column, values in columns.items()]


def _of_kinds(filters: Filters) -> bool:
    """Whether to look by kinds: type and endpoint have an index each, for one of them alone."""
    return bool(filters.status or filters.code or filters.type and filters.endpoint)


def _by_kinds(all: Sequence[Filters], cursor: str | None, count: int) -> tuple[str, list[Any]]:
    """The query for the numbers of the newest `count` that match all of these, whatever the text. They do not name two
    endpoints."""
    whose, alike, each = (
        [condition for one in all for condition in conditions(one)] for conditions in (_whose, _alike, _each)
    )
    if cursor:
        each.append(("id", "<", ids.decode("dlv", cursor)))
    unfinished = not any(one.status in FINISHED for one in all)
    return endings.newest(whose[:1], alike, each, count, unfinished=unfinished)


def _merged(rows: QuerySet[Delivery, R], places: Sequence[Q], count: int) -> list[R]:
    return _newest([each for place in places for each in rows.filter(place)[:count]], count)


def _newest(found: Sequence[R], count: int) -> list[R]:
    return sorted({each.pk: each for each in found}.values(), key=lambda each: each.pk, reverse=True)[:count]
