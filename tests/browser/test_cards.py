"""The cards of the endpoints: what happens to one elsewhere is seen without a reload, and moves nothing."""

from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.receiving import Receiver
from tests.serving import Server

from .showing import opened, sent


@pytest.fixture
def endpoint(server: Server, receiver: Receiver) -> dict[str, Any]:
    return server.api("POST", "/webhooks", {"url": receiver.url, "events": ["*"]}).json


def card_of(page: Page, endpoint: dict[str, Any]) -> Locator:
    return page.locator(f"#{endpoint['id']}")


async def test_endpoints_at_one_host_are_told_apart(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    other = server.api("POST", "/webhooks", {"url": f"{endpoint['url']}/other", "events": ["*"]}).json
    page = await opened(browser_page, f"{server.url}/endpoints/")
    for one in (endpoint, other):
        await expect(card_of(page, one).locator("h2")).to_have_text(one["url"].removeprefix("http://"))


@pytest.mark.parametrize("place", ["endpoints/", "endpoints/{id}/"])
async def test_that_a_410_paused_it_is_seen_and_it_can_be_resumed_there(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page, place: str
) -> None:
    receiver.answer(410)
    page = await opened(browser_page, f"{server.url}/{place.format(**endpoint)}")
    card = card_of(page, endpoint)
    await card.get_by_role("button", name="Reveal").click()
    await expect(card.locator(".said .secret")).to_be_visible()
    await card.get_by_role("button", name="Pause").focus()
    sent(server, endpoint)
    await expect(card).to_have_attribute("data-status", "paused")
    await expect(card.locator(".badge").first).to_have_text("paused")
    await expect(card.get_by_role("button", name="Resume")).to_be_focused()
    await expect(card.locator(".said .secret")).to_be_visible()
    receiver.answer(200)
    await page.keyboard.press("Enter")
    await expect(card.get_by_role("button", name="Pause")).to_be_focused()
    assert server.api("GET", f"/webhooks/{endpoint['id']}").json["status"] == "enabled"


async def test_an_edit_elsewhere_is_seen_in_every_part_of_the_card(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    page = await opened(browser_page, f"{server.url}/endpoints/{endpoint['id']}/")
    card = card_of(page, endpoint)
    edited = {"description": "New", "url": "http://localhost:1/new", "events": ["lead.qualified"]}
    edited |= {"timeout": 3, "retry": {"delays": [7]}, "tls_verify": False}  # type: ignore[dict-item]
    server.api("PATCH", f"/webhooks/{endpoint['id']}", edited)
    for said in ("New", "http://localhost:1/new", "lead.qualified", "3 s", "7 s", "TLS not checked"):
        await expect(card).to_contain_text(said)
    await expect(page.get_by_role("heading", level=1)).to_have_text("New")
