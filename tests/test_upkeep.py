"""The log copied and the texts indexed, beside deliveries and in nobody's way."""

import time
from itertools import pairwise

import pytest
from django.db import OperationalError

from simulator import courtesy, searchable, transaction
from simulator.models import Batch

from .engines import ends, in_db, sent
from .waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def checkpoints(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When each began; none takes long."""
    made: list[float] = []
    monkeypatch.setattr(transaction, "checkpoint", lambda: made.append(time.monotonic()))
    return made


async def test_the_log_is_copied_again_and_again_while_there_is_much_to_write(
    engine,
    endpoint,
    receiver,
    checkpoints: list[float],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("simulator.upkeep.CHECKPOINT_S", 0.02)
    await in_db(lambda: Batch.start("lead.qualified", 500))
    await receiver.received(500)
    await engine.drain()
    assert len(checkpoints) >= 3
    assert min(later - one for one, later in pairwise(checkpoints)) >= 0.02


async def test_while_somebody_waits_the_log_is_not_copied(
    engine,
    endpoint,
    receiver,
    checkpoints: list[float],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(courtesy, "MOST_S", 60.0)
    engine._courtesy._saved = 60.0
    engine._upkeep.checkpoint_at = time.monotonic()
    with engine._courtesy.attending():
        await sent(endpoint)
        await engine.drain()
        assert not checkpoints
    await sent(endpoint)
    await until(lambda: checkpoints, 5, "a checkpoint")


async def test_a_slow_checkpoint_is_made_more_seldom(
    engine,
    endpoint,
    monkeypatch: pytest.MonkeyPatch,
):
    """On a disk that takes its time; and one that fails is no harm."""

    ended: list[float] = []

    def slow() -> None:
        ended.append(time.monotonic() + 0.1)
        while time.monotonic() < ended[-1]:
            pass
        raise OperationalError("disk I/O error")

    monkeypatch.setattr(transaction, "checkpoint", slow)
    await sent(endpoint)
    await engine.drain()
    await until(lambda: ended and engine._upkeep.checkpoint_at > ended[-1] + 0.5, 5, "a long rest")
    assert not engine.troubles()


async def test_what_cannot_be_indexed_is_told_and_keeps_nothing_from_being_sent(
    engine,
    endpoint,
    monkeypatch: pytest.MonkeyPatch,
):
    index_some = searchable.index_some

    def damaged(*, large: bool) -> bool:
        raise OperationalError("database disk image is malformed")

    monkeypatch.setattr(searchable, "index_some", damaged)
    await ends(await sent(endpoint), "succeeded")
    await until(lambda: "malformed" in str(engine.troubles()), 5, "a trouble")
    await ends(await sent(endpoint), "succeeded")
    monkeypatch.setattr(searchable, "index_some", index_some)
    await until(lambda: not (engine.troubles() or engine._upkeep.to_index), 5, "an index")


async def test_much_text_is_indexed_when_nobody_is_about(
    engine,
    endpoint,
    monkeypatch: pytest.MonkeyPatch,
):
    asked: list[bool] = []
    index_some = searchable.index_some
    monkeypatch.setattr(
        searchable, "index_some", lambda *, large: (asked.append(large), index_some(large=large))[1]
    )
    with engine._courtesy.attending():
        pass
    await ends(await sent(endpoint), "succeeded")
    await until(lambda: asked, 3, "a look")
    assert not asked[0] and engine._upkeep.to_index, "somebody was here a moment ago"
    await until(lambda: not engine._upkeep.to_index, 5, "the other")
    assert asked[-1]
