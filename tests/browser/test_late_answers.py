"""Answers that come late: what was chosen, written or done since then stays, and one intention is one event."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.receiving import Receiver
from tests.serving import Server
from tests.waiting import until

from .conftest import Complaints, held
from .showing import row, sent, settled

BATCH_NOW = """fetch('/').then(answer => answer.text()).then(text =>
  new DOMParser().parseFromString(text, 'text/html').getElementById('batch').textContent.trim())"""


@pytest.fixture
def endpoint(server: Server, receiver: Receiver) -> dict[str, Any]:
    receiver.answer(500)
    new = {"url": receiver.url, "events": ["*"], "description": "Mine", "retry": {"delays": [0.1, 3600]}}
    made: dict[str, Any] = server.api("POST", "/webhooks", new).json
    return made


def detail(page: Page) -> Locator:
    return page.locator("#detail [data-open]")


async def let_in(page: Page, let_go: asyncio.Event, address: str) -> None:
    """The late answer, until the page has made of it what it makes of it."""
    async with page.expect_event("requestfinished", lambda request: address in request.url):
        let_go.set()
    await page.evaluate("fetch('/keys/').then(answer => answer.text())")  # what came before it was put in


@pytest.mark.parametrize("name", ["Retry now", "Resend"])
async def test_what_was_opened_since_a_click_stays_open(
    server: Server, endpoint: dict[str, Any], browser_page: Page, name: str
) -> None:
    second, first = sent(server, endpoint), sent(server, endpoint)
    page = await settled(browser_page, f"{server.url}/?open={first}")
    await expect(page.locator(".lane a")).to_have_count(2)
    await expect(detail(page)).to_have_attribute("data-status", "pending")
    given, let_go = await held(page, "**/act/**")
    await page.get_by_role("button", name=name, exact=True).click()
    await given.wait()
    await row(page, second).click()
    await expect(detail(page)).to_have_attribute("data-open", second)
    await let_in(page, let_go, "/act/")
    await expect(detail(page)).to_have_attribute("data-open", second)
    await expect(page).to_have_url(f"{server.url}/?open={second}")


async def test_what_is_under_way_is_seen_and_pressed_again_is_not_sent_again(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    delivery = sent(server, endpoint)
    page = await settled(browser_page, f"{server.url}/?open={delivery}")
    given, let_go = await held(page, "**/resend/")
    button = page.get_by_role("button", name="Resend", exact=True)
    await button.focus()
    await page.keyboard.press("Enter")
    await given.wait()
    await expect(page.locator("form", has=button)).to_have_css("opacity", "0.5")
    await expect(button).to_be_focused()
    await page.keyboard.press("r")
    await let_in(page, let_go, "/resend/")
    await expect(detail(page)).not_to_have_attribute("data-open", delivery)
    await expect(button).to_be_focused()
    assert len(server.api("GET", "/deliveries").json["data"]) == 2
    given, let_go = await held(page, "**/edit/")
    button = page.get_by_role("button", name="Edit and resend")
    await button.click()
    await given.wait()
    await expect(button).to_have_css("opacity", "0.5")
    let_go.set()
    await expect(page.get_by_role("dialog")).to_be_visible()


async def test_the_attempt_that_was_chosen_last_is_shown(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    delivery = sent(server, endpoint)
    page = await settled(browser_page, f"{server.url}/?open={delivery}")
    await expect(page.locator(".lane a")).to_have_count(2)
    await expect(detail(page)).to_have_attribute("data-status", "pending")
    given, let_go = await held(page, "**/detail/?attempt=1")
    await page.locator(".lane a").first.click()
    await given.wait()
    await page.locator(".lane a").last.click()
    await expect(detail(page)).to_have_attribute("data-chosen", "2")
    await let_in(page, let_go, "?attempt=1")
    await expect(detail(page)).to_have_attribute("data-chosen", "2")
    await expect(page).to_have_url(f"{server.url}/?open={delivery}&attempt=2")


async def test_an_endpoint_that_is_resumed_late_takes_nobody_back_to_its_delivery(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    other = sent(server, endpoint)
    server.api("PATCH", f"/webhooks/{endpoint['id']}", {"status": "paused"})
    delivery = sent(server, endpoint)
    page = await settled(browser_page, f"{server.url}/?open={delivery}")
    await page.keyboard.press("p")  # or the socket takes the button away
    given, let_go = await held(page, "**/status/")
    await page.get_by_role("button", name="Resume endpoint").click()
    await given.wait()
    waiting: list[Route] = []

    async def hold(route: Route) -> None:
        waiting.append(route)

    await page.route(f"**/{other}/detail/", hold)
    async with page.expect_request(f"**/{other}/detail/"):
        await row(page, other).click()
    await let_in(page, let_go, "/status/")
    await waiting[0].continue_()
    await expect(detail(page)).to_have_attribute("data-open", other)


async def test_a_double_click_and_control_enter_twice_send_once_wherever_it_is(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    server.api("PATCH", f"/webhooks/{endpoint['id']}", {"retry": {"delays": []}})
    delivery = sent(server, endpoint)
    page = await settled(browser_page, f"{server.url}/?open={delivery}")
    await page.get_by_label("Endpoint", exact=True).select_option(label="Mine")
    resend = page.get_by_role("button", name="Resend", exact=True)
    await resend.click()
    await expect(detail(page)).not_to_have_attribute("data-open", delivery)
    await resend.hover()
    await page.mouse.down(click_count=2)  # a person's second click: the first one is long answered
    await page.mouse.up(click_count=2)

    again = await detail(page).get_attribute("data-open")
    for edited in ("click", "keys"):
        await page.get_by_role("button", name="Edit and resend").click()
        await page.get_by_label("Body").fill("{}")
        given, let_go = await held(page, "**/edit/")
        send = page.get_by_role("button", name="Send it")
        if edited == "click":
            await send.dblclick()
        else:
            await page.keyboard.press("Control+Enter")
            await page.keyboard.press("Control+Enter")
        await given.wait()
        let_go.set()
        await expect(detail(page)).not_to_have_attribute("data-open", str(again))
        again = await detail(page).get_attribute("data-open")

    given, let_go = await held(page, "**/send/")
    await page.get_by_label("Data").focus()
    await page.keyboard.press("Control+Enter")
    await page.keyboard.press("Control+Enter")
    await given.wait()
    let_go.set()
    await expect(page.locator("#outcome .sent")).to_be_visible()
    await expect(page.locator(".htmx-request")).to_have_count(0)
    made = server.api("GET", f"/deliveries?endpoint={endpoint['id']}").json["data"]
    assert len(made) == 5


@pytest.mark.parametrize("meanwhile", ["written", "chosen"])
async def test_a_sample_that_comes_late_takes_no_data_away(
    server: Server, browser_page: Page, meanwhile: str
) -> None:
    page, mine = await settled(browser_page, server.url), '{"mine": true}'
    data = page.get_by_label("Data")
    await data.fill(mine)
    given, let_go = await held(page, "**/send/sample/**")
    await page.get_by_text("property.matched").first.click()
    await given.wait()
    if meanwhile == "written":
        await data.fill('{"also": "mine"}')
        mine = '{"also": "mine"}'
    else:
        await page.get_by_text("lead.qualified").first.click()
    await let_in(page, let_go, "/send/sample/")
    await expect(data).to_have_value(mine)
    if meanwhile == "chosen":
        await page.get_by_text("message.received").first.click()
        await expect(data).not_to_have_value(mine)
        await page.get_by_text("lead.qualified").first.click()
        await expect(data).to_have_value(mine)


async def test_a_dot_says_nothing_about_an_endpoint_that_is_chosen_no_more(
    server: Server, browser_page: Page
) -> None:
    page = await settled(browser_page, server.url)
    dot = page.locator("#endpoint-reach")
    await expect(dot.locator(".reach")).to_be_visible()
    given, let_go = await held(page, "**/send/reach/")
    await page.get_by_label("Endpoint", exact=True).select_option(label="Flaky receiver")
    await given.wait()
    await page.get_by_label("Endpoint", exact=True).select_option("everyone")
    await let_in(page, let_go, "/send/reach/")
    assert await dot.locator(".reach").count() == 0


@pytest.mark.parametrize(
    ("line", "address"),
    [("#endpoint-reach .reach", "**/send/reach/"), ("#audience", "**/send/audience/**")],
)
async def test_what_is_said_of_an_endpoint_is_not_said_of_the_one_chosen_next(
    server: Server, endpoint: dict[str, Any], browser_page: Page, line: str, address: str
) -> None:
    page = await settled(browser_page, server.url)
    said, choice = page.locator(line), page.get_by_label("Endpoint", exact=True)
    await choice.select_option(label="Flaky receiver")
    await expect(page.locator("#audience")).to_contain_text("fail_first")
    await expect(page.locator("#endpoint-reach .reach")).to_be_visible()
    place = await page.locator("#send-button").bounding_box()
    given, let_go = await held(page, address)
    await choice.select_option(label="Mine")
    await given.wait()
    await expect(said).to_be_hidden()
    assert await page.locator("#send-button").bounding_box() == place
    given_too, let_go_too = await held(page, address)
    await choice.select_option(label="Built-in receiver")
    let_go.set()
    await given_too.wait()  # asked once the first answer had come
    await expect(said).to_be_hidden()
    let_go_too.set()
    await expect(said).to_be_visible()
    await expect(page.locator("#audience")).to_contain_text("/receiver/ok")


async def test_who_comes_back_to_the_console_finds_a_form_that_fits_together(
    server: Server, browser_page: Page
) -> None:
    page = await settled(browser_page, server.url)
    await page.get_by_text("property.matched").first.click()
    await page.get_by_label("Endpoint", exact=True).select_option(label="Flaky receiver")
    await expect(page.locator("#audience")).to_contain_text("fail_first")
    await page.get_by_role("link", name="Endpoints").click()
    await expect(page).to_have_url(f"{server.url}/endpoints/")
    await page.go_back()
    await expect(page.locator("#validity .valid")).to_be_visible()
    chosen = await page.get_by_label("Endpoint", exact=True).locator(":checked").text_content()
    assert ("fail_first" in await page.locator("#audience").inner_text()) == (chosen == "Flaky receiver")
    type = await page.locator("[name=type]:checked").input_value()
    assert ("lead_id" in await page.get_by_label("Data").input_value()) == (type == "lead.qualified")


async def test_stop_takes_the_focus_from_nobody_and_is_said_once(server: Server, browser_page: Page) -> None:
    page = await settled(browser_page, server.url)
    await page.get_by_label("Copies").fill("100000")
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.locator("#batch")).to_contain_text("of 100,000 sent")
    given, let_go = await held(page, "**/stop/")
    await page.get_by_role("button", name="Stop").click()
    await given.wait()
    await expect(page.locator("#batch")).to_contain_text("Stopped: ")
    batch = await page.locator("#batch p").get_attribute("data-ended")
    await until(lambda: server.api("GET", f"/events/batch/{batch}").json["waiting"] == 0)
    await expect(page.locator("#batch")).to_have_text(
        await page.evaluate(BATCH_NOW)
    )  # what was in flight is counted
    line = await page.locator("#batch p").element_handle()
    await page.get_by_label("Data").focus()
    await let_in(page, let_go, "/stop/")
    await expect(page.get_by_label("Data")).to_be_focused()
    assert await line.evaluate("line => line.isConnected")


async def test_what_is_waited_for_is_seen_to_come(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    """What stands there until then pales, but not when the page by itself asks for it anew."""
    second, first = sent(server, endpoint), sent(server, endpoint)
    page = await settled(browser_page, f"{server.url}/?open={first}")
    for address, place, ask in (
        ("**/detail/", page.locator("#detail > *"), row(page, second).click),
        ("**/rows/**", page.locator("#list"), lambda: page.get_by_label("Filter by text").fill("lead")),
    ):
        given, let_go = await held(page, address)
        await expect(place).to_have_css("opacity", "1")
        await ask()
        await given.wait()
        await expect(place).to_have_css("opacity", "0.5")
        await let_in(page, let_go, address.strip("*"))
        await expect(place).to_have_css("opacity", "1")

    given, let_go = await held(page, "**/rows/**")
    await page.evaluate("document.getElementById('filter').dispatchEvent(new Event('reload'))")
    await given.wait()
    await page.wait_for_timeout(200)
    await expect(page.locator("#list")).to_have_css("opacity", "1")
    let_go.set()


async def test_who_gets_it_is_not_said_until_somebody_has_answered(
    server: Server, browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("WebSocket", "ERR_CONNECTION_REFUSED", "console: htmx:", "exception: undefined")
    page = await settled(browser_page, server.url)
    server.stop()
    await expect(page.locator("[data-live]")).to_have_attribute("data-live", "reconnecting")
    async with page.expect_event("requestfailed", lambda request: "/audience/" in request.url):
        await page.get_by_label("Endpoint", exact=True).select_option(label="Flaky receiver")
    await expect(page.locator("#audience")).to_be_hidden()
    server.start()
    await expect(page.locator("#audience")).to_contain_text("fail_first", timeout=10_000)
    await expect(page.locator("#audience")).to_be_visible()
