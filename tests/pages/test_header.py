"""The header counts what is under way; the banners say what one must know first."""

import pytest
from django.test import Client, override_settings

from console import header
from simulator.models import Endpoint
from simulator.rows import query

from .conftest import Make


def test_what_is_under_way_is_counted_by_how_it_stands(attempted: Make, deliver: Make) -> None:
    attempted("pending", status_code=500, error="status")
    deliver()
    deliver()
    attempted()
    assert header.counters() == {"retrying": 1, "waiting": 2, "more": False}


def test_what_a_paused_endpoint_holds_is_neither_retried_nor_waiting(
    client: Client, attempted: Make, deliver: Make
) -> None:
    again, first = attempted("pending", status_code=500, error="status"), deliver()
    again.endpoint.pause()
    assert "<b>2</b> held" in header.render()[0]
    page = client.get("/?status=retrying").content.decode()
    assert "</b> retrying" not in page and "</b> waiting" not in page
    assert again.pk not in page
    again.endpoint.resume()
    assert "<b>1</b> retrying" in header.render()[0] and "held" not in header.render()[0]
    page = client.get("/?status=retrying").content.decode()
    assert again.pk in page and first.pk not in page


@pytest.mark.django_db
def test_the_counts_are_found_by_their_index_without_sorting() -> None:
    plan = str(query(f"EXPLAIN QUERY PLAN {header._UNFINISHED}", [1]))
    assert "simulator_delivery USING INDEX next_due " in plan and "FOR ORDER BY" not in plan


def test_a_huge_queue_is_counted_up_to_a_bound(
    deliver: Make, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(header, "MOST", 3)
    for _ in range(4):
        deliver()
    assert header.counters()["waiting"] == 3 and "<b>3+</b> waiting" in header.render()[0]
    endpoint.pause()
    assert header.render()[0].strip() == "<span><b>3+</b> held</span>"


@pytest.mark.django_db
def test_troubles_of_the_engine_and_a_scale_are_on_every_page(client: Client) -> None:
    with override_settings(SIM_RETRY_SCALE=0.05):
        for address in ("/", "/endpoints/"):
            html = client.get(address).content.decode()
            assert "engine is not running" in html and "multiplied by 0.05" in html
