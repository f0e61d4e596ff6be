"""The engine that the bench measures alone: it sends each delivery once, and its results are kept or they are not."""

from collections import Counter

import pytest

from simulator.bench.stocked import measure
from simulator.models import Attempt, Delivery

from .engines import in_db
from .receiving import Receiver

pytestmark = pytest.mark.django_db(transaction=True)
COUNT = 150  # more than one group of claims


@pytest.mark.parametrize(
    ("keeps", "deliveries", "attempts"),
    [(True, "succeeded", "succeeded"), (False, "cancelled", "interrupted")],
)
async def test_all_are_sent_once_and_only_what_is_kept_is_recorded(
    keeps: bool, deliveries: str, attempts: str, receiver: Receiver
) -> None:
    found = await measure(receiver.url, COUNT, keeps=keeps)
    ids = Counter(request.headers["x-ultrareach-delivery-id"] for request in receiver.requests)
    assert len(ids) == COUNT and set(ids.values()) == {1}
    assert found["engine_per_s"] > 0 and found["engine_cpu_us"] > 0
    assert await in_db(lambda: set(Delivery.objects.values_list("status", flat=True))) == {deliveries}
    assert await in_db(lambda: set(Attempt.objects.values_list("status", flat=True))) == {attempts}
