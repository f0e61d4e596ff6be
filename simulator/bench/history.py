"""A long history for the bench: finished deliveries put straight into a database, and the lists read from it.

The database must be migrated and in use by nobody: the server is stopped meanwhile.
"""

import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

from .. import catalog, ids
from ..payload import envelope
from .figures import Summary, in_ms
from .server import Client

CHUNK = 50_000
SPAN = timedelta(days=6)  # inside SIM_KEEP_DAYS, so nothing of it is pruned
BODIES = 200  # different ones; each event has its own id in it
LIST_S = 1.5  # no list is measured for longer than this
SPREAD, IDS = 2654435761, 16**11  # Knuth's hash: ids differ in their last letters, as real ones do
ABSENT, ABSENT_PAIR = "not in any body or header", "~~"

_SAMPLES = "CREATE TEMP TABLE sample (k INTEGER PRIMARY KEY, type TEXT, body TEXT)"
_PLACES = (
    "CREATE TEMP TABLE place AS SELECT row_number() OVER (ORDER BY id) - 1 AS n, id FROM simulator_endpoint"
)
# 92 of 100 deliveries succeeded, the others failed in the usual ways; endpoints and types are spread over all of them.
_MADE = """
CREATE TEMP TABLE made AS
WITH RECURSIVE number(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM number WHERE i + 1 < :end)
SELECT i, :base + ((i * :span_ms / :rows) << 22) + i AS id,
       strftime('%Y-%m-%d %H:%M:%f', (:start_ms + i * :span_ms / :rows) / 1000.0, 'unixepoch') || '000' AS at,
       k, type, body,
       place.id AS endpoint,
       CASE WHEN i % 100 < 92 THEN 'succeeded' WHEN i % 100 < 99 THEN 'failed' ELSE 'cancelled' END AS status,
       CASE WHEN i % 100 < 92 THEN 200 WHEN i % 100 < 94 THEN 503 WHEN i % 100 < 96 THEN 500
            WHEN i % 100 = 96 THEN 404 END AS code,
       CASE WHEN i % 100 < 92 THEN NULL WHEN i % 100 < 97 THEN 'status' ELSE 'refused' END AS error
FROM number JOIN sample ON k = (i / 7) % :samples JOIN place ON n = (i / 3) % :endpoints"""
_EVENTS = """
INSERT INTO simulator_event (id, type, body, created_at)
SELECT id, type, CAST(replace(body, '@id', printf('evt_%011x', i * :spread % :ids)) AS BLOB), at FROM made"""
_DELIVERIES = """
INSERT INTO simulator_delivery (id, seq, event_id, endpoint_id, type, status, trigger, lane, manual, cancelling, indexed,
  attempt_count, failed_count, last_number, last_status_code, last_error, last_duration_ms, created_at, finished_at)
SELECT id, :seq + i, id, endpoint, type, status, 'api', 1, FALSE, FALSE, TRUE,
  1, status <> 'succeeded', 1, code, error, 3.0 + i % 40, at, at FROM made"""
_ATTEMPTS = """
INSERT INTO simulator_attempt (id, delivery_id, number, trigger, status, started_at, duration_ms, phases,
  remote_address, repeated, url, request_headers, status_code, reason, response_headers, headers_dropped,
  response_body, response_size, declared_size, truncated, error, error_message, error_phase)
SELECT id, id, 1, 'automatic', CASE status WHEN 'succeeded' THEN status ELSE 'failed' END, at, 3.0 + i % 40,
  '{"connect":0.2,"send":0.1,"wait":2.4,"receive":0.1}', '127.0.0.1:3000', FALSE, 'http://127.0.0.1:3000/webhook',
  '[["content-type","application/json"],["user-agent","UltraReach-Webhooks/1.0 (simulator)"],'
  || '["x-ultrareach-timestamp","1738896900"],["x-ultrareach-signature","v1=' || lower(hex(randomblob(32)))
  || '"],["x-ultrareach-event","' || type || '"],["x-ultrareach-attempt","1"]]',
  code, iif(code, 'Some reason', NULL),
  iif(code, '[["content-type","application/json"],["server","nginx"],["content-length","17"]]', NULL), 0,
  iif(code, CAST('{"received":true}' AS BLOB), NULL), iif(code, 17, NULL), iif(code, 17, NULL), FALSE,
  error, iif(error IS NULL, NULL, 'The receiver did not take it.'), iif(error IS NULL, NULL, 'receive') FROM made"""

_MERGING = "INSERT INTO simulator_search (simulator_search, rank) VALUES ('automerge', ?)"
_INDEX = """
INSERT INTO simulator_search (rowid, text)
SELECT id, text FROM simulator_searchable WHERE id IN (SELECT id FROM made)"""

_LET_WAIT = """
UPDATE simulator_delivery SET status = 'pending', due_at = :due, finished_at = NULL, indexed = FALSE, failed_count = 1
WHERE id IN (SELECT id FROM simulator_delivery ORDER BY id DESC LIMIT :rows)"""


def seed(file: Path, rows: int, progress: Callable[[int], None]) -> None:
    """Add `rows` finished deliveries with event and attempt, spread over the last days and all endpoints there are."""
    database = sqlite3.connect(file, isolation_level=None)
    try:
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA cache_size=-400000")  # 400 MB: the full-text index is merged in it
        database.execute(_SAMPLES)
        database.executemany("INSERT INTO sample VALUES (?, ?, ?)", _samples())
        (seq,) = database.execute("SELECT coalesce(max(n), 0) FROM simulator_seq").fetchone()
        endpoints = database.execute(_PLACES).execute("SELECT count(*) FROM place").fetchone()[0]
        start = datetime.now(UTC) - SPAN
        facts = {
            "rows": rows,
            "samples": BODIES,
            "endpoints": endpoints,
            "base": ids.at(start.timestamp()),
            "start_ms": int(start.timestamp() * 1000),
            "span_ms": int((SPAN - timedelta(hours=1)).total_seconds() * 1000),
        }
        database.execute(_MERGING, [4])  # the product, too, leaves the index merged
        for first in range(0, rows, CHUNK):
            progress(first)
            _add(database, {**facts, "first": first, "end": min(first + CHUNK, rows)}, seq + 1)
        database.execute(_MERGING, [0])
    finally:
        database.close()


def let_wait(file: Path, rows: int) -> None:
    """Turn its newest `rows` deliveries into failed ones that are retried in an hour."""
    database = sqlite3.connect(file, isolation_level=None)
    try:
        due = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S.000001")
        database.execute(_LET_WAIT, {"due": due, "rows": rows})
    finally:
        database.close()


def _samples() -> list[tuple[int, str, str]]:
    rng, types = Random(7), list(catalog.BUILT_IN)
    made = []
    for k in range(BODIES):
        type = types[k % len(types)]
        body = envelope("@id", type, datetime.now(UTC), catalog.sample(type, rng))
        made.append((k, type, body.decode()))
    return made


def _add(database: sqlite3.Connection, facts: dict[str, Any], seq: int) -> None:
    database.execute("BEGIN IMMEDIATE")
    database.execute("DROP TABLE IF EXISTS made")
    database.execute(_MADE, facts)
    for statement in (_EVENTS, _DELIVERIES, _ATTEMPTS, _INDEX):
        database.execute(statement, {"seq": seq, "spread": SPREAD, "ids": IDS})
    database.execute("INSERT OR REPLACE INTO simulator_seq (id, n) VALUES (1, ?)", [seq + facts["end"]])
    database.execute("COMMIT")


def event_id(number: int) -> str:
    """The id in the body of the event with this number."""
    return f"evt_{number * SPREAD % IDS:011x}"


def filters(endpoint: str, rows: int) -> dict[str, dict[str, str]]:
    """Every filter of the list, alone and combined, by name."""
    since, until = (_iso(datetime.now(UTC) - SPAN * share) for share in (0.6, 0.4))
    return {
        "newest": {},
        "status=succeeded": {"status": "succeeded"},
        "status=failed": {"status": "failed"},
        "type": {"type": "lead.qualified"},
        "endpoint": {"endpoint": endpoint},
        "code=503": {"code": "503"},
        "code=5xx": {"code": "5xx"},
        "code=refused": {"code": "refused"},
        "since, until": {"since": since, "until": until},
        "endpoint, type, status": {"endpoint": endpoint, "type": "message.received", "status": "failed"},
        "type, code, until": {"type": "lead.qualified", "code": "404", "until": until},
        "q in most": {"q": "nginx"},
        "q in one": {"q": event_id(rows // 2)},
        "q in none": {"q": ABSENT},
        "q of two characters": {"q": ABSENT_PAIR},
        "q, status": {"q": ABSENT, "status": "failed"},
    }


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def read_lists(client: Client, endpoint: str, rows: int, requests: int) -> dict[str, Summary]:
    """How many ms the API takes for each list, and for a page in the middle, by its cursor."""
    measured, middle = {}, {"until": _iso(datetime.now(UTC) - SPAN / 2)}
    wanted = filters(endpoint, rows)
    cursor = client.api("GET", f"/deliveries?{urlencode(middle)}")["next_cursor"]
    wanted["cursor"] = {**middle, "cursor": cursor}
    for name, query in wanted.items():
        measured[name] = timed(partial(client.api, "GET", f"/deliveries?{urlencode(query)}"), requests)
    return measured


def timed(call: Callable[[], object], times: int) -> Summary:
    """How long a call takes: once to warm up, then `times` times, fewer when it is slow."""
    call()
    took: list[float] = []
    deadline = time.perf_counter() + LIST_S
    while len(took) < times and (not took or time.perf_counter() < deadline):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return in_ms(took)
