"""The send panel as a page: filled in at first, and without a script as it was typed, with what was wrong."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from console import firstrun, panel
from simulator.models import CustomType, Delivery, Endpoint, Event

from .test_pages import is_whole
from .test_sending import form


def test_at_first_everything_is_filled_in(endpoint: Endpoint) -> None:
    shown = panel.context({})
    assert (shown["chosen"], shown["getting"]) == (endpoint.pk, [endpoint])
    assert (shown["type"], shown["copies"]) == ("lead.qualified", "1")
    assert shown["sample"].startswith("{") and shown["token"]


@pytest.mark.parametrize("count", [16, 17])
def test_many_event_types_are_one_choice_that_keeps_what_was_chosen(
    client: Client, endpoint: Endpoint, count: int
) -> None:
    CustomType.objects.bulk_create([CustomType(type=f"team.{number}") for number in range(count)])
    html = client.post("/send/", form(endpoint, type="team.15", data="{")).content.decode()
    assert html.count('type="radio" name="type"') == (20 if count == 16 else 0)
    assert ("<option selected>team.15</option>" in html.split('id="send"')[1]) == (count == 17)
    assert client.post("/send/", form(endpoint, type="team.15")).status_code == 302
    assert Delivery.objects.get().type == "team.15"


def test_a_receiver_of_ones_own_is_chosen_before_the_built_in_ones_and_the_newest_first(db: None) -> None:
    firstrun.furnish("http://127.0.0.1:8000")
    built_in = Endpoint.objects.order_by("pk")[0]
    assert panel.context({})["chosen"] == built_in.pk
    for port in (3000, 3001):
        own = Endpoint.register(url=f"http://localhost:{port}/", events=["*"])
        assert panel.context({})["chosen"] == own.pk
    assert panel.context({"endpoint": built_in.pk})["chosen"] == built_in.pk


def test_no_endpoint_costs_a_query_of_its_own(db: None) -> None:
    asked = []
    for port in (3001, 3002, 3003):
        Endpoint.register(url=f"http://localhost:{port}/", events=[], origin=Endpoint.BUILTIN)
        with CaptureQueriesContext(connection) as queries:
            panel.context({})
        asked.append(len(queries))
    assert len(set(asked)) == 1, asked


def test_without_an_endpoint_it_is_for_everyone_who_subscribes(db: None) -> None:
    assert panel.context({})["chosen"] == panel.EVERYONE


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"data": '{"score" 9}'}, "data", "Line 1, column 10"),
        ({"copies": "many"}, "copies", "a whole number"),
        ({"endpoint": "ep_00000000000"}, "endpoint", "Choose another one"),
        ({"type": "lead.exploded"}, "type", "Choose another one"),
    ],
)
def test_without_a_script_what_cannot_be_sent_comes_back_as_it_was_typed(
    client: Client, endpoint: Endpoint, wrong: dict[str, str], field: str, said: str
) -> None:
    other = Endpoint.register(url="http://localhost:3001/", events=["*"])
    typed = form(other, type="message.received", data='{"text":"<b>"}', copies="1") | wrong
    answer = client.post("/send/", typed)
    html = answer.content.decode()
    assert answer.status_code == 400 and Event.objects.count() == 0
    assert is_whole(html) and said in html.split(f'data-field="{field}"')[1].split("</p>")[0]
    shown = answer.context
    assert (shown["sample"], shown["copies"]) == (typed["data"], typed["copies"])
    if field != "type":
        assert re.search(r'value="message.received" checked', html)
    if field == "endpoint":
        assert (
            '<option value="ep_00000000000" selected>Deleted' in html
        )  # or the next press would go elsewhere
    else:
        assert f'value="{other.pk}" selected' in html
    mended = form(other) | {"token": shown["token"]}
    assert client.post("/send/", mended).status_code == 302 and Delivery.objects.get().endpoint == other


def test_without_a_script_it_is_said_on_a_page_that_nobody_subscribes(
    client: Client, endpoint: Endpoint
) -> None:
    endpoint.change(events=["message.received"])
    answer = client.post("/send/", form("everyone"))
    html = answer.content.decode()
    assert answer.status_code == 200 and is_whole(html)
    assert "nothing was sent" in html and "{&quot;score&quot;:90}" in html


def test_without_a_script_a_wrong_url_comes_back_in_its_field(client: Client, db: None) -> None:
    answer = client.post("/send/receiver/", {"token": "t", "url": "http://example.com/x"})
    html = answer.content.decode()
    assert answer.status_code == 400 and is_whole(html) and Endpoint.objects.count() == 0
    assert 'value="http://example.com/x"' in html and html.count("use https") == 1


def test_without_a_script_a_check_answers_on_the_page_of_its_endpoint(
    client: Client, dead_url: str, db: None
) -> None:
    endpoint = Endpoint.register(url=dead_url, events=["*"])
    html = client.post(f"/endpoints/{endpoint.pk}/check/").content.decode()
    assert is_whole(html) and "Nothing listens" in html
