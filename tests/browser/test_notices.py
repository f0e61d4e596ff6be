"""What went wrong, said beside the page: only to whoever waits for it, once, and in nobody's way."""

from playwright.async_api import Page, Route, expect

from tests.serving import Server

from .conftest import Complaints
from .showing import settled

SILENCE = "The simulator does not answer. Is it still running?"


async def test_what_the_page_asks_by_itself_fails_in_silence_and_a_click_is_told_once(
    server: Server, browser_page: Page, complaints: Complaints
) -> None:
    # htmx tells the console of every failure, and rejects a promise of its own.
    complaints.allow("WebSocket", "ERR_CONNECTION_REFUSED", "console: htmx:", "exception: undefined")
    page = await settled(browser_page, server.url)
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
    await notices.get_by_role("button", name="Dismiss").click()
    await expect(notices).to_have_count(0)


async def test_a_notice_fades_unless_somebody_is_at_it_and_leaves_the_focus_in_the_page(
    server: Server, browser_page: Page
) -> None:
    await browser_page.clock.install()
    page = await settled(browser_page, server.url)
    for text in ("One", "Another"):
        await page.evaluate("text => document.dispatchEvent(new CustomEvent('notice', {detail: text}))", text)
    await page.locator(".notice", has_text="Another").get_by_role("button", name="Dismiss").focus()
    await page.clock.fast_forward(9000)
    await expect(page.locator("#notices .notice")).to_have_text(["Another"])
    await page.keyboard.press("Enter")
    await expect(page.locator("#notices .notice")).to_have_count(0)
    await expect(page.locator("#main")).to_be_focused()


async def test_notices_stand_close_together_and_a_click_between_them_reaches_the_page(
    server: Server, browser_page: Page
) -> None:
    page = await settled(browser_page, server.url)
    for text in ("One", "Another"):
        await page.evaluate("text => document.dispatchEvent(new CustomEvent('notice', {detail: text}))", text)
    first, second = [await line.bounding_box() for line in await page.locator(".notice").all()]
    assert first and second
    gap = second["y"] - first["y"] - first["height"]
    assert 0 < gap < 16
    hit = "([x, y]) => document.elementFromPoint(x, y).closest('#notices') === null"
    assert await page.evaluate(hit, [first["x"] + 40, second["y"] - gap / 2])


async def test_what_goes_wrong_in_a_dialog_is_said_in_front_of_it(
    server: Server, browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("status of 413", "Response Status Error Code 413")

    async def refuse(route: Route) -> None:
        if route.request.method == "GET":
            await route.continue_()
        else:
            await route.fulfill(status=413, content_type="text/plain", body="The body is too large.")

    page = await settled(browser_page, server.url)
    await page.route("**/edit/", refuse)
    await page.get_by_role("button", name="Send test event").click()
    await page.get_by_role("button", name="Edit and resend").click()
    await page.get_by_role("button", name="Send it").click()
    notice = page.locator(".notice", has_text="The body is too large.")
    await expect(notice).to_be_visible()
    hit = "line => { const {x, y} = line.getBoundingClientRect(); return line.contains(document.elementFromPoint(x + 20, y + 10)) }"
    assert await notice.evaluate(hit)
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog")).to_be_hidden()
    await expect(notice).to_be_visible()
