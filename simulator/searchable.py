"""The full-text index over bodies and headers, kept by the engine when it has nothing else to do. SQLite's FTS5.

A trigram index: it finds any three or more characters inside a text, ignoring case, as LIKE does. One or two
characters are found through the trigrams that begin with them; each document ends with two line breaks for that.
There is one document per delivery, the text of the view `simulator_searchable`, made once the delivery has ended, so
that no attempt pays for it. What is not indexed yet is searched by LIKE. Headers that nearly every request has are
left out: they are three quarters of the text, and people search for the rest. Of the event's body and of all that
came with the attempts, the first half a million characters each are searched: indexing more would hold others up.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from django.db.models import BooleanField, Q
from django.db.models.expressions import RawSQL

from . import ids
from .rows import Rows, as_json, change, query
from .transaction import writing

GROUP = 32  # a click waits for no more than these deliveries, or so many bytes: 50 ms if they are random
GROUP_BYTES = 64 * 1024
STEP = 64  # pages to merge after each group, which writes ten; by itself FTS5 merges ten times as many
SHORTEST = 3  # characters of a trigram
MAX_ID = (1 << 63) - 1

# With about how much text each has. Only the first that wait are looked at, however many of these are too large.
_UNINDEXED = f"""
SELECT id, size FROM (
  SELECT id, (SELECT length(body) FROM simulator_event e WHERE e.id = event_id) + (
      SELECT coalesce(sum(length(request_headers) + coalesce(length(response_headers), 0)
                          + coalesce(length(response_body), 0)), 0)
      FROM simulator_attempt a WHERE a.delivery_id = simulator_delivery.id) AS size
  FROM simulator_delivery WHERE NOT indexed AND due_at IS NULL ORDER BY id LIMIT {4 * GROUP})
WHERE size <= %s ORDER BY id LIMIT %s"""
_ADD = """
INSERT INTO simulator_search (rowid, text) SELECT id, text FROM simulator_searchable WHERE id IN ({ids})"""
_MERGE = "INSERT INTO simulator_search (simulator_search, rank) VALUES ('merge', %s)"
_REMOVE = """
INSERT INTO simulator_search (simulator_search, rowid, text)
SELECT 'delete', id, text FROM simulator_searchable WHERE id IN ({ids})"""
_MARK = "UPDATE simulator_delivery SET indexed = %s WHERE id IN ({ids})"


def index_some(*, large: bool = True) -> bool:
    """Index a group of ended deliveries, then merge some of the index; True when there were any.

    A text longer than a group is indexed alone, and only with `large`: a million characters may take a second.
    """
    with writing():
        ended = _group(query(_UNINDEXED, [MAX_ID if large else GROUP_BYTES, GROUP]))
        if ended:
            change(_with(_ADD, ended))
            change(_with(_MARK, ended), [True])
    if ended:
        with writing():
            change(_MERGE, [STEP])
    return bool(ended)


def _group(unindexed: Rows) -> list[int]:
    """The first of them, and as many of the next ones as fit into a group."""
    sums = accumulate(size for _, size in unindexed)
    return [
        id for (id, size), so_far in zip(unindexed, sums, strict=True) if so_far <= max(size, GROUP_BYTES)
    ]


def forget(number: int) -> None:
    """Take a delivery out of the index, before its text changes or goes. Inside `writing()`."""
    if query("SELECT 1 FROM simulator_delivery WHERE id = %s AND indexed", [number]):
        change(_with(_REMOVE, [number]))
        change(_with(_MARK, [number]), [False])


@dataclass(frozen=True, slots=True)
class Place:
    """One place to search: the SQL `ids` selects its deliveries, newest first, above an id and up to a number.

    `first` is how many of them to try before `all`.
    """

    first: int
    ids: str
    parameters: Sequence[Any]
    all: Q

    def newest(self, most: int, after: str | None = None) -> list[int]:
        """The newest `most` of them above the id `after`, as numbers, without reading the rest."""
        return [id for (id,) in query(self.ids, [*self.parameters, _number(after, 0), most])]


def places(text: str, *, before: str | None = None, few: Sequence[str] | None = None) -> list[Place]:
    """Where a text may be in bodies and headers of deliveries below the id `before`. ASCII letters match in any case.

    To be searched in this order: a delivery that is indexed in between would otherwise be found in neither place.
    With a `few`, only these are searched outside the index.
    """
    if few is not None and is_short(text):
        return [_liked(text, "TRUE", before, few)]
    ids, words = (_BEGUN, _begun(text)) if is_short(text) else (_INDEXED, [_phrase(text)])
    indexed = [*words, _number(before, MAX_ID)]
    if few is not None:
        every = among(text, few).all
        return [_liked(text, f"({_WAITING} OR {_FRESH})", before, few), Place(2000, ids, indexed, every)]
    every = Q(pk__in=RawSQL(ids, [*indexed, 0, -1]))
    return [_liked(text, _WAITING, before), _liked(text, _FRESH, before), Place(2000, ids, indexed, every)]


def is_short(text: str) -> bool:
    """Too short for a trigram. A frequent one should be searched in the newest deliveries first: the index would read
    all it has for each trigram that begins with it."""
    return len(text) < SHORTEST


def among(text: str, few: Sequence[str]) -> Place:
    """A place like those of `places`, of a few deliveries, indexed or not."""
    return _liked(text, "TRUE", None, few)


def known(text: str, newest: Sequence[str], few: Sequence[str] | None = None) -> list[Q]:
    """Where the headers that nearly every request has contain the text, beside the URL: looked up by its exact form, or
    read, but then only among the `newest` deliveries.

    With a `few`, in no others than these.
    """
    places, like = [], _anywhere(text)
    name, _, value = text.rpartition(": ")
    sent = [_numbers(newest), _anywhere(_longest(text)), like]
    if name.lower() == "host" or any(text.lower() in header for header in _STANDARD):
        places.append(Q(RawSQL(f"{_FEW} AND {_SENT}", sent, BooleanField())))
    if name.lower() == "x-ultrareach-event":
        places.append(Q(type=value) & Q(RawSQL(_SENT, sent[1:], BooleanField())))
    if ids.decode("dlv", value):
        places.append(Q(pk=value))
    if ids.decode("evt", value):
        places.append(Q(event=value))
    if re.fullmatch(r"(v1=)?[0-9a-f]{10,64}", value):  # a timestamp or a part of a signature
        like = _anywhere(value)
        sql, parameters = (_SIGNED, [like]) if few is None else (_SIGNED_FEW, [like, _numbers(few)])
        places.append(Q(pk__in=RawSQL(sql, parameters)))
    return places


def endpoints(text: str) -> list[int]:
    """The numbers of those whose URL contains the text: it is in the headers of every request to them."""
    return [id for (id,) in query(_ENDPOINTS, [_anywhere(text)])]


def _liked(text: str, which: str, before: str | None, few: Sequence[str] | None = None) -> Place:
    """Those of `which` that contain the text. Most others are ruled out by the columns, ten times as fast as by the
    view. After a NUL, where LIKE stops, instr() goes on."""
    part, like = _longest(text), _anywhere(_longest(text))
    contained, texts = _LIKED.format(which=which), [like, part, like, like, like, part, _anywhere(text)]
    if few is not None:
        contained, texts = f"{_FEW} AND {contained}", [_numbers(few), *texts]
    newest = f"SELECT id FROM simulator_delivery WHERE {contained} AND id < %s AND id > %s ORDER BY id DESC LIMIT %s"
    return Place(200, newest, [*texts, _number(before, MAX_ID)], Q(RawSQL(contained, texts, BooleanField())))


def _anywhere(text: str) -> str:
    return f"%{text.translate(_WILD)}%"


def _longest(text: str) -> str:
    """The longest of its parts that a column holds unchanged."""
    return max(_UNCHANGED.findall(text), key=len, default="")


def _phrase(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _begun(text: str) -> list[str]:
    """The range of trigrams that begin with the text."""
    begun = "".join(map(_folded, text))
    return [begun, begun + chr(sys.maxunicode)]


def _folded(letter: str) -> str:
    """As FTS5 stores it in a trigram: one letter becomes one letter, so ς is σ and µ is μ, but İ and ß stay."""
    return next((one for one in (letter.casefold(), letter.lower()) if len(one) == 1), letter)


_UNCHANGED = re.compile(r"[A-Za-z0-9_./-]+")  # spelled alike in every column, JSON or not
_WAITING = "simulator_delivery.due_at IS NOT NULL"
_FRESH = "NOT simulator_delivery.indexed AND simulator_delivery.due_at IS NULL"
_FEW = "simulator_delivery.id IN (SELECT value FROM json_each(%s))"
_LIKE = "text LIKE %s ESCAPE '!'"
_BEHIND_NUL = "instr({0}, x'00') AND instr(lower(CAST({0} AS TEXT)), lower(%s))"
_LIKED = f"""
{{which}} AND EXISTS (
  SELECT 1 FROM simulator_event e WHERE e.id = simulator_delivery.event_id AND (
    CAST(e.body AS TEXT) LIKE %s ESCAPE '!' OR {_BEHIND_NUL.format("e.body")} OR EXISTS (
      SELECT 1 FROM simulator_attempt a WHERE a.delivery_id = simulator_delivery.id AND (
        a.request_headers LIKE %s ESCAPE '!' OR a.response_headers LIKE %s ESCAPE '!'
        OR CAST(a.response_body AS TEXT) LIKE %s ESCAPE '!' OR {_BEHIND_NUL.format("a.response_body")})))
  AND EXISTS (SELECT 1 FROM simulator_searchable s WHERE s.id = simulator_delivery.id AND s.{_LIKE}))"""
_INDEXED = """
SELECT rowid FROM simulator_search
WHERE simulator_search MATCH %s AND rowid < %s AND rowid > %s ORDER BY rowid DESC LIMIT %s"""
_BEGUN = _INDEXED.replace(
    "MATCH %s",
    """MATCH (SELECT coalesce(group_concat('"' || replace(term, '"', '""') || '"', ' OR '), '""')
                                 FROM simulator_trigrams WHERE term >= %s AND term < %s)""",
)
_ENDPOINTS = f"SELECT id FROM simulator_endpoint WHERE {_LIKE.replace('text', 'url')}"
_SENT = f"""
EXISTS (SELECT 1 FROM simulator_attempt a, json_each(a.request_headers) h
        WHERE a.delivery_id = simulator_delivery.id AND a.request_headers LIKE %s ESCAPE '!'
          AND json_extract(h.value, '$[0]') || ': ' || json_extract(h.value, '$[1]') {_LIKE.removeprefix("text ")})"""
_SIGNED = "SELECT delivery_id FROM simulator_attempt WHERE request_headers LIKE %s ESCAPE '!'"
_SIGNED_FEW = f"{_SIGNED} AND delivery_id IN (SELECT value FROM json_each(%s))"
_STANDARD = (
    "content-type: application/json",
    "content-length: ",
    "user-agent: ultrareach-webhooks/1.0 (simulator)",
    "accept-encoding: identity",
    "x-ultrareach-timestamp: ",
    "x-ultrareach-signature: v1=",
    "x-ultrareach-event: ",
    "x-ultrareach-event-id: evt_",
    "x-ultrareach-delivery-id: dlv_",
    "x-ultrareach-attempt: ",
    "host: ",
)
_WILD = str.maketrans({"!": "!!", "%": "!%", "_": "!_"})


def _number(id: str | None, otherwise: int) -> int:
    return (ids.decode("dlv", id) if id else None) or otherwise


def _numbers(few: Sequence[str]) -> str:
    """As one parameter: with one for each, every search would be another statement."""
    return as_json([_number(id, 0) for id in few])


def _with(sql: str, numbers: list[int]) -> str:
    return sql.replace("{ids}", ",".join(map(str, numbers)))
