"""The dialog throws nothing away that was typed, and leads back to where one was."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.receiving import Receiver
from tests.serving import Server


@pytest.fixture
def delivery(server: Server, receiver: Receiver) -> dict[str, Any]:
    receiver.answer(500)
    new = {"url": receiver.url, "events": ["*"], "retry": {"delays": [3600]}}
    endpoint = server.api("POST", "/webhooks", new).json["id"]
    made: dict[str, Any] = server.api("POST", f"/webhooks/{endpoint}/test", {"type": "lead.qualified"}).json
    return made


async def opened(page: Page, server: Server, delivery: dict[str, Any]) -> Page:
    await page.goto(f"{server.url}/?open={delivery['id']}")
    await expect(page.locator(".verdict")).to_contain_text("answered 500")
    await page.get_by_role("button", name="Edit and resend").click()
    await expect(page.get_by_label("Body")).to_be_focused()
    return page


async def test_an_edited_body_is_thrown_away_by_close_only(
    server: Server, delivery: dict[str, Any], browser_page: Page
) -> None:
    page = await opened(browser_page, server, delivery)
    body, dialog = page.get_by_label("Body"), page.get_by_role("dialog", name="Edit and resend")
    await body.fill("{}")
    for _ in range(3):  # a browser lets a page refuse the first of several only
        await page.keyboard.press("Escape")
    await page.mouse.click(5, 400)
    await expect(body).to_have_value("{}")
    await expect(dialog).to_be_visible()
    await dialog.get_by_role("button", name="Close").last.click()
    await expect(dialog).to_be_hidden()


@pytest.mark.parametrize("way_out", ["Escape", "backdrop"])
async def test_an_untouched_one_closes_at_once_and_leads_back_to_its_button(
    server: Server, delivery: dict[str, Any], browser_page: Page, way_out: str
) -> None:
    page = await opened(browser_page, server, delivery)
    server.api("POST", f"/deliveries/{delivery['id']}/retry")
    await expect(page.locator(".lane a")).to_have_count(2)  # the button is another one now
    await expect(page.locator(".detail")).to_have_attribute("data-status", "pending")
    if way_out == "Escape":
        await page.keyboard.press("Escape")
    else:
        await page.mouse.click(5, 400)
    await expect(page.locator("dialog")).to_be_hidden()
    await expect(page.get_by_role("button", name="Edit and resend")).to_be_focused()


async def test_control_and_enter_send_what_was_edited(
    server: Server, delivery: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    page = await opened(browser_page, server, delivery)
    await page.get_by_label("Body").fill('{"edited":true}')
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("dialog")).to_be_hidden()
    await expect(page.locator(".detail")).not_to_have_attribute("data-open", delivery["id"])
    assert (await receiver.received(2))[-1].body == b'{"edited":true}'
