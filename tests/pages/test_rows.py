"""The rows of a list: drawn once, and never older than the number that goes with them."""

from collections.abc import Callable

from console import rows
from console.filters import Filter
from simulator.models import Delivery

Make = Callable[..., Delivery]


def html(delivery: Delivery) -> str:
    return rows.drawn(Delivery.objects.select_related("endpoint").get(pk=delivery.pk))


def test_a_row_is_rendered_anew_when_it_or_its_endpoint_changed(attempted: Make) -> None:
    delivery = attempted()
    assert html(delivery) is html(delivery)
    delivery.endpoint.change(description="Renamed")
    assert "Renamed" in html(delivery)


def test_the_seq_of_a_page_is_not_newer_than_its_rows(deliver: Make) -> None:
    delivery = deliver()
    page = rows.page(Filter())
    assert page.seq == delivery.seq and page.html.count("<li") == 1 and page.next_cursor == ""
