"""Lists: newest first, by keyset, so that a page stays what it was while rows arrive. Knows no resource."""

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from django.core.signing import BadSignature, Signer
from django.db.models import Model, QuerySet
from ninja.params.models import Query
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from .errors import invalid
from .shapes import Json

MAX_BYTES = 8 * 1024 * 1024  # by weight in one page, which may so have fewer rows than asked for
Row = TypeVar("Row", bound=Model)


def _whole(text: object) -> object:
    """Digits only: what else Python reads as a number (`1_0`, ` 5`, `5.0`) is a mistake here."""
    if not isinstance(text, str):
        return text
    number = re.fullmatch("(-?)0*([0-9]+)", text)
    if number is None:
        raise PydanticCustomError("invalid_type", "Must be a whole number")
    return number[1] + number[2][:10]  # out of range already; Python refuses thousands of digits


Limit = Annotated[int, BeforeValidator(_whole)]
Cursor = str | None
LIMIT: Any = Query(50, ge=1, le=200, description="Maximum number of rows.")
CURSOR: Any = Query(None, max_length=200, description="`next_cursor` of the previous page.")


def newest(rows: "QuerySet[Row]", cursor: str | None, count: int) -> list[Row]:
    """The newest `count` rows older than the one that `cursor` names."""
    rows = rows.order_by("-pk")
    return list((rows.filter(pk__lt=cursor) if cursor else rows)[:count])


def page(
    rows: "QuerySet[Row]",
    limit: int,
    cursor: str | None,
    shapes: Callable[[list[Row]], list[Json]],
    weigh: Callable[[Row], int] = lambda row: 0,
    find: "Callable[[QuerySet[Row], str | None, int], list[Row]]" = newest,
) -> Json:
    """One page of the contract. `rows` need no order; `weigh` gives the bytes that showing a row will read."""
    name = rows.model._meta.model_name or ""
    found = find(rows, None if cursor is None else opened(name, cursor), limit + 1)
    shown, weight = found[:limit], 0
    for count, row in enumerate(shown):
        weight += weigh(row)
        if count and weight > MAX_BYTES:
            shown = shown[:count]
            break
    more = len(found) > len(shown)
    return listing(shapes(shown), closed(name, shown[-1].pk) if more else None)


def listing(data: list[Json], next_cursor: str | None) -> Json:
    return {"data": data, "has_more": next_cursor is not None, "next_cursor": next_cursor}


def closed(name: str, key: str) -> str:
    """The cursor after the row with this key. Signed, so that a forged one is recognised."""
    return Signer(salt=f"cursor.{name}", sep="~").sign(key)


def opened(name: str, cursor: str) -> str:
    try:
        return Signer(salt=f"cursor.{name}", sep="~").unsign(cursor)
    except BadSignature:
        raise invalid("cursor", "invalid_cursor", "Use the next_cursor of a page of this list.") from None
