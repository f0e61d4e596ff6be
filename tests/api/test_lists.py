"""What lists cost: as many queries for one row as for many, and never a count of everything."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from simulator import search, sending
from simulator.api.gate import api_key
from simulator.api.shapes import delivery_json
from simulator.models import Delivery, Endpoint

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return Client(headers={"authorization": f"Bearer {api_key()}", "host": "127.0.0.1"})


def fill(count: int) -> list[str]:
    """Ids of `count` deliveries, each of its own event to its own endpoint."""
    ids = []
    for number in range(count):
        endpoint = Endpoint.register(url=f"http://localhost:1/{number}", events=["*"])
        sent = sending.send(sending.Content("lead.qualified"), endpoints=[endpoint.pk])
        ids += [delivery.pk for delivery in sent.deliveries]
    return ids


def queries(client: Client, path: str) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        reply = client.get(f"/api/v1{path}")
    assert reply.status_code == 200, reply.content
    return [query["sql"] for query in captured]


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/webhooks", 1),
        ("/events", 3),
        ("/deliveries", 1),
        ("/deliveries?q=lead&status=pending&type=lead.qualified&code=5xx&since=2020-01-01T00:00:00Z", 4),
        ("/activity", 1),
        ("/event-types", 1),
    ],
)
def test_a_list_needs_as_many_queries_for_many_rows_as_for_few(client: Client, path: str, most: int) -> None:
    fill(2)
    few = queries(client, path)
    fill(20)
    many = queries(client, path)
    assert len(few) == len(many) <= most
    # COUNT(id) is of the deliveries of one event.
    assert not any("COUNT(*)" in sql.upper() or "OFFSET" in sql.upper() for sql in many)


def test_a_delivery_needs_two_queries(client: Client) -> None:
    (id,) = fill(1)
    assert len(queries(client, f"/deliveries/{id}")) == 2


def test_a_row_of_the_list_reads_no_body(client: Client) -> None:
    fill(1)
    assert not any('."body"' in sql for sql in queries(client, "/deliveries"))


def plan(filters: search.Filters) -> str:
    rows = search.matching(filters).order_by("-pk")[:50]
    return rows.explain()


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (search.Filters(type="lead.qualified"), "by_type"),
        (search.Filters(endpoint="ep_00000000001"), "by_endpoint"),
    ],
)
def test_one_filter_is_answered_by_its_index_without_sorting(filters: search.Filters, index: str) -> None:
    assert f"USING INDEX {index} " in plan(filters)
    assert "TEMP B-TREE" not in plan(filters)


@pytest.mark.alone
def test_a_thousand_rows_are_shaped_within_a_tenth_of_a_second(
    timed: Callable[[Callable[[], Any]], float],
) -> None:
    """The stream and the lists shape bursts of them on the way out."""
    fill(1)
    (delivery,) = Delivery.objects.rows()
    assert timed(lambda: [delivery_json(delivery) for _ in range(1000)]) < 0.1


@pytest.fixture
def timed() -> Callable[[Callable[[], Any]], float]:
    """Seconds, the best of five: the machine may be busy."""

    def best(work: Callable[[], Any]) -> float:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        return min(times)

    return best
