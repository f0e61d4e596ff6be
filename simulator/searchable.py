"""The full-text index over bodies and headers: kept by the engine when it has nothing better to do. SQLite's FTS5.

A trigram index, so that any part of a text of three characters or more is found, ignoring case, like LIKE does.
One document a delivery, the text of the view `simulator_searchable`; it is made once the delivery has ended, so
that no attempt pays for it. What is not indexed yet is searched by LIKE. The headers that every request has are
left out: they are three quarters of the text, and a person searches for the rest.
"""

import re
from functools import reduce
from operator import or_

from django.db.models import Q
from django.db.models.expressions import RawSQL

from . import ids
from .rows import change, query
from .transaction import writing

GROUP = 32  # a click does not wait longer than for these
STEP = 64  # pages to merge after each, which writes ten; by itself FTS5 merges ten times as many at once
SHORTEST = 3  # characters of a trigram
MAX_ID = (1 << 63) - 1

_ENDED = "SELECT id FROM simulator_delivery WHERE NOT indexed AND due_at IS NULL"
_UNINDEXED = f"{_ENDED} ORDER BY id LIMIT %s"
_ADD = """
INSERT INTO simulator_search (rowid, text) SELECT id, text FROM simulator_searchable WHERE id IN ({ids})"""
_MERGE = "INSERT INTO simulator_search (simulator_search, rank) VALUES ('merge', %s)"
_REMOVE = """
INSERT INTO simulator_search (simulator_search, rowid, text)
SELECT 'delete', id, text FROM simulator_searchable WHERE id IN ({ids})"""
_MARK = "UPDATE simulator_delivery SET indexed = %s WHERE id IN ({ids})"


def index_some() -> bool:
    """Index a group of ended deliveries, and merge as much of the former ones; True when there were any."""
    with writing():
        ended = [id for (id,) in query(_UNINDEXED, [GROUP])]
        if ended:
            change(_with(_ADD, ended))
            change(_with(_MARK, ended), [True])
    if ended:
        with writing():
            change(_MERGE, [STEP])
    return bool(ended)


def forget(number: int) -> None:
    """Take a delivery out of the index, before its text changes or goes. Inside `writing()`."""
    if query("SELECT 1 FROM simulator_delivery WHERE id = %s AND indexed", [number]):
        change(_with(_REMOVE, [number]))
        change(_with(_MARK, [number]), [False])


def containing(text: str) -> Q:
    """Deliveries with this text in a body or header of request or response, ignoring the case of ASCII letters."""
    return reduce(or_, beside(text), indexed(text))


def indexed(text: str, *, before: int = MAX_ID) -> Q:
    """Those below the id `before` that the index knows."""
    if len(text) < SHORTEST:
        return Q(pk__in=RawSQL(f"SELECT id FROM simulator_searchable WHERE {_LIKE}", [_anywhere(text)]))
    return Q(pk__in=RawSQL(_INDEXED, [_phrase(text), before, -1]))


def hits(text: str, *, before: int, most: int) -> list[int] | None:
    """The newest `most` of them, found without reading the rest; None when the text is too short for the index."""
    if len(text) < SHORTEST:
        return None
    return [id for (id,) in query(_INDEXED, [_phrase(text), before, most])]


def beside(text: str) -> list[Q]:
    """The other places where the text may be, each a quick look-up of its own: what is not indexed yet, and the
    headers that every request has, which are known anyway or sought by their exact form."""
    like = _anywhere(text)
    places = [Q(pk__in=RawSQL(_FRESH, [like]))]
    # Looked up beforehand: a list that is mostly empty must not become a look at all rows of another filter.
    if endpoints := [id for (id,) in query(_ENDPOINTS, [like])]:
        places.append(Q(endpoint__in=endpoints))
    if text.lower() in _STANDARD:
        places.append(Q(attempt_count__gt=0))
    if number := ids.decode("dlv", text):
        places.append(Q(pk=number))
    if re.fullmatch(r"(v1=)?[0-9a-f]{10,64}", text):  # a timestamp or a part of a signature
        places.append(Q(pk__in=RawSQL(_SIGNED, [like])))
    return places


def _anywhere(text: str) -> str:
    return f"%{text.translate(_WILD)}%"


def _phrase(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


_LIKE = "text LIKE %s ESCAPE '!'"
_INDEXED = """
SELECT rowid FROM simulator_search WHERE simulator_search MATCH %s AND rowid < %s ORDER BY rowid DESC LIMIT %s"""
_FRESH = (
    "SELECT id FROM simulator_searchable "
    f"WHERE id IN ({_ENDED} UNION ALL SELECT id FROM simulator_delivery WHERE due_at IS NOT NULL) AND {_LIKE}"
)
_ENDPOINTS = f"SELECT id FROM simulator_endpoint WHERE {_LIKE.replace('text', 'url')}"
_SIGNED = "SELECT delivery_id FROM simulator_attempt WHERE request_headers LIKE %s ESCAPE '!'"
_STANDARD = """
content-type: application/json
content-length:
user-agent: ultrareach-webhooks/1.0 (simulator)
accept-encoding: identity
x-ultrareach-timestamp:
x-ultrareach-signature: v1=
x-ultrareach-event:
x-ultrareach-event-id: evt_
x-ultrareach-delivery-id: dlv_
x-ultrareach-attempt:
host:
"""
_WILD = str.maketrans({"!": "!!", "%": "!%", "_": "!_"})


def _with(sql: str, numbers: list[int]) -> str:
    return sql.replace("{ids}", ",".join(map(str, numbers)))
