"""Deliveries by how they ended, for the lists with several filters.

Of a million deliveries of a type perhaps none has also the status that is asked for, and no index of one column can
tell: one was read to its end, for half a second. Those of a kind, that is of one type and one ending, lie side by side
in the index `by_ending`, those of an endpoint in `by_endpoint_ending`, and there are only a few dozen kinds. What has
not ended is of no kind: the index `unfinished` holds all that is asked of it but the status.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from .rows import written

Condition = tuple[str, str, Any]  # column, comparison, value

# One or two seeks per kind, then the newest of each that is wanted. CROSS JOIN: SQLite keeps that order; of its own accord
# it may go through all deliveries and ask for the kind of each.
_NEWEST = """
WITH RECURSIVE kind AS (
  SELECT * FROM (
    SELECT ending, type, status, last_status_code, last_error FROM simulator_delivery
    WHERE due_at IS NULL AND {whose} ORDER BY ending, type LIMIT 1)
  UNION ALL
  SELECT d.ending, d.type, d.status, d.last_status_code, d.last_error
  FROM kind CROSS JOIN simulator_delivery d WHERE d.id = coalesce(
    (SELECT id FROM simulator_delivery
     WHERE due_at IS NULL AND {whose} AND ending = kind.ending AND type > kind.type ORDER BY type LIMIT 1),
    (SELECT id FROM simulator_delivery
     WHERE due_at IS NULL AND {whose} AND ending > kind.ending ORDER BY ending, type LIMIT 1)))
SELECT * FROM (
  SELECT value AS id FROM (SELECT * FROM kind WHERE {alike}) AS kind CROSS JOIN json_each((
    SELECT json_group_array(id) FROM (
      SELECT id FROM simulator_delivery
      WHERE due_at IS NULL AND {whose} AND ending = kind.ending AND type = kind.type AND {each}
      ORDER BY id DESC LIMIT %s)))
  UNION ALL
  SELECT * FROM (
    SELECT id FROM simulator_delivery INDEXED BY unfinished
    WHERE %s AND due_at IS NOT NULL AND {whose} AND {alike} AND {each}
    ORDER BY id DESC LIMIT %s))
ORDER BY id DESC LIMIT %s"""


def newest(
    whose: Sequence[Condition],
    alike: Sequence[Condition],
    each: Sequence[Condition],
    count: int,
    *,
    unfinished: bool,
) -> tuple[str, list[Any]]:
    """A query and its parameters, for the numbers of the newest `count` deliveries that meet all conditions: of those
    that have ended and, with `unfinished`, of the others.

    `whose`: on the endpoint, or none; `alike`: on what those of a kind have in common, that is status, type,
    last_status_code and last_error; `each`: on other columns.
    """
    whose_sql, one = _conditions(whose)
    alike_sql, two = _conditions(alike)
    each_sql, three = _conditions(each)
    sql = _NEWEST.format(whose=whose_sql, alike=alike_sql, each=each_sql)
    ended, others = [*two, *one, *three, count], [unfinished, *one, *two, *three, count]
    return sql, [*one * 3, *ended, *others, count]


def _conditions(conditions: Sequence[Condition]) -> tuple[str, list[Any]]:
    sql = " AND ".join(f"{column} {comparison} %s" for column, comparison, _ in conditions)
    values = (value for _, _, value in conditions)
    return sql or "TRUE", [written(value) if isinstance(value, datetime) else value for value in values]
