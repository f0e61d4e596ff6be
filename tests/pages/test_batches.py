"""A batch on the page: copies in the send panel, a line that says how far it is, and Stop."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from console import batches
from simulator import feed
from simulator.models import Activity, Batch, Delivery, Endpoint, Event
from simulator.models.delivery import BATCH

from .conftest import Make
from .test_sending import form


@pytest.fixture
def batch(endpoint: Endpoint) -> Batch:
    """Asked for, nothing made yet."""
    return Batch.start("lead.qualified", 20_000, [endpoint.pk])


def make(batch: Batch, delivery: Delivery) -> None:
    """As the engine makes one event of it: its delivery waits in the batch lane."""
    Event.objects.filter(pk=delivery.event_id).update(batch=batch)
    Delivery.objects.filter(pk=delivery.pk).update(lane=BATCH)
    batch.made += 1
    batch.save()


def attempt(delivery: Delivery, status: str = "succeeded") -> None:
    finished = {"status": status, "attempt_count": 1, "due_at": None, "seq": feed.take()[0]}
    Delivery.objects.filter(pk=delivery.pk).update(**finished)


def test_more_than_one_copy_is_a_batch_to_the_chosen_endpoint(htmx: Client, endpoint: Endpoint) -> None:
    html = htmx.post("/send/", form(endpoint, copies="2000")).content.decode()
    batch = Batch.objects.get()
    assert (batch.type, batch.count, batch.endpoints) == ("lead.qualified", 2000, [endpoint.pk])
    assert "Started: 2,000 × lead.qualified" in html and "0 of 2,000 sent" in html
    assert Activity.objects.get(subject=batch.pk).actor == "console"


@pytest.mark.parametrize("copies", ["1", "", " 1 "])
def test_one_copy_sends_what_was_typed(htmx: Client, endpoint: Endpoint, copies: str) -> None:
    htmx.post("/send/", form(endpoint, copies=copies))
    assert b'"score":90' in bytes(Event.objects.get().body)
    assert not Batch.objects.exists()


def test_a_form_without_the_field_sends_one(htmx: Client, endpoint: Endpoint) -> None:
    assert htmx.post("/send/", form(endpoint)).status_code == 200
    assert Event.objects.count() == 1


@pytest.mark.parametrize("copies", ["0", "-1", "100001", "1.5", "1e3", "20,000", "many", "9" * 5000])
def test_a_bad_number_of_copies_is_said_at_its_field(htmx: Client, endpoint: Endpoint, copies: str) -> None:
    answer = htmx.post("/send/", form(endpoint, copies=copies))
    html = answer.content.decode()
    assert answer.status_code == 400 and not Event.objects.exists() and not Batch.objects.exists()
    assert 'id="copies-error" data-field="copies"' in html and "whole number, 1 to 100,000" in html


def test_the_largest_batch_is_accepted(htmx: Client, endpoint: Endpoint) -> None:
    htmx.post("/send/", form(endpoint, copies="100000"))
    assert Batch.objects.get().count == 100_000


def test_data_that_is_not_sent_is_not_judged(htmx: Client, endpoint: Endpoint) -> None:
    assert htmx.post("/send/", form(endpoint, copies="2", data="{")).status_code == 200
    assert Batch.objects.exists()


def test_the_same_form_twice_starts_one_batch(htmx: Client, endpoint: Endpoint) -> None:
    first, second = (htmx.post("/send/", form(endpoint, copies="50")).content.decode() for _ in range(2))
    assert Batch.objects.count() == 1
    assert Batch.objects.get().pk in first and Batch.objects.get().pk in second


def test_a_batch_to_nobody_is_not_started_and_one_to_a_paused_endpoint_waits(
    htmx: Client, endpoint: Endpoint
) -> None:
    endpoint.pause()
    assert "nothing was sent" in htmx.post("/send/", form("everyone", copies="5")).content.decode()
    assert not Batch.objects.exists()
    html = htmx.post("/send/", form(endpoint, copies="5", token="t2")).content.decode()
    assert "0 of 5 sent" in html and Batch.objects.get().status == "running"


def test_a_batch_that_nothing_leaves_of_says_whom_it_waits_for(htmx: Client, endpoint: Endpoint) -> None:
    why = "it waits, because <b><bdi>Mine</bdi></b> is paused"
    endpoint.pause()
    said = htmx.post("/send/", form(endpoint, copies="5")).content.decode()
    outcome, line = said.split('id="batch"')
    assert "Started: 5 × lead.qualified" in outcome and f"Not sent yet: {why}" in outcome
    assert "0 of 5 sent" in line and why in line
    assert why in htmx.get("/").content.decode() and why in batches.render()
    endpoint.resume()
    assert why not in batches.render()


def test_the_choice_of_endpoints_tells_of_a_batch_whether_it_still_waits(
    htmx: Client, batch: Batch, endpoint: Endpoint
) -> None:
    address = f"/send/endpoints/?endpoint={endpoint.pk}&waits={batch.pk}"
    endpoint.pause()
    assert "HX-Trigger" not in htmx.get(address)
    endpoint.resume()
    assert batch.pk in htmx.get(address)["HX-Trigger"]
    assert "HX-Trigger" not in htmx.get("/send/endpoints/?waits=nonsense")


def test_so_does_one_whose_last_deliveries_are_held(batch: Batch, deliver: Make, endpoint: Endpoint) -> None:
    other = Endpoint.register(url="http://localhost:3001/", events=["*"], description="Other")
    Batch.objects.update(endpoints=None, count=2)
    batch.refresh_from_db()
    for to in (endpoint, other):
        make(batch, deliver(to=to))
    other.pause()
    assert "is paused" not in batches.render()
    attempt(Delivery.objects.get(endpoint=endpoint))
    assert "it waits, because <b><bdi>Other</bdi></b> is paused" in batches.render()


def test_one_that_gets_on_is_shown_before_one_that_is_held(batch: Batch, endpoint: Endpoint) -> None:
    other = Endpoint.register(url="http://localhost:3001/", events=["*"])
    later = Batch.start("message.received", 5, [other.pk])
    assert f'data-batch="{batch.pk}"' in batches.render()
    endpoint.pause()
    assert f'data-batch="{later.pk}"' in batches.render() and "+1 more" in batches.render()
    other.pause()
    assert f'data-batch="{batch.pk}"' in batches.render()


def test_one_that_others_get_does_not_wait_for_a_paused_endpoint(batch: Batch, endpoint: Endpoint) -> None:
    Endpoint.register(url="http://localhost:3001/", events=["*"]).pause()
    assert "is paused" not in batches.render()
    Batch.objects.update(endpoints=None)
    assert "is paused" not in batches.render()
    Endpoint.objects.all().update(status="paused")
    assert "are paused" in batches.render()


def test_sent_is_what_had_its_first_attempt_at_everyone(
    batch: Batch, deliver: Make, endpoint: Endpoint
) -> None:
    other = Endpoint.register(url="http://localhost:3001/", events=["*"])
    first, second = deliver(), deliver()
    make(batch, first)
    make(batch, second)
    twin = Delivery.new(first.event, other, trigger="api")
    twin.seq, twin.lane = feed.take()[0], BATCH
    twin.save(force_insert=True)
    assert batch.sent == 0
    attempt(first)
    assert batch.sent == 0
    attempt(twin, "failed")
    assert batch.sent == 1
    assert "1 of 20,000 sent" in batches.render()


def test_stop_cancels_what_waits_and_says_how_many_were_sent(
    htmx: Client, batch: Batch, deliver: Make
) -> None:
    sent, waiting = deliver(), deliver()
    make(batch, sent)
    make(batch, waiting)
    attempt(sent)
    html = htmx.post(f"/send/batch/{batch.pk}/stop/").content.decode()
    assert "Stopped: 1 of 20,000 sent" in html
    waiting.refresh_from_db()
    assert waiting.status == "cancelled"
    assert Activity.objects.filter(actor="console", action="stopped batch", subject=batch.pk).count() == 1

    again = htmx.post(f"/send/batch/{batch.pk}/stop/").content.decode()
    assert "Stopped: 1 of 20,000 sent" in again
    assert Activity.objects.filter(action="stopped batch").count() == 1


def test_a_batch_that_has_ended_cannot_be_stopped(htmx: Client, endpoint: Endpoint, deliver: Make) -> None:
    batch = Batch.start("lead.qualified", 1, [endpoint.pk])
    delivery = deliver()
    make(batch, delivery)
    attempt(delivery)
    html = htmx.post(f"/send/batch/{batch.pk}/stop/").content.decode()
    assert "Last batch: 1 sent" in html
    batch.refresh_from_db()
    assert batch.status == "finished"


def test_an_unknown_batch_is_said_and_stop_needs_a_post(htmx: Client, db: None) -> None:
    assert "no such batch" in htmx.post("/send/batch/bat_00000000000/stop/").content.decode()
    assert htmx.get("/send/batch/bat_00000000000/stop/").status_code == 405


def test_the_page_shows_the_batch_at_hand_and_how_the_last_one_ended(
    client: Client, batch: Batch, endpoint: Endpoint
) -> None:
    Batch.start("message.received", 5, [endpoint.pk])
    html = client.get("/").content.decode()
    assert f'data-batch="{batch.pk}"' in html and "+1 more" in html
    for each in Batch.objects.all():
        each.stop()
    assert "Stopped: 0 of 5 sent" in client.get("/").content.decode()


def test_yesterdays_batch_is_history_unless_it_still_runs(batch: Batch) -> None:
    Batch.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert "0 of 20,000 sent" in batches.render()
    batch.stop()
    assert batches.render().strip() == ""
