"""What a crash loop must not have done: three sources that do not know of each other, compared line by line.

The producer's 202s, the receiver's log and the database as it lies on the disk. Uses no code of the product.
"""

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


DELIVERIES = """
SELECT e.id, e.body, e.batch_id, d.status, d.attempt_count
FROM simulator_delivery d JOIN simulator_event e ON e.id = d.event_id WHERE d.endpoint_id = ?"""
ATTEMPTS = """
SELECT d.event_id, a.number, a.status, a.status_code, a.repeated
FROM simulator_attempt a JOIN simulator_delivery d ON d.id = a.delivery_id WHERE d.endpoint_id = ?"""


def number(public_id: str) -> int:
    """`evt_0Ab1…` → the id in the database."""
    value = 0
    for letter in public_id.partition("_")[2]:
        value = value * 62 + ALPHABET.index(letter)
    return value


@dataclass(frozen=True)
class Seen:
    """One line of the receiver's log."""

    event: int
    attempt: int
    genuine: bool
    status: int
    sha256: str
    at: float


@dataclass
class Evidence:
    """`accepted` are the events that got a 202, `batches` the promised counts by batch."""

    accepted: list[int]
    batches: dict[int, int]
    seen: list[Seen]
    events: dict[int, tuple[str, int | None]] = field(default_factory=dict)  # sha256 of the body, batch
    deliveries: dict[int, tuple[str, int]] = field(default_factory=dict)  # by event: status, attempt count
    attempts: dict[int, dict[int, tuple[str, int | None, bool]]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, accepted: list[str], batches: dict[str, int], log: Path, database: Path, endpoint: str
    ) -> "Evidence":
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        seen = [Seen(number(event), *rest) for event, *rest in lines]
        found = cls([number(one) for one in accepted], {number(k): n for k, n in batches.items()}, seen)
        found._read(database, number(endpoint))
        return found

    def _read(self, database: Path, endpoint: int) -> None:
        made: defaultdict[int, dict[int, tuple[str, int | None, bool]]] = defaultdict(dict)
        with closing(sqlite3.connect(database)) as rows:
            for event, body, batch, status, count in rows.execute(DELIVERIES, [endpoint]):
                self.events[event] = hashlib.sha256(body).hexdigest(), batch
                self.deliveries[event] = status, count
            for event, attempt, status, code, repeated in rows.execute(ATTEMPTS, [endpoint]):
                made[event][attempt] = status, code, bool(repeated)
        self.attempts = made


def violations(found: Evidence, *, in_flight_at_kills: int) -> dict[str, list[str]]:
    """Every broken promise with its cases; empty when all were kept. At most `in_flight_at_kills` duplicates."""
    broken: dict[str, list[str]] = {}
    for check in CHECKS:
        if cases := list(check(found)):
            broken[check.__name__.strip("_").replace("_", " ")] = cases
    if (count := duplicates(found)) > in_flight_at_kills:
        broken["duplicates"] = [f"{count} of at most {in_flight_at_kills}"]
    return broken


def duplicates(found: Evidence) -> int:
    """2xx beyond the first of each event."""
    answered = Counter(seen.event for seen in found.seen if seen.status == 200)
    return sum(answered.values()) - len(answered)


def _lost(found: Evidence) -> Iterator[str]:
    """Accepted, and never answered 2xx."""
    delivered = {seen.event for seen in found.seen if seen.status == 200}
    for event in {*found.accepted, *found.events}:
        if event not in delivered or event not in found.events:
            yield f"event {event} ({found.deliveries.get(event)})"
    made = Counter(batch for _, batch in found.events.values())
    for batch, promised in found.batches.items():
        if made[batch] != promised:
            yield f"batch {batch}: {made[batch]} of {promised}"


def _stuck(found: Evidence) -> Iterator[str]:
    """Nothing of what the receiver did is a reason not to succeed in the end."""
    for event, (status, count) in found.deliveries.items():
        if status != "succeeded":
            yield f"event {event}: {status} after {count} attempts"


def _unheard_of(found: Evidence) -> Iterator[str]:
    """Events that nobody was told of: a repeat after a lost 202 made a second one."""
    for event, (_, batch) in found.events.items():
        if batch not in found.batches and event not in found.accepted:
            yield f"event {event}"


def _bad_signature(found: Evidence) -> Iterator[str]:
    return (f"{seen}" for seen in found.seen if not seen.genuine)


def _other_bytes(found: Evidence) -> Iterator[str]:
    """What arrived is not what is stored."""
    for seen in found.seen:
        stored, _ = found.events.get(seen.event, (None, None))
        if stored != seen.sha256:
            yield f"{seen}"


def _sent_twice(found: Evidence) -> Iterator[str]:
    """The same attempt number twice at the receiver, but for the recorded repeat on a fresh connection."""
    for (event, attempt), count in Counter((seen.event, seen.attempt) for seen in found.seen).items():
        repeated = found.attempts.get(event, {}).get(attempt, ("", None, False))[2]
        if count > 1 + repeated:
            yield f"event {event} attempt {attempt}: {count} times"


def _gap(found: Evidence) -> Iterator[str]:
    for event, (_, count) in found.deliveries.items():
        if sorted(found.attempts.get(event, {})) != list(range(1, count + 1)):
            yield f"event {event}: {sorted(found.attempts.get(event, {}))} of {count}"


def _sent_without_intent(found: Evidence) -> Iterator[str]:
    """Intent before bytes: what arrived is an attempt in the database."""
    for seen in found.seen:
        if seen.attempt not in found.attempts.get(seen.event, {}):
            yield f"{seen}"


def _untrue(found: Evidence) -> Iterator[str]:
    """An attempt that claims an answer which the receiver did not give, or that is still open."""
    given = {(seen.event, seen.attempt): seen.status for seen in found.seen}
    for event, attempts in found.attempts.items():
        for attempt, (status, code, _) in attempts.items():
            answered = given.get((event, attempt))
            honest = {
                "succeeded": code == answered == 200,
                "failed": code == answered and code in (500, 503),
                "interrupted": code is None,
            }
            if not honest.get(status):
                yield f"event {event} attempt {attempt}: {status} {code}, the receiver said {answered}"


def _gone_on(found: Evidence) -> Iterator[str]:
    """A success is the end: no attempt after it, and exactly one of it."""
    for event, attempts in found.attempts.items():
        won = [attempt for attempt, (status, *_) in attempts.items() if status == "succeeded"]
        if won and won != [max(attempts)]:
            yield f"event {event}: {won} of {max(attempts)} succeeded"


def _needless_duplicate(found: Evidence) -> Iterator[str]:
    """Twice 2xx, although no attempt of it was cut off."""
    answered = Counter(seen.event for seen in found.seen if seen.status == 200)
    for event, count in answered.items():
        cut_off = sum(status == "interrupted" for status, *_ in found.attempts.get(event, {}).values())
        if count > 1 + cut_off:
            yield f"event {event}: {count} times, {cut_off} cut off"


CHECKS = (
    _lost,
    _stuck,
    _unheard_of,
    _bad_signature,
    _other_bytes,
    _sent_twice,
    _gap,
    _sent_without_intent,
    _untrue,
    _gone_on,
    _needless_duplicate,
)
