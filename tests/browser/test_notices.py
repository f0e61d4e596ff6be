"""What went wrong, said beside the page: only to whoever waits for it, once, and in nobody's way."""

from playwright.async_api import Page, expect

from tests.serving import Server

from .conftest import Complaints

SILENCE = "The simulator does not answer. Is it still running?"


async def opened(page: Page, url: str) -> Page:
    await page.goto(url)
    await expect(page.locator("[data-live]")).to_have_attribute("data-live", "live")
    await expect(page.locator("#endpoint-reach .reach")).to_be_visible()
    await expect(page.locator("#validity .valid")).to_be_visible()
    return page


async def test_what_the_page_asks_by_itself_fails_in_silence_and_a_click_is_told_once(
    server: Server, browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("WebSocket")
    complaints.allow("ERR_CONNECTION_REFUSED")
    complaints.allow("console: htmx:")  # htmx tells the console of every failure
    page = await opened(browser_page, server.url)
    server.stop()
    await expect(page.locator("[data-live]")).to_have_attribute("data-live", "reconnecting")
    notices = page.locator("#notices .notice")
    for _ in range(2):  # what asks every few seconds asks when the page comes to the front, too
        async with page.expect_event("requestfailed", lambda request: "/send/reach/" in request.url):
            await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    for _ in range(2):
        async with page.expect_event("requestfailed", lambda request: request.url.endswith("/send/")):
            await page.get_by_role("button", name="Send test event").click()
    await expect(notices).to_have_text([SILENCE])


async def test_notices_stand_close_together_and_a_click_between_them_reaches_the_page(
    server: Server, browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    for text in ("One", "Another"):
        await page.evaluate("text => document.dispatchEvent(new CustomEvent('notice', {detail: text}))", text)
    first, second = [await line.bounding_box() for line in await page.locator(".notice").all()]
    assert first and second
    gap = second["y"] - first["y"] - first["height"]
    assert 0 < gap < 16
    hit = "([x, y]) => document.elementFromPoint(x, y).closest('#notices') === null"
    assert await page.evaluate(hit, [first["x"] + 40, second["y"] - gap / 2])
