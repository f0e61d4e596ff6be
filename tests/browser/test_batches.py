"""A burst from the page: the line counts on, the list stays alive, Stop stops, another tab and a reload show it too."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from playwright.async_api import Locator, Page, expect

from tests.serving import Server

from .conftest import Complaints
from .showing import opened, rows

LONG_S = 30  # for 2,000 events on a busy machine


def line(page: Page) -> Locator:
    return page.locator("#batch")


def stop(page: Page) -> Locator:
    return page.get_by_role("button", name="Stop")


async def places(page: Page) -> list[object]:
    """Where things stand: a line that comes and goes moves none of them."""
    return [
        await page.locator(each).bounding_box() for each in ("#send-button", "#data", "#receiver", "#list")
    ]


async def burst(page: Page, copies: int) -> None:
    await page.get_by_label("Copies").fill(str(copies))
    await page.get_by_role("button", name="Send test event").click()


async def sent(page: Page) -> int:
    """What the progress element says, -1 when there is none."""
    bars = page.get_by_role("progressbar")
    return int(await bars.evaluate_all("bars => bars.length ? bars[0].value : -1"))


async def test_a_burst_of_2000_counts_up_while_the_list_goes_on_and_ends_with_its_number(
    server: Server, browser_page: Page, screens: Path
) -> None:
    page = await opened(browser_page, server.url)
    before = await places(page)
    await burst(page, 2000)
    await expect(line(page)).to_contain_text("of 2,000 sent")
    button = await stop(page).element_handle()
    counts: list[int] = []
    newest: set[str | None] = set()
    async with asyncio.timeout(LONG_S):
        while (now := await sent(page)) >= 0:
            counts.append(now)
            newest.add(await rows(page).first.get_attribute("data-delivery-id"))
            if len(newest) == 3:  # the one that can be pressed is the one that was there at first
                assert await button.evaluate(
                    "button => button.isConnected || !document.querySelector('#batch button')"
                )
                await page.screenshot(path=screens / "batch-1280-light.png")
    assert counts == sorted(counts) and len({*counts} - {0, 2000}) >= 3
    assert len(newest) >= 3
    await expect(line(page)).to_have_text("Last batch: 2,000 sent")
    assert await places(page) == before
    await expect(page.locator('.rows [data-status="pending"], .rows [data-status="sending"]')).to_have_count(
        0
    )
    await page.emulate_media(color_scheme="dark")
    await page.screenshot(path=screens / "batch-over-1280-dark.png")


async def test_stop_ends_it_within_a_second_in_every_tab_and_by_keyboard(
    server: Server, new_tab: Callable[[], Awaitable[Page]], screens: Path
) -> None:
    first, second = await opened(await new_tab(), server.url), await opened(await new_tab(), server.url)
    await burst(first, 100_000)
    await expect(line(second)).to_contain_text("of 100,000 sent")
    await first.reload()
    await expect(line(first)).to_contain_text("of 100,000 sent")
    await second.set_viewport_size({"width": 390, "height": 844})
    await second.emulate_media(color_scheme="dark")
    await second.screenshot(path=screens / "batch-390-dark.png")
    assert await second.evaluate("document.documentElement.scrollWidth") <= 390
    await until_sent(second, 1)

    await stop(second).focus()
    await second.keyboard.press("Space")
    began = time.monotonic()
    await expect(line(second)).to_contain_text("Stopped: ")
    assert time.monotonic() - began < 1
    await expect(line(first)).to_contain_text("of 100,000 sent")
    await expect(line(first)).to_contain_text("Stopped: ")
    await expect(stop(first)).to_have_count(0)
    assert await second.evaluate("document.activeElement.id") == "batch"
    left = server.api("GET", "/deliveries?status=pending&limit=1").json["data"]
    assert left == []


async def until_sent(page: Page, count: int) -> None:
    await expect(line(page).get_by_role("progressbar")).to_be_visible()
    async with asyncio.timeout(LONG_S):
        while await sent(page) < count:
            pass


async def test_a_batch_waits_for_its_paused_endpoint_in_words_and_goes_on_when_it_is_resumed(
    server: Server, browser_page: Page, screens: Path
) -> None:
    page = await opened(browser_page, server.url)
    chosen = await page.get_by_label("Endpoint", exact=True).input_value()
    server.api("PATCH", f"/webhooks/{chosen}", {"status": "paused"})
    await expect(page.locator("#audience")).to_contain_text("it waits until you resume")
    await burst(page, 300)
    why = "it waits, because Built-in receiver is paused"
    await expect(page.locator("#outcome")).to_contain_text(f"Not sent yet: {why}")
    await expect(line(page)).to_contain_text(f"0 of 300 sent: {why}")
    await expect(page.get_by_role("progressbar")).to_have_count(0)
    await page.screenshot(path=screens / "batch-held-1280.png")
    button = await stop(page).element_handle()
    await page.set_viewport_size({"width": 390, "height": 844})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await page.screenshot(path=screens / "batch-held-390.png")
    server.api("PATCH", f"/webhooks/{chosen}", {"status": "enabled", "max_in_flight": 1})
    await expect(line(page)).not_to_contain_text("paused")
    await expect(page.locator("#outcome p")).to_have_count(0)
    assert await button.evaluate("one => one.isConnected || !document.querySelector('#batch button')")
    await expect(line(page)).to_have_text("Last batch: 300 sent", timeout=LONG_S * 1000)


async def test_it_is_said_to_wait_only_as_long_as_it_does_also_behind_another_batch(
    server: Server, browser_page: Page
) -> None:
    page, said = await opened(browser_page, server.url), browser_page.locator("#outcome")
    flaky, built_in = (each["id"] for each in server.api("GET", "/webhooks").json["data"])
    server.api("PATCH", f"/webhooks/{built_in}", {"status": "paused"})
    await expect(page.locator("#audience")).to_contain_text("it waits until you resume")
    await burst(page, 300)
    await expect(said).to_contain_text("Not sent yet: it waits, because Built-in receiver is paused.")
    server.api("PATCH", f"/webhooks/{flaky}", {"url": f"{server.url}/receiver/slow?delay=0.5"})
    other = {"type": "message.received", "count": 50_000, "endpoints": [flaky]}
    server.api("POST", "/events/batch", other)
    await expect(line(page)).to_contain_text("of 50,000 sent +1 more")
    await expect(said).to_contain_text("Not sent yet")
    server.api("PATCH", f"/webhooks/{built_in}", {"status": "enabled", "max_in_flight": 1})
    await expect(said.locator("p")).to_have_count(0)


async def test_one_that_is_stopped_before_anything_left_is_not_said_to_wait(
    server: Server, browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    for endpoint in server.api("GET", "/webhooks").json["data"]:
        server.api("PATCH", f"/webhooks/{endpoint['id']}", {"status": "paused"})
    await burst(page, 300)
    await expect(page.locator("#outcome")).to_contain_text("Not sent yet")
    await stop(page).click()
    await expect(line(page)).to_contain_text("Stopped: 0 of 300 sent")
    await expect(page.locator("#outcome p")).to_have_count(0)


async def test_a_number_that_is_no_number_of_copies_is_said_at_the_field(
    server: Server, browser_page: Page, complaints: Complaints, screens: Path
) -> None:
    complaints.allow("status of 400")
    page = await opened(browser_page, server.url)
    await burst(page, 100_001)
    field = page.get_by_label("Copies")
    await expect(page.locator("#copies-error")).to_contain_text("1 to 100,000")
    await expect(field).to_have_attribute("aria-invalid", "true")
    await page.screenshot(path=screens / "batch-error-1280.png")
    await field.fill("1")
    await field.press("Enter")
    await expect(rows(page)).to_have_count(1)
    await expect(field).to_have_attribute("aria-invalid", "false")
    await expect(line(page)).to_be_empty()
