"""Whoever works with the keyboard never falls back to the beginning of the page."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.receiving import Receiver
from tests.serving import Server

from .conftest import Complaints
from .showing import opened, sent

FOCUSED = "document.activeElement.id || document.activeElement.dataset.name || document.activeElement.tagName"


@pytest.fixture
def endpoint(server: Server, receiver: Receiver) -> dict[str, Any]:
    receiver.answer(500)
    new = {"url": receiver.url, "events": ["*"], "retry": {"delays": [3600, 3600]}}
    return server.api("POST", "/webhooks", new).json


async def pressed(page: Page, name: str, at: str = "**/act/**") -> None:
    """With Enter, and answered."""
    button = page.get_by_role("button", name=name, exact=True)
    await button.focus()
    async with page.expect_response(at):
        await page.keyboard.press("Enter")
    await expect(page.locator(".htmx-request")).to_have_count(0)


async def test_enter_once_more_leads_from_a_row_into_its_delivery_and_j_back(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    older, newer = sent(server, endpoint), sent(server, endpoint)
    page = await opened(browser_page, server.url)
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.locator(".detail")).to_have_attribute("data-open", newer)
    await expect(page.locator(f'[data-delivery-id="{newer}"] a')).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("tab", name="Timeline")).to_be_focused()
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#panel-request")).to_be_visible()
    await page.keyboard.press("j")
    await expect(page.locator(f'[data-delivery-id="{older}"] a')).to_be_focused()


@pytest.mark.parametrize("address", ["/?open={}", "/deliveries/{}/"])
async def test_what_is_done_to_a_delivery_leaves_the_focus_there(
    server: Server, endpoint: dict[str, Any], browser_page: Page, address: str
) -> None:
    delivery = sent(server, endpoint)
    page = await opened(browser_page, server.url + address.format(delivery))
    await expect(page.locator(".detail")).to_have_attribute("data-status", "pending")
    await pressed(page, "Retry now")
    await expect(page.locator(".lane a")).to_have_count(2)
    await expect(page.locator(".detail")).to_have_attribute("data-status", "pending")
    assert await page.evaluate(FOCUSED) in ("retry", "detail")  # it cannot be pressed while it is under way
    await pressed(page, "Cancel retries")
    await expect(page.locator(".verdict")).to_contain_text("Cancelled")
    assert await page.evaluate(FOCUSED) == "detail"  # no longer offered
    await pressed(page, "Resend")
    await expect(page.locator(".detail")).not_to_have_attribute("data-open", delivery)
    assert await page.evaluate(FOCUSED) == "resend"


async def test_the_view_of_a_body_is_changed_and_all_of_it_shown_from_the_keyboard(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    delivery = sent(server, endpoint, data={"text": "x" * 20_000})
    page = await opened(browser_page, f"{server.url}/?open={delivery}")
    await page.get_by_role("tab", name="Request").click()
    for view in ("hex", "raw", "pretty"):
        await pressed(page, view, "**/body/**")
        assert await page.evaluate(FOCUSED) == f"request-{view}"
    await pressed(page, "Show all", "**/body/**")
    assert await page.evaluate(FOCUSED) == "detail"


async def test_older_rows_are_loaded_from_the_keyboard(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    receiver.answer(200)
    server.fill(endpoint["id"], 130)
    page = await opened(browser_page, server.url)
    await pressed(page, "Load older", "**/rows/**")
    assert await page.evaluate(FOCUSED) == "older"
    await pressed(page, "Load older", "**/rows/**")
    await expect(page.locator("#older")).to_be_hidden()
    assert await page.evaluate(FOCUSED) == "list"


async def test_after_the_pill_and_after_escape_the_focus_is_on_the_list_which_goes_on(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    first = sent(server, endpoint)
    page = await opened(browser_page, f"{server.url}/?open={first}")
    rows = page.locator(".rows [data-delivery-id]")
    sent(server, endpoint)
    pill = page.locator(".pill")
    await expect(pill).to_contain_text("1 new")
    await pill.focus()
    await page.keyboard.press("Enter")
    await expect(rows).to_have_count(2)
    assert await page.evaluate(FOCUSED) == "list"
    sent(server, endpoint)
    await expect(rows).to_have_count(3)

    await page.get_by_role("button", name="Resend", exact=True).focus()
    await page.keyboard.press("Escape")
    await expect(page.locator(".detail")).to_have_count(0)
    assert await page.evaluate(FOCUSED) == "list"
    sent(server, endpoint)
    await expect(rows).to_have_count(4)


async def test_an_edited_event_is_sent_and_the_focus_is_on_its_delivery(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    delivery = sent(server, endpoint)
    page = await opened(browser_page, f"{server.url}/?open={delivery}")
    await pressed(page, "Edit and resend", "**/edit/")
    await page.get_by_label("Body").fill("{}")
    await pressed(page, "Send it", "**/edit/")
    await expect(page.locator("dialog")).to_be_hidden()
    await expect(page.locator(".detail")).not_to_have_attribute("data-open", delivery)
    assert await page.evaluate(FOCUSED) == "detail"


async def test_focus_and_choice_are_seen_where_the_system_chooses_the_colours(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    """It drops backgrounds and shadows, and shows borders that are transparent."""
    chosen, other = sent(server, endpoint), sent(server, endpoint)
    page = await opened(browser_page, f"{server.url}/?open={chosen}")
    await page.emulate_media(forced_colors="active")
    line = "each => getComputedStyle(each).outlineStyle"
    for seen in (
        page.get_by_role("tab", name="Timeline"),
        page.get_by_role("navigation").get_by_text("Console"),
        page.locator(f'[data-delivery-id="{chosen}"] > a'),
        page.locator(".types .type", has_text="lead.qualified"),
        page.locator(".lane.chosen a"),
    ):
        assert await seen.evaluate(line) == "solid", seen
    unchosen = page.locator(f'[data-delivery-id="{other}"] > a')
    assert await unchosen.evaluate(line) == "none"
    side, text = await unchosen.evaluate(
        "each => [getComputedStyle(each).borderLeftColor, getComputedStyle(each).color]"
    )
    assert side != text
    focused = (
        "getComputedStyle(document.activeElement.closest('.type') ?? document.activeElement).outlineWidth"
    )
    for _ in range(20):
        await page.keyboard.press("Tab")
        assert await page.evaluate(focused) == "3px", await page.evaluate(FOCUSED)


# At 400 % a desktop is 320 px wide: one pane at a time, and the one that had the focus makes way for another.
async def test_where_one_pane_is_shown_at_a_time_the_focus_goes_along(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    delivery = sent(server, endpoint)
    await browser_page.set_viewport_size({"width": 320, "height": 400})
    page = await opened(browser_page, server.url)
    await page.get_by_role("button", name="Deliveries").press("Enter")
    await page.locator(f'[data-delivery-id="{delivery}"] a').press("Enter")
    await expect(page.locator(".detail")).to_have_attribute("data-open", delivery)
    await expect(page.locator("#detail")).to_be_focused()
    await page.get_by_role("tab", name="Timeline").focus()
    await page.keyboard.press("Escape")
    await expect(page.locator('[data-name="list"]')).to_be_focused()
    await page.go_back()
    await expect(page.locator("#detail")).to_be_focused()
    await page.go_forward()
    await expect(page.locator('[data-name="list"]')).to_be_focused()
    await page.get_by_role("button", name="Send", exact=True).press("Enter")
    await pressed(page, "Send test event", "**/send/")
    await page.get_by_role("link", name="Watch it").press("Enter")
    await expect(page.locator("#detail")).to_be_focused()


async def test_a_form_that_is_refused_has_the_focus_in_the_first_field_that_is_wrong(
    server: Server, endpoint: dict[str, Any], browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("status of 400")
    for place in ("new", endpoint["id"] + "/edit"):
        await browser_page.goto(f"{server.url}/endpoints/{place}/")
        await browser_page.get_by_label("URL").fill("http://localhost:3000/webhook")
        await browser_page.get_by_label("Timeout").fill("soon")
        await browser_page.get_by_label("Max. in flight").fill("0")
        await browser_page.get_by_label("Max. in flight").press("Enter")
        await expect(browser_page.get_by_role("alert")).to_contain_text("Not saved")
        await expect(browser_page.get_by_label("Timeout")).to_be_focused()


# What is hit in its middle, so that it is not covered.
IN_SIGHT = """() => {
  const one = document.activeElement;
  const { left, right, top, bottom } = one.getBoundingClientRect();
  return one.contains(document.elementFromPoint((left + right) / 2, (top + bottom) / 2));
}"""


@pytest.mark.parametrize("address", ["/?open={}", "/deliveries/{}/"])
async def test_on_the_way_back_through_a_delivery_nothing_is_behind_its_tabs(
    server: Server, endpoint: dict[str, Any], browser_page: Page, address: str
) -> None:
    delivery = sent(server, endpoint)
    await browser_page.set_viewport_size({"width": 640, "height": 400})
    page = await opened(browser_page, server.url + address.format(delivery))
    await page.get_by_role("tab", name="Request").click()
    await page.locator("#request-text").focus()
    for _ in range(5):
        await page.keyboard.press("Shift+Tab")
        assert await page.evaluate(IN_SIGHT), await page.evaluate("document.activeElement.textContent")
