"""Everything that can happen to deliveries, in any order, without network and loop: Hypothesis looks for the order.

The engine's steps run against the real database, each example in a transaction of its own; the clock is the test's.
"""

import hashlib
import hmac
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from simulator import claims, results
from simulator.batches import Batches
from simulator.claims import Claim, Claims, Room
from simulator.ledger import Ledger
from simulator.models import Attempt, Batch, Delivery, Endpoint, Event
from simulator.models.delivery import HELD, NotNow
from simulator.outcome import Outcome
from simulator.results import Result
from simulator.transaction import writing

pytestmark = pytest.mark.long

START = datetime(2026, 3, 29, tzinfo=UTC)
CONCURRENCY, CLICKS = 4, 2
LONGEST_WAIT = timedelta(hours=1)  # of Retry-After; the timetables of the machine are shorter
TIMEOUT = 15
FINISHED = ("succeeded", "failed", "cancelled")
SHOWN = ("status", "attempt_count", "finished_at", "last_number", "last_status_code", "last_error")
# By hand: SIM_TEST_EXAMPLES=2000
EXAMPLES = int(os.environ.get("SIM_TEST_EXAMPLES", "150" if os.environ.get("CI") == "true" else "50"))

Rows = dict[str, dict[str, Any]]
which = st.integers(0, 7)


def shown(row: dict[str, Any]) -> list[Any]:
    """What people see of a delivery; of one in flight `due_at` is the lease, which they do not."""
    return [row[name] for name in SHOWN] + [row["status"] == "pending" and row["due_at"]]


class Deliveries(RuleBasedStateMachine):
    """`out` are the claims that the engine has out, with their starts; `past` those that were taken from it."""

    def __init__(self) -> None:
        super().__init__()
        self.block = transaction.atomic()
        self.block.__enter__()
        self.travel = time_machine.travel(START, tick=False)
        self.clock = self.travel.start()
        self.out: dict[Claim, tuple[float, float]] = {}  # by the wall clock, and by a clock that nobody sets
        self.past: list[Claim] = []
        self.elapsed = 0.0
        self.claims, self.batches = Claims(), Batches()
        self.events: set[str] = set()
        self.secrets: dict[str, list[tuple[str, datetime]]] = {}
        self.before: dict[str, dict[str, Any]] = {}
        self.seq = 0
        self.set_back = False

    def teardown(self) -> None:
        self.travel.stop()
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)

    @initialize(limit=st.integers(1, 3))
    def register(self, limit: int) -> None:
        for number in range(2):
            url = f"http://127.0.0.1:{9000 + number}/"
            endpoint = Endpoint.register(
                url=url, events=["*"], max_in_flight=limit, timeout=TIMEOUT, retry_delays=[2, 4]
            )
            self.secrets[endpoint.pk] = [(endpoint.current_secret(), datetime.max.replace(tzinfo=UTC))]

    # --- what people and programs do

    @rule(to=which, trigger=st.sampled_from(["test", "api"]), body=st.binary(max_size=20))
    def accept(self, to: int, trigger: str, body: bytes) -> None:
        endpoint = self.endpoint(to)
        if not endpoint.deleted_at:
            event, _ = Event.accept("lead.qualified", body, endpoints=[endpoint], trigger=trigger)
            self.events.add(event.pk)

    @rule(count=st.integers(1, 4), to=which)
    def start_batch(self, count: int, to: int) -> None:
        Batch.start("lead.qualified", count, [self.endpoint(to).pk])

    @rule(to=which, how=st.sampled_from(["pause", "resume", "pause", "resume", "remove"]))
    def switch(self, to: int, how: str) -> None:
        self.changed(to, lambda endpoint: getattr(endpoint, how)())

    @rule(to=which, delays=st.sampled_from([[], [0], [2, 4], [600]]), limit=st.integers(1, 3))
    def edit(self, to: int, delays: list[float], limit: int) -> None:
        self.changed(to, lambda endpoint: endpoint.change(retry_delays=delays, max_in_flight=limit))

    @rule(to=which, overlap=st.sampled_from([0, 60, 86_400]))
    def rotate(self, to: int, overlap: int) -> None:
        secrets = self.secrets[self.endpoint(to).pk]
        if rotated := self.changed(to, lambda endpoint: endpoint.rotate_secret(overlap_seconds=overlap)):
            value, end = rotated
            secrets[:] = [(value, datetime.max.replace(tzinfo=UTC)), (secrets[0][0], end)]

    def changed(self, to: int, step: Callable[[Endpoint], Any]) -> Any:
        """What the step returned; of a deleted endpoint nothing can be changed any more."""
        endpoint = self.endpoint(to)
        if not endpoint.deleted_at:
            return step(endpoint)
        with pytest.raises(Endpoint.DoesNotExist):
            step(endpoint)
        return None

    @precondition(lambda self: self.before)
    @rule(one=which, how=st.sampled_from(["retry", "cancel", "resend"]))
    def ask(self, one: int, how: str) -> None:
        delivery = Delivery.objects.order_by("-id")[one % min(8, len(self.before))]
        try:
            getattr(delivery, how)()
        except NotNow:
            pass

    # --- what the engine does

    @rule()
    def turn(self) -> None:
        """What one turn of the engine does when no attempt has ended."""
        now, room = timezone.now(), self.room()
        births = self.batches.draw_up(room, now)
        with writing():
            results.reclaim(now)
            taken = self.claims.claim(room, now)
            taken += self.batches.make(births, room, now)
        self.taken_from_the_engine()
        for claim in taken:
            self.check_signature(claim, now)
            self.out[claim] = now.timestamp(), self.elapsed
        assert len(self.out) <= CONCURRENCY + CLICKS
        assert sum(claim.lane > 0 for claim in taken) <= CONCURRENCY

    @precondition(lambda self: self.out)
    @rule(one=which)
    def succeed(self, one: int) -> None:
        self.end(one, status_code=200)

    @precondition(lambda self: self.out)
    @rule(
        one=which,
        code=st.sampled_from([None, 404, 410, 429, 500, 503]),
        asked=st.sampled_from([None, "0", "30", "1e309", "999999", "soon"]),
    )
    def fail(self, one: int, code: int | None, asked: str | None) -> None:
        self.end(one, status_code=code, error="status" if code else "refused", retry_after=asked)

    @precondition(lambda self: self.out)
    @rule(one=which)
    def stumble(self, one: int) -> None:
        self.end(one, error="internal_error", message="!")

    @precondition(lambda self: self.out)
    @rule(one=which)
    def release(self, one: int) -> None:
        claim, _ = self.taken(one)
        with writing():
            claims.release([claim], timezone.now())

    @precondition(lambda self: self.out)
    @rule(one=which)
    def cut_off(self, one: int) -> None:
        claim, _ = self.taken(one)
        with writing():
            results.interrupt_claims([claim], timezone.now())

    @precondition(lambda self: self.past)
    @rule(one=which)
    def come_late(self, one: int) -> None:
        """A result whose delivery went on without it changes nothing."""
        before = self.rows()
        self.record(self.past[one % len(self.past)], Outcome(timezone.now().timestamp(), status_code=200))
        assert self.rows() == before

    @rule(meanwhile=st.sampled_from([0, 0, -3600, 86_400]))
    def crash(self, meanwhile: float) -> None:
        """And by how much the clock is set until the next start: nobody is there to notice."""
        self.set_back |= meanwhile < 0
        self.clock.shift(meanwhile)
        self.past += self.out
        self.out.clear()
        self.claims, self.batches = Claims(), Batches()
        Ledger(Path(connection.settings_dict["NAME"]), 1.0).recover()

    # --- what time does

    @rule(seconds=st.sampled_from([0.5, 3, 20, 70, 3600]))
    def pass_time(self, seconds: float) -> None:
        self.elapsed += seconds
        self.clock.shift(seconds)

    @rule(seconds=st.sampled_from([3600, -3600, 86_400]))
    def set_clock(self, seconds: float) -> None:
        """The engine notices at its next turn, before anything else."""
        self.set_back |= seconds < 0
        self.clock.shift(seconds)
        with writing():
            claims.shift(seconds)
        claims.shift_standing(self.out, seconds)

    # --- what must hold

    @invariant()
    def every_promise_is_kept(self) -> None:
        rows = self.rows()
        self.nothing_is_lost(rows)
        self.every_state_has_its_way_out(rows)
        self.attempts_are_numbered_and_end_with_a_success(rows)
        self.what_is_seen_to_change_has_a_higher_seq(rows)

    def nothing_is_lost(self, rows: Rows) -> None:
        assert self.events <= {row["event"] for row in rows.values()}
        assert self.before.keys() <= rows.keys()

    def every_state_has_its_way_out(self, rows: Rows) -> None:
        now, mine = timezone.now(), {claim.delivery: claim.number for claim in self.out}
        for row in rows.values():
            status, due_at = row["status"], row["due_at"]
            if status in FINISHED:
                assert due_at is None and row["finished_at"] and not row["cancelling"], row
            elif status == "sending":
                assert mine.pop(claims.ids.decode("dlv", row["id"])) == row["attempt_count"], row
                assert due_at is not None, row
            else:
                assert status == "pending" and row["endpoint__deleted_at"] is None, row
                held = row["endpoint__status"] == "paused"
                assert due_at == HELD if held else due_at <= now + LONGEST_WAIT, row
                assert held or not row["resume_at"] or row["resume_at"] <= now + LONGEST_WAIT, row
        assert not mine, "a claim that is out, but not in the database"

    def attempts_are_numbered_and_end_with_a_success(self, rows: Rows) -> None:
        made: dict[str, list[str]] = {id: [] for id in rows}
        for delivery, number, status in Attempt.objects.order_by("number").values_list(
            "delivery", "number", "status"
        ):
            made[delivery].append(status)
            assert len(made[delivery]) == number, f"{delivery}: a gap before {number}"
        for id, statuses in made.items():
            assert len(statuses) == rows[id]["attempt_count"], rows[id]
            assert "succeeded" not in statuses[:-1] and "sending" not in statuses[:-1], statuses
            assert (statuses[-1:] == ["sending"]) == (rows[id]["status"] == "sending"), rows[id]
            assert (statuses[-1:] == ["succeeded"]) == (rows[id]["status"] == "succeeded"), rows[id]

    def what_is_seen_to_change_has_a_higher_seq(self, rows: Rows) -> None:
        for id, row in rows.items():
            known = self.before.get(id)
            if known is None or shown(row) != shown(known):
                assert row["seq"] > self.seq, f"{known} → {row}"
        self.before = rows
        self.seq = max((row["seq"] for row in rows.values()), default=0)

    # --- helpers

    def endpoint(self, which: int) -> Endpoint:
        return Endpoint.objects.get(pk=list(self.secrets)[which % len(self.secrets)])

    def rows(self) -> Rows:
        columns = (
            "id",
            "seq",
            "event",
            "cancelling",
            "endpoint__status",
            "endpoint__deleted_at",
            "due_at",
            "resume_at",
            *SHOWN,
        )
        return {row["id"]: row for row in Delivery.objects.values(*columns)}

    def room(self) -> Room:
        busy: dict[int, int] = {}
        for claim in self.out:
            target = claim.target
            busy[target.id] = busy.get(target.id, target.max_in_flight) - 1
        free = CONCURRENCY - len(self.out)
        return Room(free=free, clicks=free + CLICKS, endpoints=busy)

    def taken(self, which: int) -> tuple[Claim, tuple[float, float]]:
        claim = list(self.out)[which % len(self.out)]
        return claim, self.out.pop(claim)

    def end(self, which: int, **outcome: Any) -> None:
        claim, (began, since) = self.taken(which)
        self.record(claim, Outcome(began, duration_ms=(self.elapsed - since) * 1000, **outcome))

    def record(self, claim: Claim, outcome: Outcome) -> None:
        with writing():
            results.record([Result(claim, outcome)], 1.0)

    def taken_from_the_engine(self) -> None:
        """A lease ends only when the attempt is long over."""
        sending = dict(Delivery.objects.filter(status="sending").values_list("pk", "attempt_count"))
        for claim, (_, since) in tuple(self.out.items()):
            if sending.get(claims.ids.encode("dlv", claim.delivery)) != claim.number:
                assert self.elapsed > since + TIMEOUT, "taken from the engine while in flight"
                del self.out[claim]
                self.past.append(claim)

    def check_signature(self, claim: Claim, now: datetime) -> None:
        """Signed with the secrets valid now, newest first. After the clock was set back, older ones are neither sure nor harm."""
        headers, secrets = dict(claim.headers), self.secrets[claims.ids.encode("ep", claim.target.id)]
        signed = headers["x-ultrareach-timestamp"].encode() + b"." + claim.body
        made = [
            "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
            for secret, end in secrets
            if now < end
        ]
        signatures = headers["x-ultrareach-signature"].split(",")
        assert signatures[:1] == made[:1]
        assert signatures == made or self.set_back
        assert headers["x-ultrareach-timestamp"] == str(int(now.timestamp()))


@pytest.mark.django_db
def test_no_order_of_events_breaks_a_promise(caplog: pytest.LogCaptureFixture):
    caplog.set_level("CRITICAL", "simulator")  # late results and stumbles are what is tried here
    run_state_machine_as_test(
        Deliveries,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=50,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            phases=[Phase.generate, Phase.shrink],
        ),
    )
