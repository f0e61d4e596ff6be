"""While nobody tells the page what happens it claims no more than was known."""

import re

from playwright.async_api import Page, expect

from tests.receiving import Receiver
from tests.serving import Server

from .conftest import Complaints
from .showing import fire, opened, row, sent

COUNTING = re.compile(r"^\d+\.\d s$")
AT_LEAST = re.compile(r"^at least \d+(\.\d)? s$")


async def test_how_long_an_attempt_takes_is_counted_while_somebody_knows(
    server: Server, receiver: Receiver, browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("WebSocket")
    receiver.delay = 60
    new = {"url": receiver.url, "events": ["*"], "timeout": 90}
    delivery = sent(server, server.api("POST", "/webhooks", new).json)
    await receiver.received(1)
    await browser_page.clock.install()
    page = await opened(browser_page, f"{server.url}/deliveries/{delivery}/")
    counts = page.locator("#detail time[data-since]")
    await expect(counts.first).to_have_text(COUNTING)
    server.kill()
    await expect(page.locator("[data-live]")).to_have_attribute("data-live", "reconnecting")
    await expect(counts).to_have_text([AT_LEAST] * await counts.count())
    known = await counts.all_text_contents()
    await page.clock.run_for(8000)
    assert await counts.all_text_contents() == known
    server.start()
    await expect(page.locator("[data-live]")).to_have_attribute("data-live", "live", timeout=10_000)
    await expect(page.locator(".lane")).to_contain_text(["interrupted", "sending"])
    await expect(counts.first).to_have_text(COUNTING)
    receiver.stop()


async def test_nor_is_it_counted_while_the_page_is_paused(
    server: Server, receiver: Receiver, browser_page: Page
) -> None:
    receiver.delay = 60
    new = {"url": receiver.url, "events": ["*"], "timeout": 90}
    first, second = fire(server, server.api("POST", "/webhooks", new).json, 2)
    page = await opened(browser_page, f"{server.url}/?open={first}")
    count = page.locator(".verdict time[data-since]")
    await expect(count).to_have_text(COUNTING)
    await page.keyboard.press("p")
    await expect(count).to_have_text(AT_LEAST)
    await row(page, second).locator("a").click()
    await expect(page.locator("#detail [data-open]")).to_have_attribute("data-open", second)
    await expect(count).to_have_text(AT_LEAST)
    await page.keyboard.press("p")
    await expect(count).to_have_text(COUNTING)
    receiver.stop()
