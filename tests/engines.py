"""What tests of a running engine do to the database, from its loop: accept an event, look at what became of it."""

import asyncio
from collections.abc import Callable
from typing import Any

from django.db import connection

from simulator.models import Attempt, Delivery, Endpoint, Event

BODY = b'{"id":"evt_1","type":"lead.qualified","data":{"score": 1.0, "name":"Zo\xc3\xab"}}'


async def in_db(step: Callable[[], Any]) -> Any:
    """Run a database step off the loop, as views do, and leave no connection behind."""

    def run() -> Any:
        try:
            return step()
        finally:
            connection.close()

    return await asyncio.to_thread(run)


def accept(endpoint: Endpoint, body: bytes = BODY, trigger: str = "test") -> Delivery:
    return Event.accept("lead.qualified", body, endpoints=[endpoint], trigger=trigger)[1][0]


async def sent(endpoint: Endpoint, **options: Any) -> Delivery:
    return await in_db(lambda: accept(endpoint, **options))


async def fresh(delivery: Delivery) -> Delivery:
    return await in_db(lambda: Delivery.objects.get(pk=delivery.pk))


async def attempts(delivery: Delivery) -> list[Attempt]:
    return await in_db(lambda: list(Attempt.objects.filter(delivery=delivery).order_by("number")))


async def ends(delivery: Delivery, status: str, within: float = 5.0) -> Delivery:
    """The delivery, as soon as it has this status."""
    deadline = asyncio.get_running_loop().time() + within
    while (now := await fresh(delivery)).status != status:
        assert asyncio.get_running_loop().time() < deadline, f"still {now.status}, not {status}"
        await asyncio.sleep(0.01)
    return now


async def waiting(delivery: Delivery, attempt: int) -> Delivery:
    """The delivery, once this attempt has been recorded and it waits for the next."""
    deadline = asyncio.get_running_loop().time() + 5
    while (now := await fresh(delivery)).last_number != attempt or now.status != "pending":
        assert asyncio.get_running_loop().time() < deadline, f"{now.status} after {now.last_number}"
        await asyncio.sleep(0.01)
    return now
