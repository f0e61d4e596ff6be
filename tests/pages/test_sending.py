"""The send panel: who gets it, one event a form, and what cannot be sent said at its field."""

import pytest
from django.test import Client

from simulator import sending
from simulator.models import Delivery, Endpoint, Event
from tests.receiving import Receiver


def form(to: Endpoint | str, **fields: str) -> dict[str, str]:
    pk = to if isinstance(to, str) else to.pk
    return {"token": "t1", "endpoint": pk, "type": "lead.qualified", "data": '{"score":90}'} | fields


def test_everything_is_filled_in_so_that_the_first_click_works(client: Client, endpoint: Endpoint) -> None:
    page = client.get("/")
    fields = {
        "endpoint": page.context["endpoints"][0].pk,
        "type": page.context["type"],
        "data": page.context["sample"],
        "token": page.context["token"],
    }
    assert client.post("/send/", fields).status_code == 302
    assert Delivery.objects.get().type == "lead.qualified"


def test_the_same_form_twice_sends_once(htmx: Client, endpoint: Endpoint) -> None:
    first, second = (htmx.post("/send/", form(endpoint)).content.decode() for _ in range(2))
    assert Event.objects.count() == 1
    assert Delivery.objects.get().pk in first and Delivery.objects.get().pk in second


def test_a_form_that_was_changed_after_its_answer_was_lost_is_sent_and_not_called_sent(
    htmx: Client, endpoint: Endpoint
) -> None:
    for data in ('{"score":90}', '{"score":91}', '{"score":91}'):
        htmx.post("/send/", form(endpoint.pk, data=data))
    assert Delivery.objects.count() == 2
    for port in (4100, 4101, 4101):
        htmx.post("/send/receiver/", {"token": "t1", "url": f"http://localhost:{port}/"})
    assert Endpoint.objects.filter(url__startswith="http://localhost:410").count() == 2


def test_everyone_who_subscribes_gets_it_and_the_others_are_named_before(
    htmx: Client, endpoint: Endpoint
) -> None:
    Endpoint.register(url="http://localhost:3001/", events=["message.received"], description="Other")
    Endpoint.register(url="http://localhost:3002/", events=["*"], description="Asleep").pause()
    said = htmx.get("/send/audience/?endpoint=everyone&type=lead.qualified").content.decode()
    assert "Goes to <b><bdi>Mine</bdi></b>" in said
    assert "<b><bdi>Other</bdi></b> (not subscribed)" in said and "<b><bdi>Asleep</bdi></b> (paused)" in said
    htmx.post("/send/", form("everyone"))
    assert Delivery.objects.get().endpoint == endpoint


def test_nobody_subscribed_is_said_and_not_an_error(htmx: Client, endpoint: Endpoint) -> None:
    endpoint.change(events=["message.received"])
    assert (
        "Nobody subscribes"
        in htmx.get("/send/audience/?endpoint=everyone&type=lead.qualified").content.decode()
    )
    assert "nothing was sent" in htmx.post("/send/", form("everyone")).content.decode()


def test_what_waits_for_a_paused_endpoint_is_not_called_sent(htmx: Client, endpoint: Endpoint) -> None:
    endpoint.pause()
    said = htmx.post("/send/", form(endpoint)).content.decode()
    assert "it waits, because <b><bdi>Mine</bdi></b> is paused" in said and "Sent." not in said


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("token", "", "Press Send test event again"),
        ("token", "x" * 101, "Press Send test event again"),
        ("endpoint", "", "Choose an endpoint."),
        ("endpoint", "x" * 41, "Choose another one."),
        ("type", "", "Choose an event type."),
        ("type", "x" * 101, "Choose another one."),
    ],
)
def test_what_a_form_lacks_is_named(
    htmx: Client, endpoint: Endpoint, field: str, typed: str, said: str
) -> None:
    answer = htmx.post("/send/", form(endpoint) | {field: typed})
    assert answer.status_code == 400 and Event.objects.count() == 0
    assert said in answer.content.decode().split(f'data-field="{field}"')[1].split("</p>")[0]


def test_of_several_each_says_where_it_went(htmx: Client, endpoint: Endpoint) -> None:
    Endpoint.register(url="http://localhost:3001/", events=["*"], description="Other")
    said = htmx.post("/send/", form("everyone")).content.decode()
    assert "Sent to <b><bdi>Mine</bdi></b>." in said and "Sent to <b><bdi>Other</bdi></b>." in said


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"data": "{"}, "data", "Line 1, column 2"),
        ({"data": "[1]"}, "data", "object"),
        ({"data": '{"a":1,"a":2}'}, "data", "twice"),
        ({"data": '{"a":NaN}'}, "data", "NaN"),
        ({"data": ""}, "data", ""),
        ({"data": "[" * 5000}, "data", "64"),
        ({"type": "lead.exploded"}, "type", "no such event type"),
        ({"endpoint": "ep_00000000000"}, "endpoint", "gone"),
        ({"token": ""}, "token", ""),
    ],
)
def test_what_cannot_be_sent_is_said_at_its_field(
    htmx: Client, endpoint: Endpoint, fields: dict[str, str], field: str, said: str
) -> None:
    answer = htmx.post("/send/", form(endpoint, **fields))
    html = answer.content.decode()
    assert answer.status_code == 400 and Event.objects.count() == 0
    assert f'data-field="{field}"' in html and said in html


@pytest.mark.django_db(transaction=True)
def test_an_endpoint_that_goes_between_the_check_and_the_sending_is_said_to_be_gone(
    htmx: Client, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_up = sending._draft
    monkeypatch.setattr(sending, "_draft", lambda content: (endpoint.remove(), draw_up(content))[1])
    answer = htmx.post("/send/", form(endpoint))
    html = answer.content.decode()
    assert answer.status_code == 400 and Event.objects.count() == 0
    assert 'data-field="endpoint"' in html and "gone" in html
    answer = htmx.post(f"/endpoints/{endpoint.pk}/test/")
    assert answer.status_code == 404 and "gone" in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_so_it_is_when_a_burst_was_asked_for(
    htmx: Client, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = sending.send_batch
    monkeypatch.setattr(sending, "send_batch", lambda *a, **k: (endpoint.remove(), start(*a, **k))[1])
    answer = htmx.post("/send/", form(endpoint, copies="5"))
    html = answer.content.decode()
    assert answer.status_code == 400 and 'data-field="endpoint"' in html and "gone" in html


def test_the_check_gives_line_column_and_size(htmx: Client, db: None) -> None:
    assert "Valid JSON · 10 bytes" in htmx.post("/send/check/", {"data": '{ "a": "ü" }'}).content.decode()
    html = htmx.post("/send/check/", {"data": '{\n "a" 1}'}).content.decode()
    assert 'data-line="2" data-column="6"' in html


def test_format_keeps_every_token(htmx: Client, db: None) -> None:
    html = htmx.post("/send/format/", {"data": '{"a":1.0,"b":1e2}'}).content.decode()
    assert "&quot;a&quot;: 1.0,\n  &quot;b&quot;: 1e2" in html
    assert "{broken" in htmx.post("/send/format/", {"data": "{broken"}).content.decode()


def test_a_fresh_sample_differs_and_an_unknown_type_is_empty(htmx: Client, db: None) -> None:
    one, two = (htmx.get("/send/sample/?type=lead.qualified").content for _ in range(2))
    assert one != two
    assert b"{}" in htmx.get("/send/sample/?type=nothing").content


@pytest.mark.django_db(transaction=True)
def test_the_dot_tells_reachable_refused_and_not_allowed(
    htmx: Client, receiver: Receiver, dead_url: str
) -> None:
    assert "reach yes" in htmx.post("/send/reach/", {"url": receiver.url}).content.decode()
    endpoint = Endpoint.register(url=receiver.url, events=["*"])
    assert "reach yes" in htmx.post("/send/reach/", {"endpoint": endpoint.pk}).content.decode()
    assert "unknown" in htmx.post("/send/reach/", {"endpoint": "ep_00000000000"}).content.decode()
    assert "Nothing listens" in htmx.post("/send/reach/", {"url": dead_url}).content.decode()
    assert "reach bad" in htmx.post("/send/reach/", {"url": "http://example.com/"}).content.decode()
    assert receiver.requests == []


def test_one_field_registers_once_and_shows_secret_and_code(htmx: Client, db: None) -> None:
    fields = {"token": "t2", "url": " http://localhost:3000/webhook "}
    answers = [htmx.post("/send/receiver/", fields) for _ in range(2)]
    endpoint = Endpoint.objects.get()
    for answer in answers:
        assert answer.headers["HX-Retarget"] == "#detail"
        assert endpoint.current_secret() in answer.content.decode()
        assert "timingSafeEqual" in answer.content.decode()
    assert (endpoint.url, endpoint.events) == ("http://localhost:3000/webhook", ["*"])


def test_a_bad_url_stays_in_its_field_with_the_reason(htmx: Client, db: None) -> None:
    answer = htmx.post("/send/receiver/", {"token": "t", "url": "http://example.com/x"})
    html = answer.content.decode()
    assert answer.status_code == 400 and Endpoint.objects.count() == 0
    assert 'value="http://example.com/x"' in html and "use https" in html


def test_after_a_bad_url_the_form_it_left_registers_the_right_one(htmx: Client, db: None) -> None:
    token = htmx.post("/send/receiver/", {"token": "t", "url": "http://example.com/x"}).context["token"]
    answer = htmx.post("/send/receiver/", {"token": token, "url": "http://localhost:3000/"})
    assert answer.status_code == 200 and Endpoint.objects.get().url == "http://localhost:3000/"


def test_what_is_wrong_with_no_visible_field_is_said_too(htmx: Client, db: None) -> None:
    answer = htmx.post("/send/receiver/", {"token": "", "url": "http://localhost:3000/"})
    assert answer.status_code == 400 and "Press Add again" in answer.content.decode()
    assert answer.context["token"]


def test_an_endpoint_that_is_gone_stays_chosen(htmx: Client, endpoint: Endpoint) -> None:
    Endpoint.register(url="http://localhost:3001/", events=["*"], description="Other")
    assert "Deleted" not in htmx.get(f"/send/endpoints/?endpoint={endpoint.pk}").content.decode()
    endpoint.remove()
    html = htmx.get(f"/send/endpoints/?endpoint={endpoint.pk}").content.decode()
    assert f'<option value="{endpoint.pk}" selected>Deleted</option>' in html and html.count(" selected") == 1
    assert html.index("Other") < html.index("Deleted")


def test_the_list_is_offered_the_endpoints_as_they_are_now_and_keeps_its_choice(
    htmx: Client, endpoint: Endpoint
) -> None:
    endpoint.change(description="Renamed")
    chosen = f'<option value="{endpoint.pk}" selected>Renamed'
    address = f"/send/endpoints/?endpoint=everyone&filter={endpoint.pk}"
    filter = htmx.get(address).content.decode().split('id="filter-endpoint"')[1]
    assert f"{chosen}</option>" in filter
    endpoint.remove()
    assert f"{chosen} (deleted)</option>" in htmx.get(address).content.decode()


def test_a_paused_endpoint_is_announced(htmx: Client, endpoint: Endpoint) -> None:
    endpoint.pause()
    said = htmx.get(f"/send/audience/?endpoint={endpoint.pk}&type=lead.qualified").content.decode()
    assert "it waits until you resume" in said


def test_without_a_script_it_is_said_that_the_receiver_is_registered(client: Client, db: None) -> None:
    answer = client.post("/send/receiver/", {"token": "t", "url": "http://localhost:3000/"}, follow=True)
    assert ">Registered.<" in answer.content.decode()
