"""Sending without HTTP around it: what the API, the pages and the commands share."""

import json

import pytest
from django.db import connection
from django.http import HttpRequest
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from simulator import sending
from simulator.api import events, paging
from simulator.api.shapes import sent_json
from simulator.models import Activity, CustomType, Delivery, Endpoint, Event
from simulator.models.endpoint import PAUSED, audience
from simulator.sending import BadInput, Content

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint.register(url="http://localhost:1/", events=["lead.qualified"])


def test_an_event_its_deliveries_and_their_seq_are_one_transaction(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the machine stops here")

    monkeypatch.setattr(Event, "fan_out", fail)
    with pytest.raises(RuntimeError):
        sending.send(Content("lead.qualified"), to="http://localhost:2/")
    assert not Event.objects.exists() and not Delivery.objects.exists()
    assert not Endpoint.objects.filter(origin=Endpoint.ADHOC).exists()


def test_nothing_is_sent_to_an_endpoint_that_was_deleted_while_it_was_drawn_up(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked up where it is sent to, in one transaction: nothing would ever take up what came too late."""
    draw_up = sending._draft
    monkeypatch.setattr(sending, "_draft", lambda content: (endpoint.remove(), draw_up(content))[1])
    with pytest.raises(Endpoint.DoesNotExist):
        sending.send_test(endpoint.pk, Content("lead.qualified"))
    assert not Event.objects.exists() and not Delivery.objects.exists()


def test_of_many_endpoints_only_the_one_that_is_named_is_read(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them would be read under the write lock, and each `send --to` of a new URL makes one more."""
    for port in range(1, 6):
        sending.adhoc(f"http://localhost:{port}/")
    read: list[str] = []
    init = Endpoint.__init__
    monkeypatch.setattr(
        Endpoint, "__init__", lambda self, *values: (read.append(values[0]), init(self, *values))[1]
    )
    sent = sending.send(Content("lead.qualified"), endpoints=[endpoint.pk])
    assert [each.endpoint_id for each in sent.deliveries] == read == [endpoint.pk]


def test_the_sample_of_a_custom_type_is_its_example(endpoint: Endpoint) -> None:
    CustomType.add(type="own.type", example={"a": 1})
    sent = sending.send(Content("own.type", overrides={"b": 2}), endpoints=[endpoint.pk])
    assert json.loads(bytes(sent.event.body))["data"] == {"a": 1, "b": 2}
    assert CustomType.objects.get().example == {"a": 1}


def test_everyone_who_was_passed_over_is_named_with_the_reason(endpoint: Endpoint) -> None:
    other = Endpoint.register(url="http://localhost:2/", events=["message.received"])
    paused = Endpoint.register(url="http://localhost:3/", events=["*"], status=PAUSED)
    sent = sending.send(Content("lead.qualified"))
    assert [delivery.endpoint for delivery in sent.deliveries] == [endpoint]
    assert sent.skipped == [(other, "not_subscribed"), (paused, "paused")]
    other.pause()  # resuming it would bring nothing
    sent = sending.send(Content("lead.qualified"))
    assert sent.skipped == [(other, "not_subscribed"), (paused, "paused")]


def test_a_url_that_a_410_had_paused_is_sent_to_again_when_asked() -> None:
    first = sending.send(Content("lead.qualified"), to="http://localhost:1/").deliveries[0]
    first.endpoint.pause()
    again = sending.send(Content("lead.qualified"), to="http://LOCALHOST:1/").deliveries[0]
    assert again.endpoint == first.endpoint and not again.held
    first.refresh_from_db()
    assert not first.held


@pytest.mark.parametrize("trigger", ["api", "cli"])
def test_whoever_sends_to_a_paused_url_is_who_resumed_it(trigger: str) -> None:
    first = sending.send(Content("lead.qualified"), to="http://localhost:1/").deliveries[0]
    first.endpoint.pause()
    sending.send(Content("lead.qualified"), to="http://localhost:1/", trigger=trigger)
    noted = Activity.objects.get(action="resumed endpoint")
    assert (noted.actor, noted.subject) == (trigger, first.endpoint_id)


@pytest.mark.parametrize(
    ("content", "options", "field", "reason"),
    [
        (Content("nope"), {}, "type", "unknown_event_type"),
        (Content("lead.qualified", raw_body="", data={}), {}, "raw_body", "conflict"),
        (Content("lead.qualified"), {"endpoints": ["x"]}, "endpoints.0", "not_found"),
        (Content("lead.qualified"), {"endpoints": [], "to": "http://localhost/"}, "to", "conflict"),
        (Content("lead.qualified"), {"to": "gopher://localhost/"}, "to", "unsupported_scheme"),
    ],
)
def test_what_cannot_be_sent_is_named_and_leaves_nothing(
    content: Content, options: dict[str, object], field: str, reason: str
) -> None:
    with pytest.raises(BadInput) as caught:
        sending.send(content, **options)  # type: ignore[arg-type]
    assert (caught.value.field, caught.value.reason) == (field, reason)
    assert not Event.objects.exists()


def test_of_those_who_are_asked_no_more_is_read_than_who_gets_it_takes(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    """3,000 endpoints with all their columns took 0.1 s, under the lock of all writers."""
    for status in ("enabled", "enabled", PAUSED):
        Endpoint.register(url="http://localhost:1/", events=["lead.qualified"], status=status)
    with django_assert_num_queries(1):
        getting, skipped = audience("lead.qualified")
    with django_assert_num_queries(0):
        assert [(str(one), one.paused, one.revision) for one in getting] == [
            ("http://localhost:1/", False, 1)
        ] * 2
        assert [(str(one), why) for one, why in skipped] == [("http://localhost:1/", "paused")]
    assert {"headers", "signature", "retry_delays"} <= getting[0].get_deferred_fields()


def test_sending_to_many_asks_the_database_as_often_as_to_one(
    endpoint: Endpoint, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with CaptureQueriesContext(connection) as to_one:
        sent_json(sending.send(Content("lead.qualified")))
    for status in ("enabled", "enabled", PAUSED):
        Endpoint.register(url="http://localhost:1/", events=["lead.qualified"], status=status)
    with django_assert_num_queries(len(to_one)):
        sent_json(sending.send(Content("lead.qualified")))


def test_a_page_of_events_ends_early_when_many_endpoints_got_each(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its JSON is written in one go, and nobody else gets a turn meanwhile."""
    Endpoint.register(url="http://localhost:2/", events=["*"])
    made = [sending.send(Content("lead.qualified", raw_body="")).event.pk for _ in range(5)]
    monkeypatch.setattr(paging, "MAX_BYTES", 4 * events.DELIVERY)
    found, cursor = [], None
    for length in (2, 2, 1):
        page = json.loads(events.index(HttpRequest(), 200, cursor).content)
        assert len(page["data"]) == length
        assert all(len(event["deliveries"]) == 2 for event in page["data"])
        found += [event["id"] for event in page["data"]]
        cursor = page["next_cursor"]
    assert found == made[::-1] and cursor is None
