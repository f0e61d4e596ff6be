"""Every address of the pages answers, none with a traceback, nothing inline, and no link leads nowhere."""

import re
from html.parser import HTMLParser

import pytest
from django.db import OperationalError
from django.test import Client

from console.pages import urlpatterns
from simulator.models import Delivery, Endpoint

from .conftest import Make


def addresses(delivery: Delivery) -> list[str]:
    """All that a browser may GET."""
    names = {
        "<str:delivery_id>": delivery.pk,
        "<str:endpoint_id>": delivery.endpoint_id,
        "<str:part>": "request",
    }
    found = []
    for pattern in urlpatterns:
        path = str(pattern.pattern)
        for placeholder, value in names.items():
            path = path.replace(placeholder, value)
        found.append("/" + path.replace("<str:verb>", "retry"))
    return found


def test_every_address_answers_get_or_says_that_it_wants_post(client: Client, attempted: Make) -> None:
    for address in addresses(attempted()):
        assert client.get(address).status_code in (200, 405), address


def test_what_only_takes_forms_says_so_to_who_opens_it(client: Client, attempted: Make) -> None:
    wants_post = [address for address in addresses(attempted()) if client.get(address).status_code == 405]
    assert len(wants_post) > 5
    for address in wants_post:
        answer = client.get(address)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
        assert "it only takes forms" in answer.content.decode(), address


def test_every_page_has_one_heading_of_the_first_level(client: Client, attempted: Make) -> None:
    answers = {address: client.get(address).content.decode() for address in addresses(attempted())}
    pages = {address: html for address, html in answers.items() if html.startswith("<!doctype")}
    assert len(pages) > 10
    assert {address: html.count("<h1") for address, html in pages.items()} == dict.fromkeys(pages, 1)


def test_what_shows_a_form_takes_no_other_method(client: Client, attempted: Make) -> None:
    delivery = attempted()
    for address in (
        "/endpoints/new/",
        f"/endpoints/{delivery.endpoint_id}/edit/",
        f"/deliveries/{delivery.pk}/edit/",
    ):
        for method in (client.put, client.delete, client.options):
            assert method(address).status_code == 405


def inline_parts(html: str) -> list[str]:
    """Scripts, styles and handlers that stand in the page itself: what the policy forbids."""
    found = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            given = dict(attributes)
            if tag == "style" or tag == "script" and "src" not in given:
                found.append(tag)
            found.extend(name for name in given if name == "style" or name.startswith(("on", "hx-on")))
            found.extend(value for value in given.values() if (value or "").lower().startswith("javascript:"))

    Reader().feed(html)
    return found


def test_no_page_has_anything_inline(client: Client, attempted: Make) -> None:
    delivery = attempted("pending", status_code=500, error="status", response_body=b"<p style='x' onclick=y>")
    answers = {address: client.get(address) for address in addresses(delivery)}
    pages = {at: one for at, one in answers.items() if one.headers["Content-Type"].startswith("text/html")}
    assert len(pages) > 10
    assert {at: found for at, one in pages.items() if (found := inline_parts(one.content.decode()))} == {}


def test_every_link_and_form_of_every_page_leads_somewhere(client: Client, attempted: Make) -> None:
    delivery = attempted("pending", status_code=500, error="status", response_body=b"no")
    targets: set[str] = set()
    for address in addresses(delivery):
        answer = client.get(address)
        if answer.headers["Content-Type"].startswith("text/html"):
            targets |= set(re.findall(r'(?:href|action|hx-get|hx-post)="(/[^"]*)"', answer.content.decode()))
    assert len(targets) > 25
    for target in targets:
        if not target.startswith("/static/"):
            assert client.get(target.replace("&amp;", "&")).status_code in (200, 405), target


def is_whole(html: str) -> bool:
    return html.startswith("<!doctype html>") and "</nav>" in html


def test_whatever_a_form_is_filled_with_its_answer_without_a_script_is_a_whole_page(
    client: Client, attempted: Make
) -> None:
    delivery = attempted("pending", status_code=500, error="status")
    pages = [client.get(address).content.decode() for address in addresses(delivery)]
    actions = {action for html in pages for action in re.findall(r'action="([^"]+)" method="post"', html)}
    actions |= {action for html in pages for action in re.findall(r'method="post" action="([^"]+)"', html)}
    assert len(actions) > 10
    for action in sorted(actions):
        answer = client.post(action, {})
        assert answer.status_code == 302 or is_whole(answer.content.decode()), action


@pytest.mark.parametrize(
    "address",
    [
        "/deliveries/dlv_00000000000/",
        "/deliveries/evil/",
        "/deliveries/..%2f/detail/",
        "/endpoints/ep_00000000000/",
        "/endpoints/10000000000000000000000000000000/edit/",
        "/nothing/",
        "/deliveries/dlv_00000000000/act/retry/",
    ],
)
@pytest.mark.django_db
def test_what_is_not_there_is_404_in_words(client: Client, address: str) -> None:
    answer = client.post(address) if "act" in address else client.get(address)
    assert answer.status_code == 404
    assert "Traceback" not in answer.content.decode() and len(answer.content) > 10


def test_a_changing_address_without_its_token_is_refused(endpoint: Endpoint) -> None:
    strict = Client(enforce_csrf_checks=True)
    for address in ("/send/", f"/endpoints/{endpoint.pk}/secret/", f"/endpoints/{endpoint.pk}/delete/"):
        answer = strict.post(address, {})
        assert answer.status_code == 403 and is_whole(answer.content.decode())


def test_no_page_shows_a_secret_unasked(client: Client, attempted: Make) -> None:
    delivery = attempted()
    secret = delivery.endpoint.current_secret()
    shown = {address: client.get(address) for address in addresses(delivery)}
    assert sum(answer.status_code == 200 for answer in shown.values()) > 10
    assert [at for at, answer in shown.items() if secret in answer.content.decode()] == []


def test_a_get_changes_nothing(client: Client, attempted: Make) -> None:
    delivery = attempted("failed", status_code=500, error="status")
    for address in addresses(delivery):
        client.get(address)
    fresh = Endpoint.objects.get(pk=delivery.endpoint_id)
    assert (fresh.revision, fresh.status, fresh.deleted_at) == (1, "enabled", None)
    assert Delivery.objects.count() == 1 and Delivery.objects.get().status == "failed"


@pytest.mark.parametrize(
    ("failure", "status", "said"),
    [
        (OperationalError("database is locked"), 503, "Another program has locked the database"),
        (RuntimeError("a bug"), 500, "has a bug here"),
    ],
)
def test_a_broken_database_is_told_apart_from_a_bug_and_never_shows_a_traceback(
    htmx: Client,
    endpoint: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    status: int,
    said: str,
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(Endpoint, "pause", fail)
    htmx.raise_request_exception = False
    for header in ({"HX-Request": "true"}, {"HX-Request": "false"}):
        answer = htmx.post(f"/endpoints/{endpoint.pk}/status/", {"status": "paused"}, headers=header)
        text = answer.content.decode()
        assert answer.status_code == status and said in text and "Traceback" not in text
