"""Bugs and stages for a server under test: replaces parts of the product in that process, named by PLANTED.

The product has no switch for any of this. `Server(…, **planted("no_recovery"))` starts one with it.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from django.apps import AppConfig


def planted(name: str, **env: str) -> dict[str, str]:
    """The environment that starts a server with this in it."""
    return {"DJANGO_SETTINGS_MODULE": "tests.faults.planted_settings", "PLANTED": name, **env}


class Planted(AppConfig):
    name = "tests.faults"
    label = "planted"

    def ready(self) -> None:
        PLANTS[os.environ["PLANTED"]]()


def no_recovery() -> None:
    """What a killed process left behind stays as it is."""
    from simulator import results

    results.recover = lambda now, *, stopping=False: None


def accepted_before_commit() -> None:
    """The 202 leaves while the event is still only in memory."""
    from simulator import feed
    from simulator.models import Delivery, Event
    from simulator.transaction import writing

    def accept(cls: Any, type: str, body: bytes, *, endpoints: Any, trigger: str, event_id: str, **_: Any):
        event = cls(pk=event_id, type=type, body=body)
        deliveries = [Delivery.new(event, endpoint, trigger=trigger) for endpoint in endpoints]
        for delivery in deliveries:
            delivery.seq = 0

        def commit() -> None:
            time.sleep(0.1)
            with writing():
                event.save(force_insert=True)
                for delivery, seq in zip(deliveries, feed.take(len(deliveries)), strict=True):
                    delivery.seq = seq
                Delivery.objects.bulk_create(deliveries)
                feed.announce(due=True)

        threading.Thread(target=commit, daemon=True).start()
        return event, deliveries

    Event.accept = classmethod(accept)


def recorded_before_sent() -> None:
    """A success is written down first and sent then."""
    from simulator.engine import Engine
    from simulator.outcome import Outcome
    from simulator.results import Result

    send = Engine._send

    async def early(self: Engine, claim: Any) -> Outcome:
        self._next.results.append(Result(claim, Outcome(started_at=time.time(), status_code=200)))
        self._bell.set()
        return await send(self, claim)

    Engine._send = early


def short_leases() -> None:
    """An engine that so often stalls beyond its lease, and reclaims its own attempts then, that the fence has work."""
    from simulator import claims, ledger, results

    claims.LEASE_MARGIN_S = 0.4 - 10  # the endpoint's deadline is 10 s
    assert ledger.RECLAIM_S
    ledger.RECLAIM_S = 0
    reclaim = results.reclaim
    results.reclaim = lambda now, ours: reclaim(now)


def not_fenced() -> None:
    """With such leases, a result counts whatever became of its delivery meanwhile."""
    from simulator import results

    short_leases()
    fence = " AND d.status = 'sending' AND d.attempt_count = column2"
    assert results._WON.endswith(fence) and results._LOST.endswith(fence)
    results._WON, results._LOST = results._WON.removesuffix(fence), results._LOST.removesuffix(fence)


def sleeping_loop() -> None:
    """Something blocks the event loop for half a second."""
    from simulator.engine import Engine

    start = Engine.start

    async def started(self: Engine) -> None:
        await start(self)
        self.loop.call_soon(time.sleep, 0.5)

    Engine.start = started


def serialised_again() -> None:
    """The body is parsed and dumped once more after it was signed."""
    _rewrite(before_signing=False)


def serialised_again_and_signed() -> None:
    """The same before it is signed: every signature fits, but not the stored bytes."""
    _rewrite(before_signing=True)


def _rewrite(*, before_signing: bool) -> None:
    from simulator.batches import Batches
    from simulator.claims import Claims
    from simulator.target import Target

    claim, make, headers = Claims.claim, Batches.make, Target.headers

    def again(body: bytes) -> bytes:
        return json.dumps(json.loads(body), indent=1).encode()

    def other_headers(self: Target, event: str, type: str, delivery: str, number: int, body: bytes, now: Any):
        made = headers(self, event, type, delivery, number, again(body) if before_signing else body, now)
        return [(name, str(len(again(body))) if name == "content-length" else value) for name, value in made]

    def with_other_bodies(step: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        def stepped(*args: Any) -> list[Any]:
            claims = step(*args)
            for one in claims:
                one.body = again(one.body)
            return claims

        return stepped

    Target.headers = other_headers
    Claims.claim, Batches.make = with_other_bodies(claim), with_other_bodies(make)


def stages() -> None:
    """No bug: the process ends at the stage that is armed; see tests/faults/stages.py."""
    from .stages import watch

    watch()


PLANTS: dict[str, Callable[[], None]] = {
    plant.__name__: plant
    for plant in (
        no_recovery,
        accepted_before_commit,
        recorded_before_sent,
        short_leases,
        not_fenced,
        sleeping_loop,
        serialised_again,
        serialised_again_and_signed,
        stages,
    )
}
