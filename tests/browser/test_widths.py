"""The console on a phone, beside a desktop's and in between: everything is there, and nothing sticks out."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.receiving import Receiver
from tests.serving import Server
from tests.waiting import wait_until

from .showing import opened, row, sent


async def at_each_width(page: Page, url: str) -> AsyncIterator[int]:
    """The console there, loaded anew beside a desktop's and on a phone."""
    for width in (1280, 390):
        await page.set_viewport_size({"width": width, "height": 800})
        await opened(page, url)
        yield width


async def test_a_body_in_hex_is_read_without_scrolling_sideways(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    delivery = sent(server, endpoint)
    async for width in at_each_width(page := browser_page, f"{server.url}/?open={delivery}"):
        await page.get_by_role("tab", name="Request").click()
        await page.locator("#panel-request").get_by_role("button", name="hex").click()
        shown = page.locator("#panel-request pre.hex")
        await expect(shown).to_contain_text('{"id":"e')
        assert await shown.evaluate("pre => pre.scrollWidth <= pre.clientWidth"), width


async def test_every_phase_of_an_attempt_has_its_bar(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    delivery = sent(server, endpoint)
    async for width in at_each_width(page := browser_page, f"{server.url}/?open={delivery}"):
        phases = page.locator(".waterfall .phase")
        await expect(phases.last).to_be_visible()
        drawn = "bars => bars.map(bar => bar.getBoundingClientRect().width > 0)"
        count = await page.locator(".waterfall li").count()
        assert await phases.evaluate_all(drawn) == [True] * count, width


async def test_a_long_description_breaks_no_pane(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    server.api("PATCH", f"/webhooks/{endpoint['id']}", {"description": "A rather long description " * 6})
    async for width in at_each_width(page := browser_page, f"{server.url}/?endpoint={endpoint['id']}"):
        if width == 390:
            await page.get_by_role("button", name="Deliveries").click()
        await expect(page.get_by_label("Filter by endpoint")).to_be_visible()
        beyond = "pane => [...pane.querySelectorAll('.filter *')].filter(one => one.getBoundingClientRect().right > pane.getBoundingClientRect().right).length"
        assert await page.locator(".pane.list").evaluate(beyond) == 0, width
        assert await page.locator(".filter").evaluate("form => form.scrollWidth <= form.clientWidth"), width


async def test_where_the_detail_stands_beside_the_list_the_switch_names_the_list(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    delivery = sent(server, endpoint)
    await browser_page.set_viewport_size({"width": 1000, "height": 800})
    page = await opened(browser_page, f"{server.url}/?open={delivery}")
    pressed = page.locator("[data-show][aria-pressed=true]")
    await expect(pressed).to_have_text(["Deliveries"])
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(pressed).to_have_text(["Send"])
    await page.get_by_role("button", name="Deliveries").click()
    await row(page, delivery).locator("a").click()
    await expect(pressed).to_have_text(["Deliveries"])
    await page.set_viewport_size({"width": 390, "height": 800})
    await expect(pressed).to_have_text(["Detail"])
    await expect(page.locator("#detail [data-open]")).to_be_visible()


async def test_the_url_that_is_there_to_begin_with_is_read_whole(server: Server, browser_page: Page) -> None:
    async for width in at_each_width(page := browser_page, server.url):
        yours = page.get_by_label("Your receiver's URL")
        assert await yours.evaluate("field => field.scrollWidth <= field.clientWidth"), width


async def test_the_link_home_has_a_name_at_every_width(server: Server, browser_page: Page) -> None:
    async for _ in at_each_width(browser_page, server.url):
        home = browser_page.get_by_role("banner").get_by_role("link", name="Webhook Simulator")
        await expect(home).to_be_visible()


async def test_the_keys_are_told_at_twice_the_size(server: Server, browser_page: Page) -> None:
    await browser_page.set_viewport_size({"width": 640, "height": 400})
    page = await opened(browser_page, server.url)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    await page.keyboard.press("Escape")


@pytest.mark.parametrize("width", [640, 480, 479, 390, 389, 350, 320])
async def test_reconnecting_fits_the_header(server: Server, browser_page: Page, width: int) -> None:
    await browser_page.set_viewport_size({"width": width, "height": 400})
    page = await opened(browser_page, server.url)
    word = page.locator("[data-live] span")
    await word.evaluate("word => word.textContent = 'reconnecting'")
    assert await page.locator(".top").evaluate("top => top.scrollWidth <= innerWidth")
    assert await word.evaluate("word => word.scrollWidth <= word.clientWidth || !word.clientWidth")


COUNTERS = "".join(
    f"<span><b>{number}</b> {word}</span>"
    for number, word in (("100", "sending"), ("700", "retrying"), ("1100", "waiting"), ("99+", "held"))
)

# In one step: the page writes its own there whenever something happens.
COUNTED = """html => {
  const place = document.querySelector("#counters"), theme = document.querySelector("[data-theme-switch]")
  place.innerHTML = html
  return {
    fits: document.documentElement.scrollWidth <= innerWidth,
    seen: place.firstChild.checkVisibility(),
    reached: theme.getBoundingClientRect().right <= innerWidth,
  }
}"""


@pytest.mark.parametrize("width", [960, 768, 721, 390])
async def test_what_is_counted_makes_no_page_wider(server: Server, browser_page: Page, width: int) -> None:
    await browser_page.set_viewport_size({"width": width, "height": 400})
    page = await opened(browser_page, f"{server.url}/endpoints/")
    assert await page.evaluate(COUNTED, COUNTERS) == {"fits": True, "seen": width > 720, "reached": True}


@pytest.mark.parametrize("width", [1280, 390])
async def test_each_of_many_attempts_can_be_chosen(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page, width: int
) -> None:
    receiver.answer(500)
    server.api("PATCH", f"/webhooks/{endpoint['id']}", {"retry": {"delays": [0] * 24}})
    delivery = sent(server, endpoint)
    wait_until(lambda: server.api("GET", f"/deliveries/{delivery}").json["status"] == "failed")
    await browser_page.set_viewport_size({"width": width, "height": 800})
    page = await opened(browser_page, f"{server.url}/?open={delivery}")
    await page.get_by_role("tab", name="Response").click()
    attempts = page.locator("#panel-response .which a")
    await expect(attempts).to_have_count(25)
    assert await attempts.evaluate_all(
        "all => all.every(one => one.getBoundingClientRect().right < innerWidth)"
    )
    await attempts.last.click()
    await expect(attempts.last).to_have_attribute("aria-current", "true")


# The labels of an axis that stand in one another.
COLLIDING = """
axis => [...axis.querySelectorAll('text')].filter(text => text.textContent && text.checkVisibility()).map(text => text.getBoundingClientRect())
  .filter((one, index, all) => index && one.left < all[index - 1].right + 2).length
"""


@pytest.mark.parametrize("width", [1280, 390, 320])
async def test_a_timeline_can_be_read(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page, width: int
) -> None:
    receiver.answer(b"")
    delivery = sent(server, endpoint)
    wait_until(lambda: server.api("GET", f"/deliveries/{delivery}").json["last_attempt"])
    await browser_page.set_viewport_size({"width": width, "height": 800})
    page = await opened(browser_page, f"{server.url}/?open={delivery}")
    what = page.locator(".lane .what").first
    await expect(what).to_contain_text("closed_before_response")
    assert await what.evaluate(
        "what => what.scrollWidth <= what.clientWidth && what.scrollHeight <= what.parentElement.clientHeight"
    )
    assert await page.locator(".axis").evaluate(COLLIDING) == 0


async def test_on_a_phone_a_link_to_what_is_filtered_shows_the_list(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    delivery = sent(server, endpoint)
    await browser_page.set_viewport_size({"width": 390, "height": 800})
    page = await opened(browser_page, f"{server.url}/?endpoint={endpoint['id']}")
    await expect(row(page, delivery)).to_be_visible()
    await expect(page.locator("[data-show][aria-pressed=true]")).to_have_text(["Deliveries"])
    await page.goto(server.url)
    await expect(page.locator("[data-show][aria-pressed=true]")).to_have_text(["Send"])


@pytest.mark.parametrize("width", [1280, 390])
async def test_many_event_types_push_no_button_out_of_reach(
    server: Server, endpoint: dict[str, Any], browser_page: Page, width: int
) -> None:
    for number in range(40):
        server.api("POST", "/event-types", {"type": f"team.thing{number}", "example": {}})
    await browser_page.set_viewport_size({"width": width, "height": 800})
    await browser_page.goto(f"{server.url}/endpoints/{endpoint['id']}/edit/")
    assert await browser_page.evaluate("document.documentElement.scrollHeight") < 1000
    last = browser_page.get_by_label("team.thing39")
    await last.check()
    await browser_page.get_by_role("button", name="Save").click()
    await expect(browser_page.locator(".card")).to_contain_text("every event")


# What is hit is asked of the page: what a neighbour covers, or a box cuts off, does not count.
TARGETS = """
root => [...root.querySelectorAll('a:not(.skip), button, summary, select')].filter(one => one.checkVisibility()).filter(one => {
  one.scrollIntoView({ block: 'center' });
  const { left, right, top, bottom } = one.getClientRects()[0];
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  const hit = (dx, dy) => one.contains(document.elementFromPoint(x + dx, y + dy));
  return !(hit(0, -11) && hit(0, 11) && hit(-11, 0) && hit(11, 0));
}).map(one => `${one.tagName} ${one.textContent.trim()}`)
"""


async def test_on_a_phone_everything_is_large_enough_for_a_finger(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    await browser_page.set_viewport_size({"width": 390, "height": 800})
    mine = f"endpoints/{endpoint['id']}/"
    for place in ("", "endpoints/", mine, f"{mine}edit/"):
        await browser_page.goto(f"{server.url}/{place}")
        assert await browser_page.locator("body").evaluate(TARGETS) == [], place


async def test_on_a_phone_so_is_everything_in_a_delivery(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    delivery = sent(server, endpoint)
    wait_until(lambda: server.api("GET", f"/deliveries/{delivery}").json["status"] == "succeeded")
    await browser_page.set_viewport_size({"width": 390, "height": 800})
    page = await opened(browser_page, f"{server.url}/?open={delivery}")
    for tab in ("Timeline", "Request", "Response", "Signature"):
        await page.get_by_role("tab", name=tab).click()
        assert await page.locator("#detail").evaluate(TARGETS) == [], tab
