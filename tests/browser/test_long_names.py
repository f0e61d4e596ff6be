"""Names as long as they may be push nothing out of the page, at a desk and on a phone."""

from itertools import product
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.receiving import Receiver
from tests.serving import Server
from tests.waiting import wait_until

TYPE = "t" * 98 + ".x"


@pytest.fixture
def endpoint(server: Server, receiver: Receiver) -> dict[str, Any]:
    server.api("POST", "/event-types", {"type": TYPE, "example": {}})
    new = {"url": receiver.url, "events": [TYPE], "description": "D" * 200}
    made: dict[str, Any] = server.api("POST", "/webhooks", new).json
    return made


async def test_the_pages_of_an_endpoint_are_not_wider_than_the_window(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    for width, page_of in product((1280, 390), ("edit/", "", "delete/")):
        await browser_page.set_viewport_size({"width": width, "height": 800})
        answer = await browser_page.goto(f"{server.url}/endpoints/{endpoint['id']}/{page_of}")
        assert answer and answer.status == 200
        wide = await browser_page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, (page_of, width)


async def test_a_trouble_that_names_a_folder_makes_the_page_no_wider(
    server: Server, browser_page: Page
) -> None:
    await browser_page.set_viewport_size({"width": 390, "height": 800})
    await browser_page.goto(server.url)
    trouble = (
        f'<p class="banner trouble">The database file /{"folder_" * 20}/simulator.sqlite3 was deleted.</p>'
    )
    await browser_page.locator("#banners").evaluate("(place, html) => place.innerHTML = html", trouble)
    assert await browser_page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("width", [1280, 390])
async def test_the_console_shows_what_went_where(
    server: Server, endpoint: dict[str, Any], browser_page: Page, width: int
) -> None:
    page = browser_page
    await page.set_viewport_size({"width": width, "height": 800})
    path = f"/webhooks/{endpoint['id']}/test"
    delivery = server.api("POST", path, {"type": TYPE}).json["id"]
    # What is measured is not to be drawn anew meanwhile.
    wait_until(lambda: server.api("GET", f"/deliveries/{delivery}").json["status"] == "succeeded")
    await page.goto(f"{server.url}/?open={delivery}")
    heading = page.locator(".detail h2")
    await expect(heading).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    whole = await heading.bounding_box()
    assert whole
    right = whole["x"] + whole["width"]
    for part in (".type", ".arrow", ".to"):
        box = await heading.locator(part).bounding_box()
        assert box and box["width"] > 10 and box["x"] + box["width"] <= right + 1, part
    await expect(heading.locator(".type")).to_have_attribute("title", TYPE)

    if width == 390:
        await page.get_by_role("button", name="Send", exact=True).click()
    types = page.locator(".types")
    await expect(types).to_be_visible()
    assert await types.evaluate("box => box.scrollWidth <= box.clientWidth")
    assert await types.evaluate(
        "box => [...box.querySelectorAll('.type')].every(one => one.scrollWidth <= one.clientWidth)"
    )


@pytest.mark.parametrize("width", [1280, 390])
async def test_who_gets_an_event_is_read_to_its_end_and_leaves_the_button_in_sight(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page, width: int
) -> None:
    for number in range(40):
        new = {"url": receiver.url, "events": [TYPE], "description": f"Nobody's receiver {number}"}
        server.api("POST", "/webhooks", new)
    page = browser_page
    await page.set_viewport_size({"width": width, "height": 800})
    await page.goto(server.url)
    await page.get_by_label("Endpoint", exact=True).select_option("everyone")
    audience = page.locator("#audience")
    await expect(audience).to_contain_text("Nobody's receiver 39")
    assert await audience.evaluate("box => box.scrollWidth <= box.clientWidth")
    button = await page.get_by_role("button", name="Send test event").bounding_box()
    assert button and button["y"] + button["height"] < 800
