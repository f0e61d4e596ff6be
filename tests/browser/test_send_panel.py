"""The send panel under the hand: what it says is about what was done last, and the focus stays where it was."""

import pytest
from playwright.async_api import Page, expect

from tests.serving import Server

from .conftest import Complaints


async def opened(page: Page, url: str) -> Page:
    await page.goto(url)
    await expect(page.locator("[data-live]")).to_have_attribute("data-live", "live")
    await expect(page.locator("#validity .valid")).to_be_visible()
    return page


@pytest.fixture
def cut_off(complaints: Complaints) -> None:
    """The browser and htmx tell of each request that fails; htmx rejects a promise of its own, too."""
    for said in ("ERR_FAILED", "console: htmx:", "exception: undefined"):
        complaints.allow(said)


async def test_an_event_that_did_not_leave_takes_the_last_sent_away(
    server: Server, browser_page: Page, cut_off: None
) -> None:
    page = await opened(browser_page, server.url)
    send = page.get_by_role("button", name="Send test event")
    await send.click()
    await expect(page.locator("#outcome .sent")).to_be_visible()
    await page.route("**/send/", lambda route: route.abort())
    await send.click()
    await expect(page.locator("#notices")).to_contain_text("does not answer")
    await expect(page.locator("#outcome p")).to_have_count(0)
    await page.unroute("**/send/")
    await send.click()
    await expect(page.locator("#outcome .sent")).to_be_visible()


async def test_an_edit_takes_the_last_verdict_away_and_none_comes_for_what_was_not_judged(
    server: Server, browser_page: Page, complaints: Complaints, cut_off: None
) -> None:
    complaints.allow("status of 400")
    page = await opened(browser_page, server.url)
    await page.get_by_label("Data").fill("{")
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.locator("#outcome .invalid")).to_be_visible()
    await page.get_by_label("Data").fill("{}")
    await expect(page.locator("#outcome .invalid")).to_have_count(0)
    await expect(page.locator("#validity .valid")).to_be_visible()
    await page.route("**/send/check/", lambda route: route.abort())
    async with page.expect_event("requestfailed", lambda request: request.url.endswith("/send/check/")):
        await page.get_by_label("Data").fill("{,")
    await expect(page.locator("#validity p")).to_have_count(0)
    await expect(page.locator("#notices .notice")).to_have_count(0)
