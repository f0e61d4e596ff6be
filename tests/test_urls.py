"""The addresses of the web side: which part answers where, and that no part takes an address of another."""

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, path, resolve, reverse

from console import urls

PARTS = ("/api/", "/receiver/", "/static/", "/ws/", "/healthz", "/readyz")  # what is no page


@pytest.mark.parametrize(
    ("address", "module"),
    [
        ("/", "console.views.deliveries"),
        ("/deliveries/dlv_00000000001/", "console.views.deliveries"),
        ("/endpoints/", "console.views.endpoints"),
        ("/healthz", "console.views.health"),
        ("/readyz", "console.views.health"),
    ],
)
def test_the_addresses_of_the_contract_are_answered_by_their_part(address: str, module: str) -> None:
    assert resolve(address).func.__module__ == module


def test_description_and_docs_of_the_api_stand_where_tools_look_for_them() -> None:
    assert reverse("api:openapi-json") == "/api/v1/openapi.json"
    assert resolve("/api/v1/docs").route == "api/v1/docs"


def pages(patterns: list[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    [included] = [part for part in patterns if isinstance(part, URLResolver) and str(part.pattern) == ""]
    yield from included.url_patterns


def test_no_page_takes_an_address_of_another_part() -> None:
    addresses = [f"/{page.pattern}" for page in pages(urls.urlpatterns)]
    assert addresses
    assert [address for address in addresses if address.startswith(PARTS)] == []


def test_every_address_has_one_name_and_every_page_its_final_slash() -> None:
    found = list(pages(urls.urlpatterns))
    names = [page.name for page in found]
    assert None not in names and len(names) == len(set(names))
    assert [str(page.pattern) for page in found if re.search(r"[^/]$", str(page.pattern))] == []


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_there_is_a_view_for_every_way_to_fail(status: int) -> None:
    assert get_resolver().resolve_error_handler(status).__module__.startswith("console.views.")


def broken(request: object) -> None:
    raise ZeroDivisionError("planted")


def test_a_view_that_breaks_is_a_page_that_tells_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(get_resolver(), "url_patterns", [path("planted/", broken)])
    client = Client(raise_request_exception=False)
    answer = client.get("/planted/", headers={"Host": "127.0.0.1"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
    assert (
        "planted" not in answer.content.decode()
        and "The simulator has a bug here." in answer.content.decode()
    )
    assert "ZeroDivisionError: planted" in caplog.text, "the terminal says more"
