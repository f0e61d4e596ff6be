"""Back and Forward: what a person opened and filtered is a step of the browser's history, and the page stays."""

from typing import Any

from playwright.async_api import Page, Route, expect

from tests.receiving import Receiver
from tests.serving import Server

from .conftest import Complaints
from .showing import opened, row, sent


async def shows(page: Page, server: Server, address: str, delivery: str | None) -> None:
    await expect(page).to_have_url(server.url + address)
    detail = page.locator("#detail [data-open]")
    if delivery is None:
        await expect(detail).to_have_count(0)
        await expect(page.locator(".row > a[aria-current]")).to_have_count(0)
    else:
        await expect(detail).to_have_attribute("data-open", delivery)
        await expect(row(page, delivery).locator("a")).to_have_attribute("aria-current", "true")


async def test_back_and_forward_go_through_what_was_opened_and_filtered(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    first, second = sent(server, endpoint), sent(server, endpoint)
    page = await opened(browser_page, server.url)
    await page.get_by_label("Data").fill('{"draft": true}')
    for delivery in (first, second):
        await row(page, delivery).locator("a").click()
        await shows(page, server, f"/?open={delivery}", delivery)
    await page.get_by_label("Filter by status").select_option("succeeded")
    await shows(page, server, f"/?status=succeeded&open={second}", second)
    await page.keyboard.press("Escape")  # out of the field
    await page.keyboard.press("Escape")
    await shows(page, server, "/?status=succeeded", None)

    await page.go_back()
    await shows(page, server, f"/?status=succeeded&open={second}", second)
    await page.go_back()
    await shows(page, server, f"/?open={second}", second)
    await expect(page.get_by_label("Filter by status")).to_have_value("")
    await page.go_back()
    await shows(page, server, f"/?open={first}", first)
    await page.go_back()
    await shows(page, server, "/", None)
    await expect(page.get_by_role("heading", name="See what your receiver really gets")).to_be_visible()
    for _ in range(4):
        await page.go_forward()
    await shows(page, server, "/?status=succeeded", None)
    await expect(page.get_by_label("Filter by status")).to_have_value("succeeded")
    await expect(page.get_by_label("Data")).to_have_value('{"draft": true}')  # no page was loaded
    await page.go_back()
    await page.reload()
    await shows(page, server, f"/?status=succeeded&open={second}", second)
    await page.go_back()
    await shows(page, server, f"/?open={second}", second)


async def test_what_the_page_opens_by_itself_and_the_letters_of_a_search_are_no_steps(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    before = await page.evaluate("history.length")
    for count in (1, 2):
        await page.get_by_role("button", name="Send test event").click()
        await expect(page.locator(".rows [data-delivery-id]")).to_have_count(count)
        newest = await page.locator(".rows [data-delivery-id]").first.get_attribute("data-delivery-id")
        assert newest
        await shows(page, server, f"/?open={newest}", newest)
    assert await page.evaluate("history.length") == before
    for text in ("l", "lead", "lead.q"):
        await page.get_by_label("Filter by text").fill(text)
        await expect(page).to_have_url(f"{server.url}/?q={text}&open={newest}")
    assert await page.evaluate("history.length") == before + 1
    await page.go_back()
    await expect(page.get_by_label("Filter by text")).to_have_value("")
    await shows(page, server, f"/?open={newest}", newest)


async def test_the_attempt_that_is_read_stands_in_the_address(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    server.api("PATCH", f"/webhooks/{endpoint['id']}", {"retry": {"delays": [0.1]}})
    receiver.answer(500, 200)
    delivery = sent(server, endpoint)
    for address in (f"/?open={delivery}", f"/deliveries/{delivery}/"):
        page = await opened(browser_page, server.url + address)
        with_attempt = f"{address}{'&' if '?' in address else '?'}attempt=1"
        await page.locator(".lane a").first.click()
        await expect(page).to_have_url(server.url + with_attempt)
        await page.reload()
        await expect(page.locator("#attempt-title")).to_contain_text("Attempt 1")
        await page.go_back()
        await expect(page).to_have_url(server.url + address)
        await expect(page.locator("#attempt-title")).to_contain_text("Attempt 2")


async def test_back_leads_from_what_was_sent_again_to_what_it_was_made_of(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    delivery = sent(server, endpoint)
    page = await opened(browser_page, f"{server.url}/deliveries/{delivery}/")
    await page.get_by_role("button", name="Resend", exact=True).click()
    await expect(page.locator("[data-open]")).not_to_have_attribute("data-open", delivery)
    await expect(page).not_to_have_url(f"{server.url}/deliveries/{delivery}/")
    await page.go_back()
    await expect(page.locator("[data-open]")).to_have_attribute("data-open", delivery)
    await expect(page).to_have_url(f"{server.url}/deliveries/{delivery}/")


async def test_an_answer_that_comes_after_back_opens_nothing(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    first, second = sent(server, endpoint), sent(server, endpoint)
    page = await opened(browser_page, server.url)
    await row(page, first).locator("a").click()
    await shows(page, server, f"/?open={first}", first)
    held: list[Route] = []

    async def hold(route: Route) -> None:
        held.append(route)

    await page.route("**/detail/", hold)
    await row(page, second).locator("a").click()
    await page.go_back()
    await shows(page, server, "/", None)
    async with page.expect_event("requestfinished", lambda request: f"/{second}/detail/" in request.url):
        await held[0].continue_()
    await page.evaluate("fetch('/keys/').then(answer => answer.text())")  # what came before it was put in
    await shows(page, server, "/", None)
    await page.unroute("**/detail/")
    await page.go_forward()
    await shows(page, server, f"/?open={first}", first)


async def test_a_delivery_that_is_gone_leaves_the_address_with_what_is_shown(
    server: Server, endpoint: dict[str, Any], browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("status of 404")
    delivery = sent(server, endpoint)
    page = await opened(browser_page, f"{server.url}/?open=dlv_gone")
    await row(page, delivery).locator("a").click()
    await shows(page, server, f"/?open={delivery}", delivery)
    await page.go_back()
    await expect(page.locator(".notice")).to_contain_text("There is no such delivery")
    await shows(page, server, f"/?open={delivery}", delivery)


async def test_registering_a_receiver_closes_what_was_open_and_the_next_event_is_shown(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    delivery = sent(server, endpoint)
    await row(page, delivery).locator("a").click()
    await shows(page, server, f"/?open={delivery}", delivery)
    await page.get_by_label("Your receiver's URL").fill(receiver.url + "/mine")
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.get_by_role("heading", name="Your receiver is registered")).to_be_focused()
    await shows(page, server, "/", None)
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.locator(".rows [data-delivery-id]")).to_have_count(2)
    newest = await page.locator(".rows [data-delivery-id]").first.get_attribute("data-delivery-id")
    assert newest
    await shows(page, server, f"/?open={newest}", newest)


async def test_on_a_narrow_screen_back_and_escape_lead_from_a_delivery_to_the_list(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    await browser_page.set_viewport_size({"width": 390, "height": 800})
    page = await opened(browser_page, server.url)
    delivery = sent(server, endpoint)
    for leave in (page.go_back, lambda: page.keyboard.press("Escape")):
        await page.get_by_role("button", name="Deliveries").click()
        await row(page, delivery).locator("a").click()
        await expect(page.locator("#detail [data-open]")).to_be_visible()
        await leave()
        await expect(row(page, delivery)).to_be_visible()
        await expect(page.locator("#detail")).to_be_hidden()
    await page.go_back()
    await expect(page.locator("#detail [data-open]")).to_be_visible()
