"""The header counts what is under way; the banners say what one must know first."""

from collections.abc import Callable

import pytest
from django.test import Client, override_settings

from console import header
from simulator.models import Delivery

Make = Callable[..., Delivery]


def test_what_is_under_way_is_counted_by_how_it_stands(attempted: Make, deliver: Make) -> None:
    attempted("pending", status_code=500, error="status")
    deliver()
    deliver()
    attempted()
    assert header.counters() == {"sending": 0, "retrying": 1, "waiting": 2, "more": False}


def test_a_huge_queue_is_counted_up_to_a_bound(deliver: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "MOST", 3)
    for _ in range(4):
        deliver()
    assert header.counters() == {"sending": 0, "retrying": 0, "waiting": 3, "more": True}
    assert "3+" in header.render()[0]


@pytest.mark.django_db
def test_troubles_of_the_engine_and_a_scale_are_on_every_page(client: Client) -> None:
    with override_settings(SIM_RETRY_SCALE=0.05):
        for address in ("/", "/endpoints/"):
            html = client.get(address).content.decode()
            assert "engine is not running" in html and "multiplied by 0.05" in html
