"""A row says at a glance how it stands: state, answer, and one dot an attempt."""

from console import row
from simulator.models import Delivery

from .conftest import Make


def html(delivery: Delivery) -> str:
    return row.html(Delivery.objects.select_related("endpoint").get(pk=delivery.pk))


def test_a_row_names_its_delivery_and_its_status(attempted: Make) -> None:
    delivery = attempted()
    assert f'data-delivery-id="{delivery.pk}" data-status="succeeded"' in html(delivery)
    assert "<b>200</b> <span" in html(delivery) and ">12 ms</span>" in html(delivery)
    assert "Mine" in html(delivery)


def test_a_failure_is_told_in_words_and_a_status_by_its_number(attempted: Make) -> None:
    assert "<b>Connection refused</b>" in html(attempted("failed", status_code=None, error="refused"))
    assert "<b>503</b>" in html(attempted("failed", status_code=503, error="status"))
    assert "<b>301</b>" in html(attempted("failed", status_code=301, error="redirect"))


def test_a_retrying_row_counts_down_and_shows_what_is_left(attempted: Make) -> None:
    delivery = attempted("pending", status_code=500, error="status")
    assert "data-due" in html(delivery)
    assert row.dots(delivery) == ["failed"] + ["left"] * 5


def test_dots_tell_each_attempt_apart(attempted: Make, deliver: Make) -> None:
    assert row.dots(attempted()) == []
    interrupted = attempted("pending", status="interrupted", status_code=None, error="interrupted")
    assert row.dots(interrupted)[0] == "interrupted"
    twice = attempted("succeeded", delivery=attempted("pending", status_code=500, error="status"))
    assert row.dots(twice) == ["failed", "succeeded"]
    last = attempted("sending", status="sending", status_code=None)
    assert row.dots(last) == ["sending"] + ["left"] * 5
    last.cancelling = True
    assert row.dots(last) == ["sending"]
    many = deliver()
    many.endpoint.retry_delays = [1] * 50
    assert row.dots(many) == []


def test_hostile_names_stay_text(deliver: Make) -> None:
    evil = '"><script>x</script>'
    delivery = deliver()
    delivery.endpoint.change(description=evil)
    delivery.type, delivery.status, delivery.last_error = evil, "failed", evil[:24]
    delivery.save()
    assert "<script" not in html(delivery)
    assert html(delivery).count("&quot;&gt;&lt;script&gt;") == 3, "type, result and place"
    delivery.endpoint.change(description="", url=f"http://localhost/{evil}")
    assert "<script" not in html(delivery) and "/&quot;&gt;&lt;script&gt;" in html(delivery)
