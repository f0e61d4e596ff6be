"""The rows of a list: drawn once, and never older than the number that goes with them."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from console import rows
from console.filters import Filter
from simulator.models import Delivery

from .conftest import Make


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


def test_of_a_row_that_is_drawn_already_no_more_is_read(
    attempted: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = attempted()
    before = rows.page(Filter()).html
    new = attempted()
    read: list[str] = []
    monkeypatch.setattr(rows, "drawn", lambda delivery: read.append(delivery.pk) or "<li>new</li>")
    assert rows.page(Filter()).html == f"<li>new</li>\n{before}"
    assert read == [new.pk] and old.pk in before


def test_a_row_that_is_deleted_while_the_list_is_read_is_left_out(attempted: Make) -> None:
    kept, deleted = attempted(), attempted()
    named = list(rows._named(Delivery.objects.all()))
    deleted.event.delete()
    html = rows._joined(named)
    assert html.count("<li") == 1 and kept.pk in html


def test_an_attempt_that_was_interrupted_is_shown_as_such_also_when_others_came_after_it(
    attempted: Make, django_assert_num_queries: Callable[..., AbstractContextManager[None]]
) -> None:
    for _ in range(3):
        cut_off = attempted("pending", status="interrupted", status_code=None, error="interrupted")
        attempted(delivery=attempted("pending", delivery=cut_off, status_code=500, error="status"))
    dots = '<i class="interrupted"></i><i class="failed"></i><i class="succeeded"></i>'
    with django_assert_num_queries(5):  # however many there are
        assert rows.page(Filter()).html.count(dots) == 3
    attempted(delivery=attempted("pending", status_code=500, error="status"))
    with django_assert_num_queries(4):
        assert '<i class="failed"></i><i class="succeeded"></i>' in rows.page(Filter()).html
