"""What somebody is reading stays as it is while the delivery goes on: view, scroll, focus and tab."""

import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.receiving import Answer, Receiver
from tests.serving import Server
from tests.waiting import wait_until


@pytest.fixture
def delivery(server: Server, receiver: Receiver) -> dict[str, Any]:
    """Failed once with a long answer; each retry is asked for."""
    receiver.answer(Answer(500, b'{"said":"' + b"x" * 2000 + b'"}'))
    new = {"url": receiver.url, "events": ["*"], "retry": {"delays": [3600, 3600, 3600]}}
    endpoint = server.api("POST", "/webhooks", new).json["id"]
    made: dict[str, Any] = server.api("POST", f"/webhooks/{endpoint}/test", {"type": "lead.qualified"}).json
    failed(server, made, 1)
    return made


def failed(server: Server, delivery: dict[str, Any], times: int) -> None:
    path = f"/deliveries/{delivery['id']}"
    wait_until(lambda: server.api("GET", path).json["attempt_count"] == times, what=f"attempt {times}")
    wait_until(lambda: server.api("GET", path).json["status"] == "pending", what=f"attempt {times} failed")


async def retried(page: Page, server: Server, delivery: dict[str, Any], number: int) -> None:
    server.api("POST", f"/deliveries/{delivery['id']}/retry")
    await expect(page.locator(".lane a")).to_have_count(number)
    await expect(page.locator(".detail")).to_have_attribute("data-status", "pending")


def view(panel: Locator, name: str) -> Locator:
    return panel.get_by_role("button", name=name, exact=True)


async def test_a_new_attempt_tears_nothing_away_from_whoever_reads_an_older_one(
    server: Server, delivery: dict[str, Any], browser_page: Page
) -> None:
    page = browser_page
    await page.goto(f"{server.url}/?open={delivery['id']}&attempt=1")
    await page.get_by_role("tab", name="Response").click()
    panel = page.locator("#panel-response")
    await view(panel, "hex").click()
    pre = panel.locator("pre.hex")
    await pre.focus()
    await pre.evaluate("pre => (pre.scrollTop = 60, getSelection().selectAllChildren(pre), pre.mine = true)")
    await retried(page, server, delivery, 2)
    await expect(panel.locator(".which a")).to_have_count(2)
    await expect(view(panel, "hex")).to_have_attribute("aria-pressed", "true")
    await expect(pre).to_be_focused()
    assert await pre.evaluate("pre => pre.mine && pre.scrollTop === 60 && String(getSelection()).length > 99")

    await page.get_by_role("tab", name="Signature").click()
    await page.get_by_role("tab", name="Node").click()
    await retried(page, server, delivery, 3)
    await expect(page.locator("#panel-signature .which a")).to_have_count(3)
    await expect(page.get_by_role("tab", name="Node")).to_have_attribute("aria-selected", "true")
    await expect(page.get_by_role("tab", name="Node")).to_be_focused()


async def test_the_newest_attempt_is_followed_in_the_view_that_was_chosen(
    server: Server, delivery: dict[str, Any], browser_page: Page
) -> None:
    page = browser_page
    await page.goto(f"{server.url}/?open={delivery['id']}")
    await page.get_by_role("tab", name="Request").click()
    panel = page.locator("#panel-request")
    await view(panel, "raw").click()
    await expect(panel.locator("pre.raw")).to_be_visible()
    await panel.locator("pre.raw").focus()
    await retried(page, server, delivery, 2)
    await expect(panel).to_contain_text("x-ultrareach-attempt2")
    await expect(panel.locator("pre.raw")).to_be_focused()
    await expect(view(panel, "raw")).to_have_attribute("aria-pressed", "true")


async def test_what_only_a_screen_reader_sees_scrolls_within_its_pane(
    server: Server, delivery: dict[str, Any], browser_page: Page
) -> None:
    """The reader goes there, and so does the browser's own search for "failed", which stands in every row."""
    server.fill(server.api("GET", "/webhooks").json["data"][-1]["id"], 59)
    page = browser_page
    for address in (f"/?open={delivery['id']}", f"/deliveries/{delivery['id']}/"):
        await page.set_viewport_size({"width": 1280, "height": 300})
        await page.goto(server.url + address)
        hidden = page.locator(".row .unseen, .lane .unseen").last
        await hidden.evaluate("text => text.scrollIntoView()")
        assert await page.evaluate("scrollY") == 0
        await expect(page.get_by_role("link", name="Endpoints")).to_be_in_viewport()
        await page.evaluate("scrollTo(0, 9999)")
        assert await page.evaluate("scrollY") == 0


async def test_what_is_of_yesterday_says_so_after_midnight(
    server: Server, delivery: dict[str, Any], browser_page: Page
) -> None:
    page = browser_page
    await page.clock.install()
    await page.goto(server.url)
    at = page.locator(".row [data-clock]").first
    await expect(at).to_have_text(re.compile(r"^[\d:]{8}$"))
    await page.clock.fast_forward("24:00:00")
    await expect(at).to_have_text(re.compile(r"^\D+ \d+ [\d:]{8}$"))
    dots = await page.locator(".row .dots").first.bounding_box()
    time = await at.bounding_box()
    assert dots and time and dots["x"] + dots["width"] < time["x"]
