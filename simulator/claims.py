"""Which deliveries are due, and the one step that makes them ours. Knows no loop and no network.

Everything here runs inside `writing()`, in the engine's own thread or, for a click, in the one that stores it. A claim
is committed before its first byte leaves: status `sending`, the attempt's number, the end of the lease in `due_at`,
the Attempt row with the request.
"""

import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F

from . import feed, ids, retry
from .lifecycle import Standing
from .models import Attempt, Delivery
from .models.attempt import AUTOMATIC, MANUAL, RECOVERY
from .models.delivery import BATCH, CLICK, HELD, NORMAL
from .rows import Rows, as_json, change_many, query, read, written
from .target import Headers, Target, Targets

log = logging.getLogger(__name__)

LANES_IN_ORDER = (CLICK, NORMAL, BATCH)
FOR_CLICKS = 10  # in flight beyond SIM_CONCURRENCY, for what a person clicked
LEASE_MARGIN_S = 45.0  # beyond the deadline, because a result may wait 30 s for a locked database

FEW = 100
_BUSY_OF_FEW = """
SELECT d.lane, e.id, e.revision FROM simulator_delivery d JOIN simulator_endpoint e ON e.id = d.endpoint_id
WHERE d.due_at <= %s LIMIT %s"""
# One seek per endpoint instead of a scan of everything that waits ("loose index scan" over the `due` index).
_BUSY_IN = """
SELECT {lane}, e.id, e.revision FROM simulator_endpoint e WHERE e.id IN (
  WITH RECURSIVE busy(id) AS (
    SELECT min(endpoint_id) FROM simulator_delivery WHERE lane = {lane} AND due_at IS NOT NULL
    UNION ALL
    SELECT (SELECT min(d.endpoint_id) FROM simulator_delivery d
            WHERE d.lane = {lane} AND d.due_at IS NOT NULL AND d.endpoint_id > busy.id)
    FROM busy WHERE busy.id IS NOT NULL)
  SELECT id FROM busy)
AND EXISTS (SELECT 1 FROM simulator_delivery d WHERE d.lane = {lane} AND d.endpoint_id = e.id AND d.due_at <= %s)"""
_BUSY = " UNION ALL ".join(_BUSY_IN.format(lane=lane) for lane in LANES_IN_ORDER)
_DUE = """
SELECT d.id, d.endpoint_id, d.lane, d.event_id, d.type, e.body, d.attempt_count, d.failed_count, d.manual,
       d.resume_at, d.last_number = d.attempt_count AND d.last_error = 'interrupted'
FROM simulator_delivery d JOIN simulator_event e ON e.id = d.event_id
WHERE d.lane = %s AND d.endpoint_id = %s AND d.due_at <= %s AND d.status = 'pending'
ORDER BY d.due_at LIMIT %s OFFSET %s"""
_TAKE = """
UPDATE simulator_delivery AS d SET seq = column1, status = 'sending', due_at = column2, attempt_count = column3
FROM ({values}) AS v WHERE d.id = column4 AND d.status = 'pending'"""
_INTENT = """
INSERT INTO simulator_attempt (id, delivery_id, number, trigger, started_at, url, request_headers,
                               status, phases, repeated, headers_dropped, truncated)
SELECT v.*, 'sending', '{}', FALSE, 0, FALSE FROM ({values}) AS v"""
_RELEASE_ATTEMPT = """
DELETE FROM simulator_attempt WHERE status = 'sending' AND id IN ({values})"""
# The endpoint may have been paused, and the delivery cancelled, since the claim. The fence is the attempt's id, not its
# number, which will be used again.
_RELEASE = f"""
UPDATE simulator_delivery AS d SET seq = column1, attempt_count = d.attempt_count - 1,
  status = CASE WHEN d.cancelling THEN 'cancelled' ELSE 'pending' END,
  due_at = CASE WHEN d.cancelling THEN NULL
                WHEN (SELECT status FROM simulator_endpoint e WHERE e.id = d.endpoint_id) = 'paused'
                THEN '{written(HELD)}' ELSE column2 END,
  finished_at = CASE WHEN d.cancelling THEN column2 END, cancelling = FALSE
FROM ({{values}}) AS v WHERE d.id = column3 AND d.status = 'sending' AND d.attempt_count = column4
  AND EXISTS (SELECT 1 FROM simulator_attempt a WHERE a.id = column5 AND a.status = 'sending')"""
_WAITING = """
SELECT d.id, d.failed_count, d.due_at, d.resume_at, e.retry_delays,
       (SELECT max(a.retry_after_used) FROM simulator_attempt a WHERE a.delivery_id = d.id)
FROM simulator_delivery d JOIN simulator_endpoint e ON e.id = d.endpoint_id
WHERE d.status = 'pending' AND d.due_at < %s AND (d.due_at > %s OR d.resume_at > %s)"""
_PULL_IN = """
UPDATE simulator_delivery AS d SET seq = column1, due_at = column2, resume_at = column3
FROM ({values}) AS v WHERE d.id = column4"""
_ANYTHING = """
SELECT EXISTS (SELECT 1 FROM simulator_delivery WHERE due_at <= %s)
    OR %s AND EXISTS (SELECT 1 FROM simulator_batch WHERE made < count AND stopped_at IS NULL)"""
_NEXT_DUE = "SELECT min(due_at) FROM simulator_delivery WHERE due_at > %s"


@dataclass(slots=True, eq=False)
class Claim:
    """One attempt that is ours to make. With a `flaw` it could not be prepared: that is recorded, nothing is sent."""

    delivery: int
    event: int
    attempt: int
    number: int
    lane: int
    trigger: str
    target: Target
    body: bytes
    standing: Standing
    headers: Headers = field(default_factory=list)
    flaw: Exception | None = None
    claimed_at: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class Room:
    """What may be claimed: attempts in all, attempts of clicks, and attempts of each endpoint.

    An endpoint may use its limit, but never all the room: only its share, and at most half of the attempts kept for
    clicks. One that is not named is at rest.
    """

    free: int
    clicks: int
    endpoints: dict[int, int]
    shares: dict[int, int] = field(default_factory=dict)  # what is left of them
    share: int = 1_000_000

    def of(self, target: Target, lane: int) -> int:
        share = self.shares.get(target.id, self.share) + (FOR_CLICKS // 2 if lane == CLICK else 0)
        return min(self.endpoints.get(target.id, target.max_in_flight), share)

    def take(self, target: Target, count: int) -> None:
        share = self.shares.get(target.id, self.share)
        self.free -= min(count, max(0, share))  # beyond its share it uses attempts kept for clicks
        self.clicks -= count
        self.endpoints[target.id] = self.endpoints.get(target.id, target.max_in_flight) - count
        self.shares[target.id] = share - count


Busy = tuple[int, int]  # the number of an endpoint with something due, and its revision


class Claims:
    """Claims due deliveries. Remembers whose turn it is among the endpoints."""

    def __init__(self, targets: Targets | None = None) -> None:
        self._targets = targets or Targets()
        self._turn = 0

    def claim(self, room: Room, now: datetime) -> list[Claim]:
        """Make as many due deliveries `sending` as there is room for: clicks before retries before batches."""
        if room.clicks <= 0:
            return []
        self._turn += 1
        busy: dict[int, list[Busy]] = {lane: [] for lane in LANES_IN_ORDER}
        for lane, number, revision in _busy(now):
            busy[lane].append((number, revision))
        found: list[tuple[Target, Any]] = []
        for lane, waiting in busy.items():
            found += self._due(lane, waiting, room, now)
        return self._take(found, now)

    def claim_new(self, deliveries: Sequence[Delivery], room: Room, now: datetime) -> dict[Delivery, Claim]:
        """Claim clicks that this transaction is about to insert, as `sending`, as far as there is room."""
        claims = {}
        for delivery in deliveries:
            event, endpoint = delivery.event, delivery.endpoint
            target = self._targets.of(ids.decode("ep", endpoint.pk) or 0, endpoint.revision)
            if target.sends and min(room.clicks, room.of(target, CLICK)) > 0:
                room.take(target, 1)
                numbers = (ids.decode("dlv", delivery.pk), target.id, CLICK, ids.decode("evt", event.pk))
                row = (*numbers, event.type, event.body, 0, 0, False, None, False)
                claims[delivery] = prepared(target, row, ids.new(), now)
        at = written(now)
        intend(intent(claim, at) for claim in claims.values())
        return claims

    def _due(self, lane: int, waiting: list[Busy], room: Room, now: datetime) -> list[tuple[Target, Any]]:
        """The due rows of one lane, endpoint by endpoint; what one leaves of its share the others may use."""
        found: list[tuple[Target, Any]] = []
        free = room.clicks if lane == CLICK else room.free
        turn = self._turn % max(1, len(waiting))
        waiting = waiting[turn:] + waiting[:turn]
        seen = dict.fromkeys((number for number, _ in waiting), 0)
        while free > 0 and waiting:
            share, hungry = max(1, free // len(waiting)), []
            self._targets.prepare(waiting[:free])
            for number, revision in waiting:
                if free <= 0:
                    break
                target = self._targets.of(number, revision)
                wanted = min(share, free, room.of(target, lane)) if target.sends else 0
                if wanted <= 0:
                    continue
                rows = query(_DUE, [lane, number, written(now), wanted, seen[number]])
                found += [(target, row) for row in rows]
                free, seen[number] = free - len(rows), seen[number] + len(rows)
                room.take(target, len(rows))
                if len(rows) == wanted:
                    hungry.append((number, revision))
            waiting = hungry
        return found

    def _take(self, found: list[tuple[Target, Any]], now: datetime) -> list[Claim]:
        if not found:
            return []
        attempts = ids.new_many(len(found))
        claims = [
            prepared(target, row, attempt, now)
            for (target, row), attempt in zip(found, attempts, strict=True)
        ]
        leases = {target.id: lease(target, now) for target, _ in found}
        pairs = zip(feed.take(len(claims)), claims, strict=True)
        change_many(_TAKE, ((seq, leases[c.target.id], c.number, c.delivery) for seq, c in pairs))
        at = written(now)
        intend([intent(claim, at) for claim in claims])
        feed.announce()
        return claims


def _busy(now: datetime) -> list[tuple[int, int, int]]:
    """Lane, endpoint and revision of all that is due, in lane order: few are read directly, many by endpoint."""
    at = written(now)
    due = query(_BUSY_OF_FEW, [at, FEW])
    return sorted({*(due if len(due) < FEW else query(_BUSY, [at] * len(LANES_IN_ORDER)))})


def lease(target: Target, now: datetime) -> Any:
    """Until when nobody else may take over an attempt claimed now, as a column holds it."""
    return written(now + timedelta(seconds=target.timeout + LEASE_MARGIN_S))


def prepared(target: Target, row: Any, attempt: int, now: datetime) -> Claim:
    """The claim of a due row (as `_DUE` selects it) with its headers, signed now. Asks no database."""
    delivery, _, lane, event, type, body, count, failed, manual, resume_at, recovers = row
    claim = Claim(
        delivery=delivery,
        event=event,
        attempt=attempt,
        number=count + 1,
        lane=lane,
        trigger=MANUAL if manual else RECOVERY if recovers else AUTOMATIC,
        target=target,
        body=bytes(body),
        standing=Standing(target.delays, failed, bool(manual), read(resume_at)),
    )
    try:
        event_id, delivery_id = ids.encode("evt", event), ids.encode("dlv", delivery)
        claim.headers = target.headers(event_id, type, delivery_id, claim.number, claim.body, now)
    except Exception as flaw:  # a bug, or a row that should never have been saved: no other claim may suffer
        log.exception("An attempt of %s could not be prepared", delivery_id)
        claim.flaw = flaw
    return claim


def intent(claim: Claim, at: str | None) -> tuple[Any, ...]:
    """The row of its attempt, for `intend`; `at` is now, as a column holds it."""
    headers = as_json(claim.headers)
    return claim.attempt, claim.delivery, claim.number, claim.trigger, at, claim.target.url, headers


def intend(intents: Iterable[tuple[Any, ...]]) -> None:
    """Store the attempts before their first byte leaves."""
    change_many(_INTENT, intents)


def release(claims: Iterable[Claim], now: datetime) -> None:
    """Give back claims of which no byte was sent: the attempt is deleted, the delivery is due at once."""
    claims = list(claims)
    if not claims:
        return
    pairs = zip(feed.take(len(claims)), claims, strict=True)
    change_many(_RELEASE, ((seq, written(now), c.delivery, c.number, c.attempt) for seq, c in pairs))
    change_many(_RELEASE_ATTEMPT, ((claim.attempt,) for claim in claims))
    feed.announce(due=True)


def shift(seconds: float) -> None:
    """The wall clock was set: move what waits along with it, so that every wait and lease stays as long as it was."""
    waiting, moved = Delivery.objects.filter(status="pending", due_at__lt=HELD), timedelta(seconds=seconds)
    feed.stamp(waiting.values_list("pk", flat=True))
    for moving in (waiting, Delivery.objects.filter(status="sending")):
        moving.update(due_at=F("due_at") + moved, resume_at=F("resume_at") + moved)


def shift_standing(out: Iterable[Claim], seconds: float) -> None:
    """The same for manual attempts under way: the time at which the retries resume. Asks no database."""
    for claim in out:
        if claim.standing.resume_at:
            moved = claim.standing.resume_at + timedelta(seconds=seconds)
            claim.standing = claim.standing._replace(resume_at=moved)


def clock_set_back(now: datetime) -> float:
    """Seconds (≥ 0) by which the clock was set back while we were off: how far the newest row lies in the future."""
    newest = [
        Delivery.objects.order_by("-id").values_list("created_at", flat=True).first(),
        Attempt.objects.order_by("-id").values_list("started_at", flat=True).first(),
    ]
    return max([0.0, *((moment - now).total_seconds() for moment in newest if moment)])


def pull_in(now: datetime, scale: float) -> None:
    """The clock was set back while we were off: let nothing wait longer than its own delay. Twice does no harm."""
    waiting: Rows = query(_WAITING, [written(HELD), written(now), written(now)])
    pulled = []
    for seq, row in zip(feed.take(len(waiting)), waiting, strict=True):
        delivery, failed, due_at, resume_at, delays, asked = row
        delay = retry.wait_after(failed, json.loads(delays), scale=scale) if failed else None
        latest = now + timedelta(seconds=max(delay or 0, asked or 0))
        moments = [moment and written(min(moment, latest)) for moment in (read(due_at), read(resume_at))]
        pulled.append((seq, *moments, delivery))
    change_many(_PULL_IN, pulled)
    feed.announce()


def next_due(now: datetime) -> datetime | None:
    """When the next delivery becomes due after `now`; held ones are due in the year 9999."""
    found: Rows = query(_NEXT_DUE, [written(now)])
    return read(found[0][0])


def anything(now: datetime, *, bulk: bool) -> bool:
    """Whether a turn has work to do: something is due, or a batch is open and may go on (`bulk`).

    One query, outside of any transaction: inside one, the loop would stand still while another thread stores a click.
    """
    found: Rows = query(_ANYTHING, [written(now), bulk])
    return bool(found[0][0])


def unfinished() -> bool:
    """Something is still to be sent: pending or in flight, and not held by a paused endpoint."""
    waiting = "SELECT 1 FROM simulator_delivery WHERE due_at < %s LIMIT 1"
    unmade = "SELECT 1 FROM simulator_batch WHERE made < count AND stopped_at IS NULL LIMIT 1"
    return bool(query(waiting, [written(HELD)]) or query(unmade))
