"""What is typed into the panel may be as large as the API takes it, whatever letters it is made of."""

import json
import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.serving import Server

from .conftest import Complaints

# Encoded as an address is, each of these bytes would become three.
LARGE = json.dumps({"text": '"ü' * 150_000}, ensure_ascii=False)
TOO_LARGE = json.dumps({"text": "x" * 1_300_000})
SAID = "at most 1 MiB"


def bodies(server: Server) -> list[str]:
    """Of all events, newest first, as they were sent."""
    events = server.api("GET", "/events").json["data"]
    return [server.api("GET", f"/events/{event['id']}").json["body"] for event in events]


async def test_a_large_payload_is_judged_sent_edited_and_sent_again(
    server: Server, browser_page: Page
) -> None:
    page = browser_page
    await page.goto(server.url)
    await page.get_by_label("Data").fill(LARGE)
    await expect(page.locator("#validity .valid")).to_contain_text("585.9 KiB")
    await page.get_by_role("button", name="Format").click()
    await expect(page.get_by_label("Data")).to_have_value(re.compile(r"\{\n  "))
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.locator("#outcome .sent")).to_be_visible()
    await page.get_by_role("button", name="Edit and resend").click()
    body = page.get_by_label("Body")
    await body.press("Control+End")
    await page.keyboard.insert_text("\n")
    await page.get_by_role("button", name="Send it").click()
    await expect(page.locator("dialog")).to_be_hidden()
    edited, sent = bodies(server)
    assert json.loads(sent)["data"] == json.loads(LARGE)
    assert edited == sent + "\n"


async def test_so_it_is_without_a_script(server: Server, scriptless: Page) -> None:
    page = scriptless
    await page.goto(server.url)
    await page.get_by_label("Data").fill(LARGE)
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.get_by_role("heading", name="Delivery dlv_")).to_be_attached()
    [sent] = bodies(server)
    assert json.loads(sent)["data"] == json.loads(LARGE)


async def test_what_is_too_large_is_said_at_the_field_and_again_when_it_is_sent(
    server: Server, browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("status of 413", "Response Status Error Code 413")
    page = browser_page
    await page.goto(server.url)
    data = page.get_by_label("Data")
    await data.fill(TOO_LARGE)
    await expect(page.locator("#validity .invalid")).to_contain_text(SAID)
    await expect(data).to_have_attribute("aria-invalid", "true")
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.locator("#notices .notice")).to_contain_text(SAID)
    await expect(data).to_have_value(TOO_LARGE)
    assert bodies(server) == []


@pytest.mark.parametrize("script", [True, False])
async def test_a_page_that_is_too_old_is_refused_by_its_token(
    server: Server, browser: Browser, script: bool
) -> None:
    context = await browser.new_context(java_script_enabled=script)
    page = await context.new_page()
    await page.goto(server.url)
    await context.clear_cookies()
    await page.get_by_role("button", name="Send test event").click()
    cure = "Reload it and try again." if script else "Go back, reload it and try again."
    await expect(page.locator("body")).to_contain_text(f"This page was open too long. {cure}")
    assert bodies(server) == []
    await context.close()
