"""Raw SQL for the hot path: queries, groups of changes, moments as the database writes them. Knows no table.

A group is one statement with a VALUES list, not `executemany`: SQLite gives up the GIL once for the whole group
instead of once per row; getting it back from the sending loop each time made a row 5 times slower.
Its driver binds numbers, texts and `bytearray` in a tenth of a microsecond, but first offers None, bool and bytes to
adapters, which takes five to ten times as long. So rows of the hot path avoid these where they can.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from pydantic_core import to_json

Rows = list[tuple[Any, ...]]
GROUP = 128


def as_json(value: Any) -> str:
    """JSON for a column or a frame, compact. By pydantic's encoder: the standard one takes three times as long."""
    return to_json(value).decode()


def query(sql: str, parameters: Sequence[Any] = ()) -> Rows:
    """All rows of a SELECT, or of a change with RETURNING."""
    connection = _connection()
    with connection.wrap_database_errors:  # any row may be on a damaged page
        found: Rows = connection.connection.execute(_marked(sql), parameters).fetchall()
        return found


def change(sql: str, parameters: Sequence[Any] = ()) -> int:
    """One INSERT, UPDATE or DELETE; returns how many rows it touched."""
    return _execute(_marked(sql), parameters)


def change_many(sql: str, groups: Iterable[Sequence[Any]]) -> int:
    """One change for many rows of parameters, which replace `{values}` in the SQL as `column1`, `column2`, ….

    Returns how many rows were touched in all.
    """
    touched, rest = 0, list(groups)
    while rest:
        size = min(GROUP, 1 << len(rest).bit_length() - 1)
        group, rest = rest[:size], rest[size:]
        values = list(chain.from_iterable(group))
        touched += _execute(_with_values(sql, size, len(group[0])), values)
    return touched


def _execute(sql: str, parameters: Sequence[Any]) -> int:
    """Bypass Django's cursor, which would look for placeholders in a whole group at each call."""
    connection = _connection()
    with connection.wrap_database_errors:
        return int(connection.connection.execute(sql, parameters).rowcount)


def _connection() -> Any:
    connection = connections[DEFAULT_DB_ALIAS]
    connection.ensure_connection()
    return connection


@lru_cache(maxsize=256)
def _marked(sql: str) -> str:
    """With SQLite's own placeholders instead of Django's."""
    return sql.replace("%s", "?").replace("%%", "%")


@lru_cache(maxsize=256)
def _with_values(sql: str, rows: int, columns: int) -> str:
    row = f"({','.join('?' * columns)})"
    return _marked(sql).replace("{values}", f"VALUES {','.join([row] * rows)}")


def written(moment: datetime | None) -> str | None:
    """A moment (in UTC) as a column holds it. Django's own adapter takes 9 µs, and an attempt needs five moments."""
    return None if moment is None else moment.isoformat(" ", "microseconds")[:26]


def written_at(timestamp: float) -> str:
    """The same for unix seconds (≥ 0), cut off below the microsecond. Costs a third: each second is formatted only once."""
    return f"{_second(int(timestamp))}.{int(timestamp % 1 * 1_000_000):06}"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ")[:19]


def read(column: Any) -> datetime | None:
    """The moment a column holds, in UTC whatever the driver made of it."""
    moment = datetime.fromisoformat(column) if isinstance(column, str) else column
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment
