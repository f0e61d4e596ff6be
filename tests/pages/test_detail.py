"""The detail says what was sent, what came back, what happens next, and what to change."""

import pytest
from django.test import Client

from console import detail
from simulator.api import shapes
from simulator.models import Delivery, Endpoint

from .conftest import Make


def shown(delivery: Delivery, number: int = 0) -> str:
    html = detail.render(delivery.pk, number)
    assert html is not None
    return html


def test_there_is_none_for_an_unknown_delivery(db: None) -> None:
    assert detail.render("dlv_00000000000") is None


def test_a_result_that_comes_between_the_two_queries_is_told_whole(attempted: Make, deliver: Make) -> None:
    delivery = deliver()
    seen = Delivery.objects.get(pk=delivery.pk)  # the first query; then the result is committed
    attempted("succeeded", delivery=delivery)
    told = detail.context(seen)
    assert [(seen.status, attempt.status) for attempt in told["attempts"]] == [("succeeded", "succeeded")]
    assert "answered 200" in told["verdict"].sentence


def test_the_api_never_shows_an_ended_attempt_of_a_delivery_that_is_still_sending(
    attempted: Make, deliver: Make
) -> None:
    delivery = deliver()
    seen = Delivery.objects.select_related("event", "endpoint").get(pk=delivery.pk)
    attempted("failed", delivery=delivery, status_code=500, error="status")
    told = shapes.delivery_with_attempts(seen)
    assert (told["status"], told["last_attempt"]["status_code"]) == ("failed", 500)
    assert [attempt["status"] for attempt in told["attempts"]] == ["failed"]


def test_every_failure_has_its_hint(attempted: Make) -> None:
    delivery = attempted("failed", status_code=403, error="status", response_body=b"csrftoken missing")
    assert "@csrf_exempt" in shown(delivery)


def test_a_hint_stands_there_without_marks_of_another_language(attempted: Make) -> None:
    header = ["Location", "http://localhost:3000/webhook/"]
    html = shown(attempted("failed", status_code=301, error="redirect", response_headers=[header]))
    assert "register the URL with a slash at its end (http://localhost:3000/webhook/)" in html
    assert "`" not in html


def test_interrupted_has_a_badge_and_a_sentence_of_its_own(attempted: Make) -> None:
    delivery = attempted(
        "pending", status="interrupted", status_code=None, error="interrupted", duration_ms=800
    )
    html = shown(delivery)
    assert "The simulator stopped 0.8 s into this attempt." in html
    assert "Sent again as attempt 2 with the same event id" in html
    assert 'class="badge interrupted"' in html


def test_a_cut_body_says_how_much_is_missing(attempted: Make) -> None:
    delivery = attempted(
        response_body=b"x" * 262144,
        response_size=262144,
        declared_size=1024**3,
        truncated=True,
        response_headers=[],
    )
    html = shown(delivery)
    assert "256 KiB kept of 1 GiB declared" in html
    assert "248 KiB more" in html and "Show all" in html


@pytest.mark.parametrize(
    ("asked", "words"),
    [(7200.0, "2 h; the wait is 1 h"), (1e300, "over 30 years; the wait is 1 h")],
)
def test_a_retry_after_says_what_was_asked_and_what_is_waited(
    attempted: Make, asked: float, words: str
) -> None:
    said = {"status_code": 503, "error": "status", "retry_after_asked": asked, "retry_after_used": 3600.0}
    assert f"Retry-After asked for {words}." in shown(attempted("pending", **said))


def test_the_time_in_the_list_is_found_in_the_detail_without_a_hover(attempted: Make) -> None:
    html = shown(attempted(duration_ms=12.4, phases={"send": 0.1, "wait": 6.9}))  # the row says 12 ms
    verdict, attempt = html.split('class="verdict')[1].split("</p>")[0], html.split('id="attempt-title"')[1]
    assert "answered 200 after 7 ms; including our own work, the attempt took 12 ms." in verdict
    assert " · 12 ms</span></h3>" in attempt.split("<p>")[0]
    assert '<span class="muted">after 7 ms</span>' in response(html)


def response(html: str) -> str:
    return html.split('data-part="response">')[1].split('data-part="signature-attempts"')[0]


def test_a_body_is_as_large_as_what_is_kept_of_it(attempted: Make) -> None:
    sizes = {"response_size": 290_714, "declared_size": 410_000, "truncated": True}
    html = response(shown(attempted(response_body=b"x" * 262_144, response_headers=[], **sizes)))
    assert 'Body <span class="muted">256 KiB</span>' in html and "256 KiB kept of 400.4 KiB declared" in html


def test_what_was_no_answer_is_called_by_its_name(attempted: Make) -> None:
    failed = {"after": "failed", "status_code": None}
    first = {"response_body": b"HTTP/1.1 200 OK\r\nx: yyyy", "response_size": 22}
    large = response(shown(attempted(**failed, error="headers_too_large", **first)))
    assert "Headers too large</b>" in large and "<h3>First bytes <" in large and "<h3>Body" not in large
    strange = response(shown(attempted(**failed, error="bad_response", **first)))
    assert "Not valid HTTP</b>" in strange and "<h3>First bytes <" in strange and "<h3>Body" not in strange
    assert "No answer</b>" in response(shown(attempted(**failed, error="no_response")))
    late = attempted(**failed, error="no_response", late_status_code=200, late_ms=2500)
    html = response(shown(late))
    assert "Too late: 200</b>" in html and html.count("answer first and do the work afterwards") == 1
    assert "queue, background task" not in html  # the hint of one that never answered


def test_what_came_from_outside_is_escaped_everywhere(attempted: Make) -> None:
    evil = "<img src=x onerror=alert(1)>"
    delivery = attempted(
        "failed",
        status_code=500,
        error="status",
        reason=evil,
        error_message=evil,
        response_headers=[[evil, evil]],
        response_body=evil.encode(),
        remote_address=evil,
    )
    assert "<img" not in shown(delivery) and shown(delivery).count("&lt;img") >= 4


def test_two_hundred_headers_fold_away_and_the_dropped_ones_are_counted(attempted: Make) -> None:
    headers = [[f"x-{number}", "v"] for number in range(200)]
    html = shown(attempted(response_headers=headers, headers_dropped=4800))
    assert "160 more headers" in html and "4800 more headers came and were not kept" in html


def test_an_attempt_can_be_chosen_and_the_newest_is_followed_otherwise(attempted: Make) -> None:
    delivery = attempted("pending", status_code=500, error="status")
    attempted("succeeded", delivery=delivery)
    assert "Attempt 2<" in shown(delivery) and 'data-chosen="0"' in shown(delivery)
    assert "Attempt 1<" in shown(delivery, 1) and 'data-chosen="1"' in shown(delivery, 1)
    assert 'data-chosen="0"' in shown(delivery, 99)


def test_the_signed_bytes_are_shown_and_the_secret_is_masked(attempted: Make) -> None:
    delivery = attempted()
    html = shown(delivery)
    assert "<mark>1738896900.</mark>" in html
    assert f"whsec_…{delivery.endpoint.current_secret()[-4:]}" in html


def test_signed_bytes_of_another_scheme_or_secret_are_not_made_up(
    client: Client, attempted: Make, endpoint: Endpoint
) -> None:
    delivery = attempted()
    copied = f"/deliveries/{delivery.pk}/signed/"
    assert client.get(copied).status_code == 200
    endpoint.change(signature="slack")
    assert "another scheme or secret since" in shown(delivery) and "v0:" not in shown(delivery)
    assert client.get(copied).status_code == 404
    endpoint.change(signature="ultrareach")
    assert "<mark>1738896900.</mark>" in shown(delivery)
    then = endpoint.current_secret()
    endpoint.rotate_secret(overlap_seconds=0)
    assert f"whsec_…{then[-4:]}" in shown(delivery), "the one that signed it"
    assert f"whsec_…{endpoint.current_secret()[-4:]}" not in shown(delivery)


def test_a_delivery_that_waits_for_its_first_attempt_has_a_detail_too(deliver: Make) -> None:
    assert "Waiting for its first attempt." in shown(deliver())


def test_the_name_of_the_endpoint_leads_to_its_page_while_there_is_one(attempted: Make) -> None:
    delivery = attempted()
    link = f'<a href="/endpoints/{delivery.endpoint_id}/"><bdi>Mine</bdi></a>'
    assert link in shown(delivery)
    delivery.endpoint.remove()
    assert link not in shown(delivery) and "<bdi>Mine</bdi>" in shown(delivery)


def test_what_is_held_leads_to_its_endpoint_and_resumes_it(client: Client, deliver: Make) -> None:
    delivery = deliver()
    page = f"/endpoints/{delivery.endpoint_id}/"
    assert "Resume endpoint" not in shown(delivery)
    delivery.endpoint.pause()
    html = shown(delivery)
    assert f'href="{page}"' in html and "Resume endpoint" in html
    form = html.split('<form action="')[1]
    assert form.startswith(f'{page}status/"') and 'name="status" value="enabled"' in form.split("</form>")[0]
    assert client.post(f"{page}status/", {"status": "enabled"}).status_code == 302
    assert "Held back" not in shown(delivery) and "Resume endpoint" not in shown(delivery)


def test_so_it_is_when_the_endpoint_was_made_for_one_send(
    client: Client, deliver: Make, endpoint: Endpoint
) -> None:
    """A 410 pauses such a one, too, and it is on no list."""
    Endpoint.objects.update(origin=Endpoint.ADHOC)
    delivery = deliver()
    delivery.endpoint.pause()
    page = client.get(f"/endpoints/{delivery.endpoint_id}/").content.decode()
    assert "only what is sent to it directly" in page
    client.post(f"/endpoints/{delivery.endpoint_id}/status/", {"status": "enabled"})
    assert "Held back" not in shown(delivery)
    assert delivery.endpoint_id not in client.get("/endpoints/").content.decode()


def test_what_is_offered_follows_the_state(attempted: Make, deliver: Make) -> None:
    assert detail.may(attempted()) == {"retry": False, "cancel": False, "resend": True}
    failed = attempted("failed")
    assert detail.may(failed) == {"retry": True, "cancel": False, "resend": True}
    assert "to try again" not in shown(failed)
    failed.endpoint.pause()
    assert detail.may(failed)["retry"] is False and "to try again" in shown(failed)
    failed.endpoint.resume()
    waiting = deliver()
    assert detail.may(waiting) == {"retry": True, "cancel": True, "resend": True}
    waiting.endpoint.pause()
    assert detail.may(waiting)["retry"] is False
    waiting.endpoint.remove()
    assert detail.may(waiting)["resend"] is False
    assert "Its endpoint was deleted. Register it again and send a new event." in shown(waiting)
