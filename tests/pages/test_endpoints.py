"""The endpoints' page: errors at their field, nothing half-saved, secrets only on request, no silent overwrite."""

import re
from collections.abc import Callable, Iterator
from html import unescape

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from console.views import endpoints
from simulator import transaction
from simulator.api.gate import api_key
from simulator.models import Activity, Delivery, Endpoint
from tests.receiving import Receiver

GOOD = {
    "token": "t1",
    "url": "http://localhost:4000/hook",
    "description": "Leads",
    "events": ["lead.qualified", "message.received"],
    "timeout": "2.5",
    "retry": "1, 2.5",
    "max_in_flight": "3",
    "headers": "x-tenant: acme\nx-more: a: b",
    "signature": "stripe",
    "extras": "on",
}


def test_a_list_of_any_length_costs_the_same_number_of_queries(
    client: Client, db: None, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(12):
        Endpoint.register(url=f"http://localhost:{5000 + number}/", events=["*"])
    with django_assert_max_num_queries(4):
        assert client.get("/endpoints/").content.count(b"data-endpoint-id=") == 12


def test_the_newest_are_shown_and_a_link_leads_to_the_older_ones(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3,000 of them were 11 MB, and took seconds."""
    monkeypatch.setattr(endpoints, "PAGE", 2)
    made = [
        Endpoint.register(url=f"http://localhost:{5000 + number}/", events=["*"]).pk for number in range(5)
    ]
    pages, address = [], "/endpoints/"
    while address:
        html = client.get(address).content.decode()
        pages.append(re.findall(r'data-endpoint-id="(\w+)"', html))
        link = re.search(r'href="(\?before=\w+)">Show older', html)
        address = f"/endpoints/{link[1]}" if link else ""
    assert pages == [made[:2:-1], made[2:0:-1], made[:1]]


def test_a_page_of_older_ones_that_were_all_deleted_leads_to_the_newest(
    client: Client, endpoint: Endpoint
) -> None:
    assert client.get(f"/endpoints/?before={endpoint.pk}")["Location"] == "/endpoints/"
    assert endpoint.pk in client.get("/endpoints/?before=nonsense").content.decode()


def test_an_empty_list_teaches(client: Client, db: None) -> None:
    assert "An endpoint is the URL of a receiver" in client.get("/endpoints/").content.decode()


def test_registering_shows_the_secret_once_and_the_code(client: Client, db: None) -> None:
    html = client.post("/endpoints/new/", GOOD).content.decode()
    endpoint = Endpoint.objects.get()
    assert endpoint.current_secret() in html and "compare_digest" in html
    assert (endpoint.url, endpoint.events, endpoint.timeout) == (GOOD["url"], GOOD["events"], 2.5)
    assert (endpoint.retry_delays, endpoint.max_in_flight) == ([1, 2.5], 3)
    assert endpoint.headers == {"x-tenant": "acme", "x-more": "a: b"}
    assert (endpoint.profile.preset, endpoint.extras, endpoint.tls_verify) == ("stripe", True, False)


def test_a_form_without_its_token_says_so_and_gets_another_one(client: Client, db: None) -> None:
    html = client.post("/endpoints/new/", {**GOOD, "token": ""}).content.decode()
    assert "This form had expired. Press the button below again." in html and "marked below" not in html
    token = re.search(r'name="token" value="(\S+?)"', html)
    assert token and token[1] != "None" and not Endpoint.objects.exists()
    client.post("/endpoints/new/", {**GOOD, "token": token[1]})
    assert Endpoint.objects.count() == 1


def test_the_same_form_twice_registers_once(client: Client, db: None) -> None:
    client.post("/endpoints/new/", GOOD)
    again = client.post("/endpoints/new/", GOOD)
    assert Endpoint.objects.count() == 1
    assert again.headers["Location"] == f"/endpoints/{Endpoint.objects.get().pk}/?registered"
    assert ">Registered.<" in client.get(again.headers["Location"]).content.decode()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("url", "", "Enter the URL"),
        ("url", "ftp://localhost/", "http"),
        ("url", "http://example.com/", "use https"),
        ("url", "http://user:pass@localhost/", "user name or password"),
        ("url", "http://localhost:99999/", "ort"),
        ("url", "javascript:alert(1)", "http"),
        ("events", [], "Choose at least one event"),
        ("events", ["lead.exploded"], "There is no event lead.exploded"),
        ("url", "http://localhost/" + "x" * 6000, "at most 2,048 characters"),
        ("headers", "no colon", "Line 1"),
        ("headers", "host: evil", "The simulator writes host itself"),
        ("headers", "x: a\nX: b", "twice"),
        ("headers", "x-a: sn\u00f6", "x-a: A header value must be 1 to 4,096 printable ASCII"),
        ("headers", "x a: b", "x a: A header name must be"),
        ("headers", "x: " + "a" * 100_000, "Headers: Must have at most"),
        ("retry", "1.5 " * 251, "Retry delays: Must have at most 50 entries"),
        ("signature", "homemade", "Choose one"),
        ("signature", "", "Choose one"),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_saved(
    client: Client, db: None, field: str, value: object, said: str
) -> None:
    answer = client.post("/endpoints/new/", GOOD | {field: value})
    assert answer.status_code == 400 and Endpoint.objects.count() == 0
    html = answer.content.decode()
    assert f'id="e-{field}"' in html and said in html.split(f'id="e-{field}"')[1].split("</span>")[0]
    assert f'aria-invalid="true" aria-describedby="e-{field}"' in html
    assert f'value="{GOOD["description"]}"' in html  # what was typed is kept


@pytest.mark.parametrize(
    ("field", "typed", "value", "name"),
    [
        ("timeout", "0", 0, "Timeout"),
        ("timeout", "120.5", 120.5, "Timeout"),
        ("timeout", "soon", "soon", "Timeout"),
        ("timeout", "", "", "Timeout"),
        ("description", "x" * 1001, "x" * 1001, "Description"),
        ("max_in_flight", "1001", 1001, "Max. in flight"),
        ("max_in_flight", "-1", -1, "Max. in flight"),
        ("max_in_flight", "2.5", 2.5, "Max. in flight"),
        ("retry", "2, x", {"delays": [2, "x"]}, "Retry delays, x"),
        ("retry", "4 -1 2", {"delays": [4, -1, 2]}, "Retry delays, -1"),
        ("retry", "86401", {"delays": [86_401]}, "Retry delays, 86401"),
        ("retry", "1 " * 51, {"delays": [1] * 51}, "Retry delays"),
    ],
)
def test_what_is_out_of_range_is_refused_in_the_words_of_the_api(
    client: Client, db: None, field: str, typed: str, value: object, name: str
) -> None:
    html = client.post("/endpoints/new/", GOOD | {field: typed}).content.decode()
    assert f'aria-invalid="true" aria-describedby="e-{field}"' in html
    said = unescape(html.split(f'id="e-{field}"')[1].split("</span>")[0])
    body = {"url": GOOD["url"], "events": ["*"], field: value}
    answer = client.post(
        "/api/v1/webhooks", body, "application/json", headers={"Authorization": f"Bearer {api_key()}"}
    )
    path, _, words = answer.json()["error"]["message"].partition(": ")
    assert path.startswith(field) and said.endswith(f"{name}: {words}") and words.startswith("Must ")
    assert Endpoint.objects.count() == 0


@pytest.mark.parametrize("typed", ["nan", "inf", "-inf", "1e999"])
def test_what_json_cannot_say_is_no_number_either(client: Client, db: None, typed: str) -> None:
    html = client.post("/endpoints/new/", GOOD | {"timeout": typed, "retry": typed}).content.decode()
    assert html.count("Must be a number.") == 2


@pytest.fixture(params=["locked", "gone"])
def unwritable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What is said of a database that takes nothing: after the form was checked, or before."""

    def fail(*_: object, **__: object) -> None:
        raise OperationalError("database is locked")

    if request.param == "gone":
        transaction.shut("The database file is gone.")
        yield "The database file is gone"
    else:
        monkeypatch.setattr(Endpoint, "register", fail)
        monkeypatch.setattr(Endpoint, "change", fail)
        yield "Another program has locked the database"
    transaction.shut(None)


@pytest.mark.parametrize("kind", ["new", "edit"])
def test_what_cannot_be_stored_now_stays_in_the_form(
    client: Client, endpoint: Endpoint, unwritable: str, kind: str
) -> None:
    address = "/endpoints/new/" if kind == "new" else f"/endpoints/{endpoint.pk}/edit/"
    before = edit(client, endpoint) if kind == "edit" else GOOD
    answer = client.post(address, before | {"description": "Typed for long"})
    html = answer.content.decode()
    assert answer.status_code == 503 and "Not saved" in html and unwritable in html
    assert 'value="Typed for long"' in html and "see the fields" not in html
    assert [one.description for one in Endpoint.objects.all()] == ["Mine"]


def edit(client: Client, endpoint: Endpoint) -> dict[str, object]:
    """The edit form as the page fills it in."""
    form = client.get(f"/endpoints/{endpoint.pk}/edit/").context["form"]
    return {name: value for name in form.fields if (value := form[name].value()) not in (None, False)}


def test_an_edit_changes_what_was_edited_and_nothing_else(client: Client, endpoint: Endpoint) -> None:
    answer = client.post(f"/endpoints/{endpoint.pk}/edit/", edit(client, endpoint) | {"timeout": "7"})
    assert answer.status_code == 302
    fresh = Endpoint.objects.get()
    assert (fresh.timeout, fresh.url, fresh.events, fresh.tls_verify) == (7, endpoint.url, ["*"], True)
    assert Activity.objects.get(action="changed endpoint").detail == "timeout"


def test_an_edit_without_a_change_is_none(client: Client, endpoint: Endpoint) -> None:
    client.post(f"/endpoints/{endpoint.pk}/edit/", edit(client, endpoint))
    assert Endpoint.objects.get().revision == 1


def test_the_later_of_two_edits_sees_both_values_before_anything_is_overwritten(
    client: Client, endpoint: Endpoint
) -> None:
    address = f"/endpoints/{endpoint.pk}/edit/"
    first, second = edit(client, endpoint), edit(client, endpoint)
    client.post(address, first | {"timeout": "7"})
    answer = client.post(address, second | {"timeout": "9"})
    html = answer.content.decode()
    assert answer.status_code == 409 and Endpoint.objects.get().timeout == 7
    assert "<td>7</td><td>9</td>" in html
    decided = second | {"timeout": "9", "base": answer.context["form"]["base"].value()}
    assert client.post(address, decided).status_code == 302
    assert Endpoint.objects.get().timeout == 9


def test_edits_of_the_same_to_the_same_do_not_conflict(client: Client, endpoint: Endpoint) -> None:
    address = f"/endpoints/{endpoint.pk}/edit/"
    first, second = edit(client, endpoint), edit(client, endpoint)
    client.post(address, first | {"timeout": "7"})
    endpoint.refresh_from_db()
    endpoint.pause()
    assert client.post(address, second | {"timeout": "7"}).status_code == 302


def test_pause_holds_and_resume_lets_go_and_a_second_click_changes_nothing(
    htmx: Client, endpoint: Endpoint, deliver: Callable[..., Delivery]
) -> None:
    delivery = deliver()
    for _ in range(2):
        html = htmx.post(f"/endpoints/{endpoint.pk}/status/", {"status": "paused"}).content.decode()
    assert 'data-status="paused"' in html and "Resume" in html
    delivery.refresh_from_db()
    assert delivery.held and Endpoint.objects.get().revision == 2
    htmx.post(f"/endpoints/{endpoint.pk}/status/", {"status": "enabled"})
    delivery.refresh_from_db()
    assert not delivery.held


def test_the_secret_comes_only_by_post_and_is_never_stored(htmx: Client, endpoint: Endpoint) -> None:
    assert htmx.get(f"/endpoints/{endpoint.pk}/secret/").status_code == 405
    answer = htmx.post(f"/endpoints/{endpoint.pk}/secret/")
    assert endpoint.current_secret() in answer.content.decode()


def test_who_had_the_secret_shown_stands_in_the_activity_without_it(htmx: Client, endpoint: Endpoint) -> None:
    htmx.get(f"/endpoints/{endpoint.pk}/secret/")
    assert not Activity.objects.filter(action="revealed secret").exists()
    htmx.post(f"/endpoints/{endpoint.pk}/secret/")
    entry = Activity.objects.get(action="revealed secret")
    assert (entry.actor, entry.subject, entry.detail) == ("console", endpoint.pk, "")


def test_rotation_shows_the_new_secret_and_until_when_the_old_one_signs(
    htmx: Client, endpoint: Endpoint
) -> None:
    old = endpoint.current_secret()
    html = htmx.post(f"/endpoints/{endpoint.pk}/rotate/", {"overlap": "3600"}).content.decode()
    assert endpoint.current_secret() != old and endpoint.current_secret() in html
    assert "also signs until" in html and len(endpoint.valid_secrets()) == 2
    card = htmx.get("/endpoints/").content.decode()
    assert f"whsec_…{old[-4:]}" in card and "also signs until" in card
    htmx.post(f"/endpoints/{endpoint.pk}/rotate/", {"overlap": "0"})
    assert len(endpoint.valid_secrets()) == 1
    assert htmx.post(f"/endpoints/{endpoint.pk}/rotate/", {"overlap": "1e9"}).status_code == 400


def test_deleting_asks_first_cancels_what_waits_and_keeps_history(
    client: Client, endpoint: Endpoint, deliver: Callable[..., Delivery]
) -> None:
    delivery = deliver()
    assert (
        "1 delivery that still waits is cancelled"
        in client.get(f"/endpoints/{endpoint.pk}/delete/").content.decode()
    )
    answer = client.post(f"/endpoints/{endpoint.pk}/delete/")
    assert answer.headers["Location"] == "/endpoints/?deleted"
    delivery.refresh_from_db()
    assert delivery.status == "cancelled"
    assert client.get(f"/deliveries/{delivery.pk}/").status_code == 200
    assert client.get(f"/endpoints/{endpoint.pk}/").status_code == 404
    assert client.get(f"/endpoints/{endpoint.pk}/snippets/").status_code == 200


@pytest.mark.parametrize("page", ["delete", "pause", "resume", "remove"])
def test_what_changes_for_all_that_waits_does_not_read_what_has_ended(
    client: Client, endpoint: Endpoint, deliver: Callable[..., Delivery], page: str
) -> None:
    """With a million of them, everybody else waited a second for the lock."""
    deliver()
    if page == "resume":
        endpoint.pause()
    with CaptureQueriesContext(connection) as asked:
        client.get(f"/endpoints/{endpoint.pk}/delete/") if page == "delete" else getattr(endpoint, page)()
    steps = []
    for sql in {one["sql"] for one in asked if "simulator_delivery" in one["sql"]}:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            steps += [row[3] for row in cursor.fetchall()]
    reads = [step for step in steps if "simulator_delivery" in step]
    assert reads and all("INDEX due (lane=? AND endpoint_id=?" in step for step in reads), steps


def test_a_test_event_is_of_a_type_it_subscribes_to(htmx: Client, endpoint: Endpoint) -> None:
    endpoint.change(events=["message.received"])
    html = htmx.post(f"/endpoints/{endpoint.pk}/test/").content.decode()
    delivery = Delivery.objects.get()
    assert delivery.type == "message.received" and f"/?open={delivery.pk}" in html


@pytest.mark.django_db(transaction=True)
def test_check_says_reachable_without_a_byte_of_http_or_what_is_in_the_way(
    client: Client, receiver: Receiver, dead_url: str
) -> None:
    endpoint = Endpoint.register(url=receiver.url, events=["*"])
    assert "No event was sent." in client.post(f"/endpoints/{endpoint.pk}/check/").content.decode()
    assert receiver.requests == []
    endpoint.change(url=dead_url)
    html = client.post(f"/endpoints/{endpoint.pk}/check/").content.decode()
    assert "Nothing listens on" in html and "Start your receiver" in html


def test_a_name_that_turns_the_direction_of_writing_turns_no_other(
    htmx: Client, endpoint: Endpoint, deliver: Callable[..., Delivery]
) -> None:
    endpoint.change(description="\u202eevil")
    delivery, isolated = deliver(), "<bdi>\u202eevil</bdi>"
    for page in (
        "/endpoints/",
        f"/endpoints/{endpoint.pk}/",
        f"/endpoints/{endpoint.pk}/edit/",
        f"/endpoints/{endpoint.pk}/delete/",
        "/send/audience/?endpoint=everyone&type=lead.qualified",
        "/deliveries/rows/",
        f"/deliveries/{delivery.pk}/detail/",
        f"/deliveries/{delivery.pk}/edit/",
    ):
        assert isolated in htmx.get(page).content.decode(), page


def test_a_card_keeps_apart_what_was_sent_and_what_is_pending(
    htmx: Client, endpoint: Endpoint, attempted: Callable[..., Delivery], deliver: Callable[..., Delivery]
) -> None:
    attempted("succeeded", status_code=200)
    deliver()
    html = htmx.get("/endpoints/").content.decode()
    assert "100 % succeeded</a> · <a" in html and "1 pending</a>" in html


def test_the_card_shows_what_a_test_event_and_a_rotation_have_changed(
    htmx: Client, endpoint: Endpoint
) -> None:
    html = htmx.post(f"/endpoints/{endpoint.pk}/test/").content.decode()
    assert f'id="{endpoint.pk}-recently" hx-swap-oob="true"' in html and "1 pending" in html
    html = htmx.post(f"/endpoints/{endpoint.pk}/rotate/", {"overlap": "0"}).content.decode()
    assert f'id="{endpoint.pk}-secrets" hx-swap-oob="true"' in html
    assert f"<code>whsec_…{endpoint.current_secret()[-4:]}</code>" in html


def test_a_test_event_to_a_paused_endpoint_is_not_called_sent(htmx: Client, endpoint: Endpoint) -> None:
    endpoint.pause()
    html = htmx.post(f"/endpoints/{endpoint.pk}/test/").content.decode()
    assert "it waits, because the endpoint is paused" in html and "Sent." not in html
