"""What a screen reader is told: the result of what was sent, once, and what became of a click."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.receiving import Receiver
from tests.serving import Server
from tests.waiting import until, wait_until

from .conftest import Complaints
from .showing import opened

# What every live region comes to hold, one after the other, as a reader would speak it.
LISTEN = """() => {
  window.spoken = [];
  for (const place of document.querySelectorAll("[role=status]"))
    new MutationObserver(() => place.textContent.trim() && spoken.push(place.textContent.trim().replace(/\\s+/g, " ")))
      .observe(place, { childList: true });
}"""

HEARD = """words => new Promise((heard) => {
  const listen = () => (spoken.some((line) => line.includes(words)) ? heard() : requestAnimationFrame(listen));
  listen();
})"""


async def listening(page: Page, url: str) -> Page:
    await opened(page, url)
    await page.evaluate(LISTEN)
    return page


@pytest.fixture
def endpoint(server: Server, receiver: Receiver) -> dict[str, Any]:
    receiver.answer(500)
    new = {"url": receiver.url, "events": ["*"], "description": "Mine", "retry": {"delays": [3600]}}
    made: dict[str, Any] = server.api("POST", "/webhooks", new).json
    return made


async def test_the_result_of_the_open_delivery_is_said_once_and_not_that_it_is_under_way(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    id = server.api("POST", f"/webhooks/{endpoint['id']}/test", {"type": "lead.qualified"}).json["id"]
    path = f"/deliveries/{id}"
    wait_until(lambda: server.api("GET", path).json["last_attempt"], what="its first attempt")
    wait_until(lambda: server.api("GET", path).json["status"] == "pending", what="its first result")
    page = await listening(browser_page, f"{server.url}/?open={id}")
    said = page.locator("#said")
    await expect(page.locator(".verdict")).to_contain_text("answered 500")
    await expect(said).to_be_empty()
    server.api("POST", f"/deliveries/{id}/retry")
    await expect(said).to_contain_text("answered 500")
    receiver.answer(200)
    await page.get_by_role("button", name="Retry now").click()
    await expect(said).to_contain_text("Your receiver answered 200")
    await page.get_by_role("button", name="Pause", exact=True).click()
    spoken = await page.evaluate("spoken")
    assert len([line for line in spoken if "answered" in line]) == 2, spoken
    assert not [line for line in spoken if "under way" in line], spoken


async def test_the_same_result_of_another_attempt_is_said_again(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    receiver.stop()
    id = server.api("POST", f"/webhooks/{endpoint['id']}/test", {"type": "lead.qualified"}).json["id"]
    page = await listening(browser_page, f"{server.url}/?open={id}")
    for number in (2, 3):
        await expect(page.locator(".detail")).to_have_attribute("data-status", "pending")
        await expect(page.locator(".verdict")).to_contain_text("Nothing listens")
        await page.evaluate("spoken.length = 0")
        await page.get_by_role("button", name="Retry now").click()
        await expect(page.locator(".lane a")).to_have_count(number)
        await expect(page.locator(".detail")).to_have_attribute("data-status", "pending")
        await asyncio.wait_for(page.evaluate(HEARD, "Nothing listens"), 5)
        [line] = [line for line in await page.evaluate("spoken") if "Nothing listens" in line]
        assert line.endswith("1 retry left.")


async def test_an_answer_that_was_overtaken_takes_nothing_back(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    id = server.api("POST", f"/webhooks/{endpoint['id']}/test", {"type": "lead.qualified"}).json["id"]
    page = await listening(browser_page, f"{server.url}/?open={id}")
    lane = page.locator(".lane a")
    await expect(page.locator(".detail")).to_have_attribute("data-status", "pending")
    await expect(lane).to_have_count(1)
    overtaken = await page.locator(".detail").evaluate("article => article.outerHTML")

    async def answer_late(route: Route) -> None:
        await route.fetch()
        await expect(lane).to_have_count(2)
        await expect(page.locator(".detail")).to_have_attribute("data-status", "pending")
        await route.fulfill(body=overtaken, content_type="text/html")

    await page.route("**/retry/", answer_late)
    await page.evaluate("""() => {
      spoken.length = 0;
      window.answer = new Promise((done) => document.addEventListener("htmx:beforeSwap", ({ detail }) =>
        detail.pathInfo.requestPath.endsWith("/retry/") && done()));
    }""")
    await page.get_by_role("button", name="Retry now").click()
    await page.evaluate("answer")
    assert await lane.count() == 2
    await asyncio.wait_for(page.evaluate(HEARD, "answered 500"), 5)
    assert len([line for line in await page.evaluate("spoken") if "answered 500" in line]) == 1


async def test_what_became_of_a_click_on_send_is_said_in_a_place_that_stays(
    server: Server, endpoint: dict[str, Any], browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("status of 400")
    page = await listening(browser_page, server.url)
    await page.get_by_label("Endpoint", exact=True).select_option(label="Mine")
    place, send = page.locator("#outcome"), page.get_by_role("button", name="Send test event")
    await place.evaluate("place => place.mine = true")
    tokens = set()
    for data, answer in (("{}", "Sent."), ("{", "Line 1, column"), ("{}", "Sent.")):
        tokens.add(await place.locator("[name=token]").input_value())
        await page.get_by_label("Data").fill(data)
        await send.click()
        await expect(place).to_contain_text(answer)
    tokens.add(await place.locator("[name=token]").input_value())
    assert len(tokens) == 4
    assert await place.evaluate("place => place.mine")
    assert len([line for line in await page.evaluate("spoken") if line.startswith("Sent.")]) == 2


async def test_the_result_of_what_was_just_sent_is_said_also_when_it_is_quicker_than_the_page(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    receiver.answer(200)
    page = await listening(browser_page, server.url)
    await page.get_by_label("Endpoint", exact=True).select_option(label="Mine")

    async def answer_late(route: Route) -> None:
        id = route.request.url.split("/")[-3]
        wait_until(
            lambda: server.api("GET", f"/deliveries/{id}").json["status"] == "succeeded", what="its end"
        )
        await route.continue_()

    await page.route("**/detail/", answer_late)
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.locator("#said")).to_contain_text("Your receiver answered 200")
    await page.get_by_role("button", name="Pause", exact=True).click()
    assert len([line for line in await page.evaluate("spoken") if "answered" in line]) == 1


@pytest.mark.parametrize("quick", [True, False])
async def test_the_result_of_what_was_sent_again_is_said_beside_that_it_waits_above_the_list(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page, quick: bool
) -> None:
    receiver.answer(200)
    first = server.api("POST", f"/webhooks/{endpoint['id']}/test", {"type": "lead.qualified"}).json["id"]
    page = await listening(browser_page, f"{server.url}/?open={first}")
    await expect(page.locator(".detail")).to_have_attribute("data-status", "succeeded")

    async def answer_late(route: Route) -> None:
        """As it would have come, had the receiver been quicker than the page."""
        await route.fetch()
        id = server.api("GET", "/deliveries?limit=1").json["data"][0]["id"]
        ended = f"/deliveries/{id}"
        wait_until(lambda: server.api("GET", ended).json["status"] == "succeeded", what="its end")
        await route.fulfill(body=server.get(f"{ended}/detail/").body, content_type="text/html")

    if quick:
        await page.route("**/resend/", answer_late)
    await page.evaluate("spoken.length = 0")
    await page.get_by_role("button", name="Resend", exact=True).click()
    await expect(page.locator(".pill")).to_contain_text("1 new")
    await expect(page.locator(".detail")).to_have_attribute("data-status", "succeeded")
    for words in ("above the list", "answered 200"):
        await asyncio.wait_for(page.evaluate(HEARD, words), 5)


async def test_that_another_attempt_is_to_come_repeats_no_result(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    server.api("PATCH", f"/webhooks/{endpoint['id']}", {"retry": {"delays": []}})
    id = server.api("POST", f"/webhooks/{endpoint['id']}/test", {"type": "lead.qualified"}).json["id"]
    page = await listening(browser_page, f"{server.url}/?open={id}")
    await expect(page.locator(".detail")).to_have_attribute("data-status", "failed")
    failed = await page.locator(".detail").evaluate("article => article.outerHTML")
    asked = failed.replace("No retries left after 1 attempt.", "The next attempt is the last one.")
    asked = asked.replace('data-status="failed"', 'data-status="pending"')
    await page.route("**/retry/", lambda route: route.fulfill(body=asked, content_type="text/html"))
    await page.evaluate("spoken.length = 0")
    await page.get_by_role("button", name="Retry now").click()
    await expect(page.locator(".verdict")).to_contain_text("The next attempt is the last one.")
    server.api("POST", f"/webhooks/{endpoint['id']}/test", {"type": "lead.qualified"})
    await expect(page.locator("#said")).to_contain_text("above the list")
    assert [line for line in await page.evaluate("spoken") if "answered 500" in line] == []


async def test_a_copy_button_says_that_it_copied_without_growing(server: Server, browser_page: Page) -> None:
    await browser_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await listening(browser_page, server.url)
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.locator(".detail")).to_have_attribute(
        "data-status", "succeeded"
    )  # and is drawn no more
    button = page.get_by_role("button", name="Copy as curl")
    before = await button.bounding_box()
    await button.click()
    await expect(button).to_have_class("copied")
    word = "button => getComputedStyle(button, '::after').content"
    assert '"Copied"' in await button.evaluate(word)
    assert await button.bounding_box() == before
    await expect(button).to_have_class("")


async def test_a_banner_is_said_when_it_changes_and_not_whenever_something_is_opened(
    make_server: Callable[..., Server], browser_page: Page
) -> None:
    server = make_server(SIM_RETRY_SCALE="0.5")
    [endpoint, *_] = server.api("GET", "/webhooks").json["data"]
    server.fill(endpoint["id"], 1)
    page = await listening(browser_page, server.url)
    banner = await page.locator(".banner").inner_text()
    await page.evaluate("spoken.length = 0")
    await page.locator(".rows [data-delivery-id] a").click()
    await expect(page.locator(".detail")).to_be_visible()
    server.api("POST", f"/webhooks/{endpoint['id']}/test", {})
    await expect(page.locator(".pill")).to_contain_text("1 new")
    assert [line for line in await page.evaluate("spoken") if line in banner] == []


async def test_that_it_reconnects_is_said_once_however_often_it_tries(
    server: Server, browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("WebSocket", "ERR_CONNECTION_REFUSED", "console: htmx:")
    page = await listening(browser_page, server.url)
    await page.evaluate("""() => {
      const badge = document.querySelector("[data-live]");
      window.states = [];
      new MutationObserver(() => states.push(badge.textContent)).observe(badge, { childList: true, subtree: true });
    }""")
    tries: list[object] = []
    page.on("websocket", lambda socket: tries.append(socket))
    server.stop()
    await until(lambda: len(tries) > 2, what="three tries")
    assert await page.evaluate("states") == ["reconnecting"]


async def test_what_waited_while_paused_is_no_news_after_what_was_done_meanwhile(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    receiver.answer(200)
    server.fill(endpoint["id"], 3)
    frames: list[object] = []
    browser_page.on(
        "websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(frame))
    )
    page = await listening(browser_page, server.url)
    await expect(page.locator("#batch")).to_have_text("Last batch: 3 sent")
    await page.get_by_role("button", name="Pause", exact=True).click()
    before = len(frames)
    await page.locator(".rows [data-delivery-id] a").first.click()
    await until(lambda: len(frames) > before, what="a frame that waits")
    await page.get_by_label("Copies").fill("2")
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.locator("#batch")).to_contain_text("2 sent")
    await page.evaluate("spoken.length = 0")
    await page.get_by_role("button", name="Resume", exact=True).click()
    await expect(page.locator("#batch")).to_have_text("Last batch: 2 sent")
    assert [line for line in await page.evaluate("spoken") if "3 sent" in line] == []


async def test_that_deliveries_wait_behind_the_pill_is_said_once_however_many_come(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    receiver.answer(200)
    id = server.api("POST", f"/webhooks/{endpoint['id']}/test", {}).json["id"]
    page = await listening(browser_page, f"{server.url}/?open={id}")
    pill = page.locator(".pill")
    assert await pill.get_attribute("aria-live") is None
    for number in (1, 2, 3):
        server.api("POST", f"/webhooks/{endpoint['id']}/test", {})
        await expect(pill).to_contain_text(f"{number} new")
    assert (await page.evaluate("spoken")).count("New deliveries wait above the list.") == 1


async def test_how_much_a_filter_finds_is_said(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    server.api("POST", f"/webhooks/{endpoint['id']}/test", {"type": "lead.qualified"})
    page = await listening(browser_page, server.url)
    await expect(page.locator(".rows [data-delivery-id]")).to_have_count(1)
    said = page.locator("#said")
    await page.get_by_label("Filter by text").fill("nothing of the kind")
    await expect(said).to_have_text("Nothing matches this filter")
    await page.get_by_label("Filter by text").fill("")
    await expect(said).to_have_text("1 delivery.")
    await page.get_by_label("Filter by status").select_option("cancelled")
    await expect(said).to_have_text("Nothing matches this filter")
