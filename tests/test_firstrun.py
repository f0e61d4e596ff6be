"""What a new data folder starts with, and what later starts leave alone."""

from datetime import timedelta

import pytest
from django.utils import timezone

from console.firstrun import furnish
from simulator.models import Endpoint, Event
from simulator.models.endpoint import audience
from simulator.sending import Content, send_test

pytestmark = pytest.mark.django_db
HERE, THERE = "http://127.0.0.1:8000", "http://[::1]:9000"


def urls() -> list[str]:
    return [endpoint.url for endpoint in Endpoint.objects.listed().order_by("id")]


def named(description: str) -> Endpoint:
    return Endpoint.objects.get(description=description)


@pytest.fixture
def furnished() -> None:
    furnish(HERE)


def test_a_new_folder_gets_one_endpoint_that_works_and_one_that_shows_retries(furnished: None) -> None:
    assert urls() == [f"{HERE}/receiver/ok", f"{HERE}/receiver/flaky?fail_first=2"]
    assert all(endpoint.current_secret() for endpoint in Endpoint.objects.all())


def test_they_get_test_events_only(furnished: None) -> None:
    assert audience("lead.qualified")[0] == []
    delivery = send_test(named("Built-in receiver").pk, Content("lead.qualified"))
    assert Event.objects.get().deliveries.get() == delivery


def test_the_next_start_adds_nothing_and_changes_nothing(furnished: None) -> None:
    before = list(Endpoint.objects.order_by("id").values())
    furnish(HERE)
    assert list(Endpoint.objects.order_by("id").values()) == before


def test_on_another_address_they_follow_with_their_secret_and_the_engine_is_told(furnished: None) -> None:
    before = named("Flaky receiver")
    Endpoint.objects.update(updated_at=timezone.now() - timedelta(days=1))
    furnish(THERE)
    after = named("Flaky receiver")
    assert urls() == [f"{THERE}/receiver/ok", f"{THERE}/receiver/flaky?fail_first=2"]
    assert (after.pk, after.current_secret()) == (before.pk, before.current_secret())
    assert after.revision == before.revision + 1
    assert timezone.now() - after.updated_at < timedelta(hours=1)


def test_one_that_was_pointed_elsewhere_stays_there(furnished: None) -> None:
    named("Built-in receiver").change(url="http://localhost:3000/mine")
    furnish(THERE)
    assert urls() == ["http://localhost:3000/mine", f"{THERE}/receiver/flaky?fail_first=2"]


def test_one_that_was_changed_otherwise_keeps_the_change_and_still_follows(furnished: None) -> None:
    named("Built-in receiver").change(description="Mine", timeout=3, events=["*"])
    furnish(THERE)
    mine = named("Mine")
    assert (mine.url, mine.timeout, mine.events) == (f"{THERE}/receiver/ok", 3, ["*"])


def test_one_that_was_deleted_stays_deleted_even_when_none_is_left(furnished: None) -> None:
    for endpoint in Endpoint.objects.all():
        endpoint.remove()
    furnish(THERE)
    assert urls() == []
    kept = [endpoint.url.startswith(HERE) for endpoint in Endpoint.objects.all()]
    assert kept == [True, True], "history stays as it was"


def test_what_an_earlier_send_made_for_itself_does_not_keep_them_away() -> None:
    Endpoint.register(url="http://localhost:3000/", origin=Endpoint.ADHOC)
    furnish(HERE)
    assert urls() == [f"{HERE}/receiver/ok", f"{HERE}/receiver/flaky?fail_first=2"]


def test_a_folder_with_an_endpoint_of_ones_own_is_left_as_it_is() -> None:
    Endpoint.register(url="http://localhost:3000/", events=["*"])
    furnish(HERE)
    assert urls() == ["http://localhost:3000/"]
