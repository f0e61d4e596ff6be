"""The list and the delivery, as pages: one query for a list, one template for a row, buttons that say why not."""

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from console import bodies, rows
from console.forms import MAX_BODY
from simulator.models import Activity, Delivery, Endpoint

from .conftest import Make


def test_the_page_contains_byte_for_byte_what_the_rows_address_returns(
    client: Client, attempted: Make
) -> None:
    for status in ("succeeded", "failed", "pending"):
        attempted(status, status_code=500)
    for query in ("", "?status=failed", "?q=lead"):
        fragment = client.get(f"/deliveries/rows/{query}").content
        assert fragment in client.get(f"/{query}").content


def test_sixty_rows_cost_four_queries_and_two_once_they_have_been_drawn(
    client: Client, deliver: Make, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(3):
        other = Endpoint.register(url=f"http://localhost:{4000 + number}/", events=["*"])
        for _ in range(20):
            deliver(to=other)
    for most in (4, 2):  # the newest seq goes past what counts here
        with django_assert_max_num_queries(most):
            answer = client.get("/deliveries/rows/")
    assert answer.content.count(b"data-delivery-id=") == 60
    with django_assert_max_num_queries(10):
        client.get(f"/?open={Delivery.objects.latest('pk').pk}")


def test_older_rows_come_by_cursor_without_gap_or_repeat(
    client: Client, deliver: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "PAGE", 4)
    sent = [deliver().pk for _ in range(10)]
    seen: list[str] = []
    address = "/deliveries/rows/"
    while address:
        html = client.get(address).content.decode()
        seen += [part.split('"')[0] for part in html.split('data-delivery-id="')[1:]]
        address = (
            html.split('hx-get="')[1].split('"')[0].replace("&amp;", "&") if 'cursor="' not in html else ""
        )
    assert seen == sent[::-1]


def test_named_rows_come_as_they_are_now(client: Client, deliver: Make) -> None:
    one, two, three = deliver(), deliver(), deliver()
    html = client.get(f"/deliveries/rows/some/?ids={one.pk},{three.pk},dlv_00000000000,evil").content.decode()
    assert html.count("data-delivery-id=") == 2 and two.pk not in html
    assert client.get("/deliveries/rows/some/").content == b""


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=failed", {"bad"}),
        ("status=retrying", {"again"}),
        ("status=nonsense", set()),
        ("type=lead.qualified", {"good", "bad", "again"}),
        ("type=message.received", set()),
        ("q=refused", {"bad"}),
        ("q=Mine", {"good", "bad", "again"}),
        ("endpoint=ep_00000000000", set()),
        ("endpoint=%27%20OR%201=1", set()),
        ("q=%00", {"good", "bad", "again"}),
        ("cursor=nonsense", set()),
    ],
)
def test_filters(client: Client, attempted: Make, query: str, found: set[str]) -> None:
    names = {
        attempted().pk: "good",
        attempted("failed", status_code=None, error="refused").pk: "bad",
        attempted("pending", status_code=503, error="status").pk: "again",
    }
    html = client.get(f"/deliveries/rows/?{query}").content.decode()
    assert {names[part.split('"')[0]] for part in html.split('data-delivery-id="')[1:]} == found


@pytest.mark.parametrize("kind", ["status", "type", "endpoint"])
def test_what_a_filter_names_and_nothing_is_called_is_chosen_applied_and_said(
    client: Client, attempted: Make, kind: str
) -> None:
    delivery = attempted()
    page = client.get(f"/?{kind}=%3Cb%3Enonsense").content.decode()
    assert delivery.pk not in page and "<b>nonsense" not in page
    assert (
        f"There is no {kind} “<bdi>&lt;b&gt;nonsense</bdi>”" in page and f"Choose “Any {kind}” above" in page
    )
    select = page.split(f'<select name="{kind}"')[1].split("</select>")[0]
    assert select.count(" selected") == 1 and " selected>&lt;b&gt;nonsense</option>" in select
    assert f"{kind}=%3Cb%3Enonsense" in page.split('data-query="')[1].split('"')[0]  # so is what comes later


def test_the_history_of_a_deleted_endpoint_is_found_under_its_name(client: Client, attempted: Make) -> None:
    delivery = attempted()
    delivery.endpoint.remove()
    page = client.get(f"/?endpoint={delivery.endpoint_id}").content.decode()
    assert delivery.pk in page and " selected>Mine (deleted)</option>" in page and "There is no" not in page


def test_a_filter_that_could_match_is_not_called_unknown(client: Client, attempted: Make) -> None:
    delivery = attempted()
    query = f"status=failed&type=lead.qualified&endpoint={delivery.endpoint_id}"
    page = client.get(f"/?{query}").content.decode()
    assert "Nothing matches this filter" in page and "There is no" not in page


def test_the_buttons_do_what_they_say(htmx: Client, attempted: Make) -> None:
    delivery = attempted("pending", status_code=500, error="status")
    htmx.post(f"/deliveries/{delivery.pk}/act/cancel/")
    delivery.refresh_from_db()
    assert delivery.status == "cancelled"
    htmx.post(f"/deliveries/{delivery.pk}/act/retry/")
    delivery.refresh_from_db()
    assert (delivery.status, delivery.manual) == ("pending", True)
    answer = htmx.post(f"/deliveries/{delivery.pk}/act/resend/")
    again = Delivery.objects.exclude(pk=delivery.pk).get()
    assert f'data-open="{again.pk}"' in answer.content.decode() and again.event_id == delivery.event_id
    noted = (
        Activity.objects.filter(subject=delivery.pk).order_by("pk").values_list("actor", "action", "detail")
    )
    assert list(noted) == [
        ("console", "cancelled delivery", ""),
        ("console", "retried delivery", ""),
        ("console", "resent delivery", again.pk),
    ]


def test_what_cannot_be_done_now_is_said_beside_the_page(htmx: Client, attempted: Make) -> None:
    answer = htmx.post(f"/deliveries/{attempted().pk}/act/retry/")
    assert answer.status_code == 409 and answer.headers["HX-Retarget"] == "#notices"
    assert "This delivery has succeeded" in answer.content.decode()


def test_without_htmx_a_button_leads_to_the_delivery(client: Client, attempted: Make) -> None:
    delivery = attempted("failed", status_code=500)
    answer = client.post(f"/deliveries/{delivery.pk}/act/retry/")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/deliveries/{delivery.pk}/")


def test_an_unknown_verb_is_not_there(client: Client, attempted: Make) -> None:
    assert client.post(f"/deliveries/{attempted().pk}/act/explode/").status_code == 404


def test_an_edited_body_is_a_new_event_and_an_untouched_one_the_same(htmx: Client, deliver: Make) -> None:
    delivery = deliver(body=b'{"a":\r\n1}')
    htmx.post(f"/deliveries/{delivery.pk}/edit/", {"raw_body": '{"a":\r\n1}'})
    htmx.post(f"/deliveries/{delivery.pk}/edit/", {"raw_body": '{"a": no JSON}'})
    same, edited = Delivery.objects.exclude(pk=delivery.pk).order_by("pk")
    assert same.event_id == delivery.event_id
    assert edited.event_id != delivery.event_id and bytes(edited.event.body) == b'{"a": no JSON}'


def test_a_form_without_a_body_sends_nothing(htmx: Client, deliver: Make) -> None:
    delivery = deliver()
    answer = htmx.post(f"/deliveries/{delivery.pk}/edit/")
    assert answer.status_code == 400 and "raw_body" in answer.content.decode()
    assert Delivery.objects.count() == 1


def test_a_body_is_downloaded_byte_for_byte_as_an_attachment(client: Client, attempted: Make) -> None:
    delivery = attempted(response_body=b"<script>\xff\0", response_size=10)
    answer = client.get(f"/deliveries/{delivery.pk}/body/response/?download")
    assert answer.content == b"<script>\xff\0"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert client.get(f"/deliveries/{delivery.pk}/body/request/?download").content == bytes(
        delivery.event.body
    )
    assert client.get(f"/deliveries/{delivery.pk}/body/secret/").status_code == 404


def test_another_view_of_a_body_keeps_its_heading(client: Client, attempted: Make) -> None:
    strange = {"status": "failed", "status_code": None, "error": "bad_response"}
    for fields, word in (({}, "Body"), (strange, "First bytes")):
        delivery = attempted(response_body=b"SSH-2.0-OpenSSH_9.6", **fields)
        heading = f'<h3>{word} <span class="muted">19 bytes</span></h3>'
        assert heading in client.get(f"/deliveries/{delivery.pk}/").content.decode()
        assert heading in client.get(f"/deliveries/{delivery.pk}/body/response/?view=hex").content.decode()


def test_curl_sends_the_same_bytes_and_headers(client: Client, attempted: Make) -> None:
    delivery = attempted()
    text = client.get(f"/deliveries/{delivery.pk}/curl/").content.decode()
    assert text.startswith("curl ") and bytes(delivery.event.body).decode() in text
    assert "x-ultrareach-timestamp: 1738896900" in text


MARKED = (
    b'{"a":"\xe2\x80\x8b\xd0\xb6",\r\n"b":"' + b"x" * 100_000 + b'"}'
)  # a zero-width space, and far beyond the preview


@pytest.mark.parametrize("part", ["request", "response"])
def test_what_is_copied_of_a_body_is_all_of_it_in_its_view_and_nothing_is_marked(
    client: Client, attempted: Make, deliver: Make, part: str
) -> None:
    delivery = attempted(delivery=deliver(body=MARKED), response_body=MARKED, response_headers=[])

    def copied(view: str) -> str:
        answer = client.get(f"/deliveries/{delivery.pk}/body/{part}/?attempt=1&view={view}&copy")
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        return answer.content.decode()

    assert copied("raw") == MARKED.decode()
    assert copied("pretty") == '{\n  "a": "\u200bж",\n  "b": "' + "x" * 100_000 + '"\n}'
    assert copied("hex") == bodies.hexdump(MARKED)


def test_the_signed_bytes_are_copied_as_they_were_signed_at_the_attempt(
    client: Client, attempted: Make, deliver: Make
) -> None:
    delivery = deliver(body=MARKED)
    assert client.get(f"/deliveries/{delivery.pk}/signed/").status_code == 404
    for moment in (1738896900, 1738896902):
        attempted("pending", delivery=delivery, status_code=500, error="status", signed_at=moment)
    for query, moment in {"": b"1738896902", "?attempt=1": b"1738896900"}.items():
        answer = client.get(f"/deliveries/{delivery.pk}/signed/{query}")
        assert answer.content == moment + b"." + MARKED
    assert client.get(f"/deliveries/{delivery.pk}/signed/?attempt=9").status_code == 404


def test_an_edited_body_is_as_large_as_the_api_takes_it_and_no_larger(htmx: Client, deliver: Make) -> None:
    address = f"/deliveries/{deliver().pk}/edit/"
    answer = htmx.post(address, {"raw_body": "ж" * (MAX_BODY // 2) + "."})
    assert answer.headers["HX-Retarget"] == "#notices" and "at most 1 MiB" in answer.content.decode()
    assert Delivery.objects.count() == 1
    htmx.post(address, {"raw_body": "ж" * (MAX_BODY // 2)})
    assert Delivery.objects.count() == 2


def test_what_waits_for_its_first_attempt_is_retried_or_held_is_pending_everywhere(
    client: Client, attempted: Make
) -> None:
    delivery = attempted("pending", status_code=500, error="status")
    assert "1 pending</a>" in client.get(f"/endpoints/{delivery.endpoint_id}/").content.decode()
    page = client.get("/?status=pending").content.decode()
    assert delivery.pk in page and '<option value="pending" selected>Pending</option>' in page


def test_an_address_that_opens_no_delivery_says_so_where_it_would_be(client: Client, db: None) -> None:
    page = client.get("/?open=dlv_nope")
    assert page.status_code == 200
    detail = page.content.decode().split('id="detail"')[1]
    assert "There is no such delivery in this data folder." in detail and "welcome" not in detail
