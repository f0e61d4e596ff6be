"""The full-text index over bodies and headers: kept by the engine when it has nothing better to do. SQLite's FTS5.

A trigram index, so that any part of a text of three characters or more is found, ignoring case, like LIKE does.
One document a delivery, the text of the view `simulator_searchable`; it is made once the delivery has ended, so
that no attempt pays for it. What is not indexed yet is searched by LIKE.
"""

import json

from django.db.models import Q
from django.db.models.expressions import RawSQL

from .rows import change, query

GROUP = 64
SHORTEST = 3  # characters of a trigram

_UNINDEXED = """
SELECT id FROM simulator_delivery WHERE NOT indexed AND due_at IS NULL ORDER BY id LIMIT %s"""
_ADD = """
INSERT INTO simulator_search (rowid, text) SELECT id, text FROM simulator_searchable WHERE id IN ({ids})"""
_REMOVE = """
INSERT INTO simulator_search (simulator_search, rowid, text)
SELECT 'delete', id, text FROM simulator_searchable WHERE id IN ({ids})"""
_MARK = "UPDATE simulator_delivery SET indexed = %s WHERE id IN ({ids})"


def index_some() -> bool:
    """Index a group of ended deliveries; True when there were any. Inside `writing()`."""
    ids = [id for (id,) in query(_UNINDEXED, [GROUP])]
    if ids:
        change(_with(_ADD, ids))
        change(_with(_MARK, ids), [True])
    return bool(ids)


def forget(number: int) -> None:
    """Take a delivery out of the index, before its text changes or goes. Inside `writing()`."""
    if query("SELECT 1 FROM simulator_delivery WHERE id = %s AND indexed", [number]):
        change(_with(_REMOVE, [number]))
        change(_with(_MARK, [number]), [False])


def containing(text: str) -> Q:
    """Deliveries with this text in a body or header of request or response, ignoring the case of ASCII letters."""
    spellings = dict.fromkeys([text, json.dumps(text)[1:-1]])  # headers are stored as JSON
    likes = [f"%{spelling.translate(_WILD)}%" for spelling in spellings]
    like = " OR ".join(["text LIKE %s ESCAPE '!'"] * len(likes))
    if len(text) < SHORTEST:
        return Q(pk__in=RawSQL(f"SELECT id FROM simulator_searchable WHERE {like}", likes))
    phrases = ['"' + spelling.replace('"', '""') + '"' for spelling in spellings]
    found = RawSQL(
        "SELECT rowid FROM simulator_search WHERE simulator_search MATCH %s", [" OR ".join(phrases)]
    )
    fresh = RawSQL(
        "SELECT id FROM simulator_searchable "
        f"WHERE id IN (SELECT id FROM simulator_delivery WHERE NOT indexed) AND ({like})",
        likes,
    )
    return Q(pk__in=found) | Q(pk__in=fresh)


_WILD = str.maketrans({"!": "!!", "%": "!%", "_": "!_"})


def _with(sql: str, ids: list[int]) -> str:
    return sql.replace("{ids}", ",".join(map(str, ids)))
