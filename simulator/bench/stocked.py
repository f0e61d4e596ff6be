"""The engine alone, with enough claims from the start: results are committed as usual, or forgotten."""

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from .. import ids
from ..batches import GROUP
from ..claims import Claim, Room
from ..engine import Engine
from ..ledger import Ledger, Turn, Waiting
from ..models import Batch, Delivery, Endpoint
from ..transaction import writing

TYPE = "lead.qualified"
IN_FLIGHT = 10  # an endpoint's default


class Stocked(Ledger):
    """`count` deliveries to `url` are made, signed, claimed and written down before the engine starts; `keeps` says
    whether their results are. `over` is set when the last one has come back and, if so, is committed."""

    def __init__(self, path: Path, scale: float, *, url: str, count: int, keeps: bool) -> None:
        super().__init__(path, scale)
        self._url, self._count, self._keeps = url, count, keeps
        self._stock: list[Claim] = []
        self._came_back = 0
        self._loop, self.over = asyncio.get_running_loop(), asyncio.Event()

    def recover(self) -> None:
        """There is nothing to recover; instead the stock is made here, by the code that makes every batch."""
        with writing():
            to = Endpoint.register(url=self._url, events=[], max_in_flight=IN_FLIGHT)
            Batch.start(TYPE, self._count, [to.pk])
        self._number = ids.decode("ep", to.pk) or 0
        while len(self._stock) < self._count:
            room = Room(GROUP, GROUP, {self._number: GROUP})
            self._stock += super().turn(Waiting(), room, GROUP)().claims

    def turn(self, given: Waiting, room: Room, bulk: int, out: Iterable[Claim] = ()) -> Callable[[], Turn]:
        keep = super().turn(given, Room(0, 0, {}), 0, out) if self._keeps else None
        wanted = max(0, min(room.free, room.endpoints.get(self._number, IN_FLIGHT), GROUP))
        claims, self._stock = self._stock[:wanted], self._stock[wanted:]
        for claim in claims:
            claim.claimed_at = time.monotonic()  # otherwise its line would take it for stale

        def step() -> Turn:
            if keep:
                keep()
            self._came_back += len(given.results)
            if self._came_back == self._count:
                self._loop.call_soon_threadsafe(self.over.set)
            return Turn(claims, None)

        return step

    def close(self, given: Waiting, unsent: list[Claim]) -> None:
        """Cancel what was forgotten: the next engine must not send it."""
        with writing():
            Delivery.objects.all().cancel_all()
        super().close(given, unsent)


async def measure(url: str, count: int, *, keeps: bool) -> dict[str, float]:
    """Deliveries a second, and what each cost this process."""
    made: list[Stocked] = []

    def stocked(path: Path, scale: float) -> Ledger:
        made.append(Stocked(path, scale, url=url, count=count, keeps=keeps))
        return made[0]

    engine = Engine(ledger=stocked)
    await engine.start()
    began, used = time.perf_counter(), time.process_time()
    await made[0].over.wait()
    took, used = time.perf_counter() - began, time.process_time() - used
    await engine.stop()
    return {"engine_per_s": count / took, "engine_cpu_us": used / count * 1e6}
