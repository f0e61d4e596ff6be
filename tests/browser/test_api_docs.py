"""The API's documentation in a real browser, under the strict CSP and without the network."""

import pytest
from playwright.async_api import Page, expect

from tests.serving import Server

from .showing import opened


async def test_the_docs_show_every_call_and_a_call_can_be_tried_with_the_key(
    server: Server, browser_page: Page
) -> None:
    await browser_page.goto(f"{server.url}/api/v1/docs")
    await expect(browser_page.get_by_text("/api/v1/webhooks/{id}/rotate-secret")).to_be_visible()
    await browser_page.get_by_role("button", name="Authorize").first.click()
    await browser_page.locator(".auth-container input").fill(server.key)
    await browser_page.get_by_role("button", name="Apply credentials").click()
    await browser_page.get_by_role("button", name="Close").click()
    await browser_page.locator("#operations-webhooks-listWebhooks").click()
    await browser_page.get_by_role("button", name="Try it out").click()
    await browser_page.get_by_role("button", name="Execute").click()
    await expect(browser_page.get_by_text('"Built-in receiver"').first).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("place", ["/", "/endpoints/"])
async def test_the_docs_are_found_from_every_page(
    server: Server, browser_page: Page, place: str, width: int
) -> None:
    await browser_page.set_viewport_size({"width": width, "height": 800})
    page = await opened(browser_page, server.url + place)
    await page.get_by_role("link", name="API documentation").click()
    await expect(page.get_by_text("/api/v1/webhooks/{id}/rotate-secret")).to_be_visible()
