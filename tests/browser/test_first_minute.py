"""The main journey, in Chromium: a fresh start, a click that delivers, a click that retries, a tab that misses nothing."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from playwright.async_api import Page, expect

from tests.serving import Server

from .conftest import Complaints
from .showing import opened, rows

SLOW = 20_000  # ms: the Flaky receiver succeeds after 2 + 4 s
NewTab = Callable[[], Awaitable[Page]]


async def send(page: Page, endpoint: str = "") -> None:
    if endpoint:
        await page.get_by_label("Endpoint", exact=True).select_option(label=endpoint)
    await page.get_by_role("button", name="Send test event").click()


async def test_the_first_click_delivers_and_the_second_shows_two_failures_and_then_success(
    server: Server, browser_page: Page, screens: Path
) -> None:
    page = browser_page
    await page.goto(server.url)
    await page.evaluate("window.sameDocument = true")
    await expect(page.locator("[data-live]")).to_have_attribute("data-live", "live")

    await send(page)
    await expect(rows(page)).to_have_count(1)
    await expect(rows(page).first).to_have_attribute("data-status", "succeeded")
    await expect(rows(page).first).to_contain_text("200")

    await send(page, "Flaky receiver")
    flaky = rows(page).first
    await expect(flaky).to_have_attribute("data-state", "retrying")
    await expect(flaky).to_contain_text("500")
    await expect(flaky.locator("time[data-due]")).to_contain_text("in ")
    await expect(page.locator(".verdict")).to_contain_text("4 retries left", timeout=SLOW)
    await expect(flaky.locator(".dots .failed")).to_have_count(2)
    await page.screenshot(path=screens / "console-1280-light.png")
    await page.emulate_media(color_scheme="dark")
    await page.screenshot(path=screens / "console-1280-dark.png")

    await expect(flaky).to_have_attribute("data-status", "succeeded", timeout=SLOW)
    await expect(page.locator(".verdict")).to_contain_text("Delivered on attempt 3")
    await expect(page.locator(".lane a")).to_have_count(3)
    assert await page.evaluate("window.sameDocument")


async def test_what_was_sent_and_what_came_back_stand_in_the_detail(
    server: Server, browser_page: Page
) -> None:
    page = browser_page
    await page.goto(server.url)
    await send(page)
    await expect(page.locator(".verdict")).to_contain_text("Your receiver answered 200")
    await page.get_by_role("tab", name="Request").click()
    await expect(page.locator("#panel-request")).to_contain_text("x-ultrareach-signature")
    await expect(page.locator("#panel-request pre")).to_contain_text("lead.qualified")
    await page.get_by_role("tab", name="Response").click()
    await expect(page.locator("#panel-response pre")).to_contain_text('"received": true')
    await page.get_by_role("button", name="hex").last.click()
    await expect(page.locator("#panel-response pre")).to_contain_text("00000000  7b 22")
    await page.get_by_role("tab", name="Signature").click()
    await expect(page.locator("#panel-signature mark")).to_contain_text(".")


async def test_a_second_tab_shows_the_same_without_a_reload(server: Server, new_tab: NewTab) -> None:
    first, second = await new_tab(), await new_tab()
    await first.goto(server.url)
    await opened(second, server.url)
    await send(first, "Flaky receiver")
    await expect(rows(second).first).to_have_attribute("data-state", "retrying")
    await rows(second).first.locator("a").click()
    await second.get_by_role("button", name="Cancel retries").click()
    await expect(rows(first).first).to_have_attribute("data-status", "cancelled")
    await rows(first).first.locator("a").click()
    await first.get_by_role("button", name="Retry now").click()
    await expect(second.locator(".verdict")).to_contain_text("Your receiver answered 500")
    await expect(second.locator(".lane a")).to_have_count(2)


async def test_after_a_kill_the_page_comes_back_and_has_missed_nothing(
    server: Server, browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("WebSocket", "ERR_CONNECTION_")  # reset at the kill, refused until the start
    page = browser_page
    await page.goto(server.url)
    slow = server.api(
        "POST", "/webhooks", {"url": f"{server.url}/receiver/slow?delay=1.5", "events": ["*"]}
    ).json
    delivery = server.api("POST", f"/webhooks/{slow['id']}/test", {}).json["id"]
    row = page.locator(f'[data-delivery-id="{delivery}"]')
    await expect(row).to_have_attribute("data-status", "sending")
    await row.locator("a").click()
    await expect(page.locator(".verdict")).to_contain_text("Attempt 1 is under way")

    server.kill()
    await expect(page.locator("[data-live]")).to_have_attribute("data-live", "reconnecting")
    server.start()

    await expect(page.locator("[data-live]")).to_have_attribute("data-live", "live", timeout=SLOW)
    await expect(row).to_have_attribute("data-status", "succeeded", timeout=SLOW)
    badge = page.locator(".lane .badge.interrupted")
    await expect(badge).to_be_visible()
    icon, whole = await badge.locator(".icon").bounding_box(), await badge.bounding_box()
    assert icon and whole and icon["width"] <= 16 and whole["width"] <= 120, "its word is cut off"
    await page.locator(".lane a").first.click()
    await expect(page.locator(".attempt")).to_contain_text("Your receiver may or may not have processed it")
    await expect(page.locator(".attempt")).to_contain_text("Sent again as attempt 2")


async def test_one_field_registers_a_receiver_and_shows_its_secret_and_the_code(
    server: Server, browser_page: Page, screens: Path
) -> None:
    page = browser_page
    await page.goto(server.url)
    field = page.get_by_label("Your receiver's URL")
    await expect(field).to_have_value("http://localhost:3000/webhook")
    await field.fill(f"{server.url}/receiver/mine")
    await expect(page.locator("#yours-reach .reach")).to_have_class("reach yes")
    await page.get_by_role("button", name="Add").click()
    await expect(page.locator(".registered .secret code")).to_contain_text("whsec_")
    await expect(page.locator(".registered pre").first).to_contain_text("hmac.compare_digest")
    await page.get_by_role("tab", name="Node").click()
    await expect(page.locator(".registered pre").last).to_contain_text("timingSafeEqual")
    await send(page)
    await expect(rows(page).first).to_have_attribute("data-status", "succeeded")
    await expect(rows(page).first).to_contain_text("/receiver/mine")
    await page.screenshot(path=screens / "registered-1280.png")
    for _ in range(2):  # whoever has a receiver is not told that there is none at the example's address
        await expect(field).to_have_value("")
        await expect(page.locator("#yours-reach")).to_be_empty()
        await expect(page.locator("#endpoint-reach .reach")).to_have_class("reach yes")
        await page.reload()


async def test_it_works_on_a_phone(server: Server, browser_page: Page, screens: Path) -> None:
    page = browser_page
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.goto(server.url)
    await send(page)
    await page.get_by_role("button", name="Deliveries").click()
    await expect(rows(page).first).to_have_attribute("data-status", "succeeded")
    await page.screenshot(path=screens / "list-390.png")
    await rows(page).first.locator("a").click()
    await expect(page.locator(".verdict")).to_be_visible()
    await page.screenshot(path=screens / "detail-390.png")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
