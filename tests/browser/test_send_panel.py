"""The send panel under the hand: what it says is about what was done last, and the focus stays where it was."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from tests.receiving import Receiver
from tests.serving import Server

from .conftest import Complaints
from .showing import settled


@pytest.fixture
def cut_off(complaints: Complaints) -> None:
    """The browser and htmx tell of each request that fails; htmx rejects a promise of its own, too."""
    complaints.allow("ERR_FAILED", "console: htmx:", "exception: undefined")


async def test_an_event_that_did_not_leave_takes_the_last_sent_away(
    server: Server, browser_page: Page, cut_off: None
) -> None:
    page = await settled(browser_page, server.url)
    send = page.get_by_role("button", name="Send test event")
    await send.click()
    await expect(page.locator("#outcome .sent")).to_be_visible()
    await page.route("**/send/", lambda route: route.abort())
    await send.click()
    await expect(page.locator("#notices")).to_contain_text("does not answer")
    await expect(page.locator("#outcome p")).to_have_count(0)
    await page.unroute("**/send/")
    await send.click()
    await expect(page.locator("#outcome .sent")).to_be_visible()


async def test_who_gets_it_is_asked_again_whenever_an_endpoint_changes_elsewhere(
    server: Server, browser_page: Page, receiver: Receiver
) -> None:
    page = await settled(browser_page, server.url)
    said, choice = page.locator("#audience"), page.get_by_label("Endpoint", exact=True)
    await choice.select_option("everyone")
    await expect(said).to_contain_text("Nobody subscribes")
    new = {"url": receiver.url, "events": ["*"], "description": "Mine"}
    id = server.api("POST", "/webhooks", new).json["id"]
    await expect(said).to_contain_text("Goes to Mine.")
    await choice.focus()
    server.api("PATCH", f"/webhooks/{id}", {"status": "paused"})
    await expect(said).to_contain_text("Mine (paused)")
    await expect(choice).to_be_focused()
    await expect(choice).to_have_value("everyone")
    server.api("PATCH", f"/webhooks/{id}", {"status": "enabled", "events": ["message.received"]})
    await expect(said).to_contain_text("Mine (not subscribed)")

    await choice.select_option(label="Mine")
    await expect(said).to_contain_text(receiver.url)
    server.api("PATCH", f"/webhooks/{id}", {"url": f"{server.url}/receiver/moved"})
    await expect(said).to_contain_text("/receiver/moved")
    server.api("PATCH", f"/webhooks/{id}", {"status": "paused"})
    await expect(said).to_contain_text("Paused: it waits until you resume Mine.")
    await expect(choice.locator(":checked")).to_have_text("Mine (paused)")
    server.api("DELETE", f"/webhooks/{id}")
    await expect(said).to_contain_text("This endpoint is gone")
    await expect(choice).to_have_value(id)  # and no other one gets what was meant for it


async def test_after_a_start_in_another_data_folder_its_endpoints_are_offered(
    server: Server, browser_page: Page, complaints: Complaints, tmp_path: Path
) -> None:
    complaints.allow("WebSocket", "ERR_CONNECTION_REFUSED")
    page = await settled(browser_page, server.url)
    server.stop()
    server.env["SIM_DATA_DIR"] = str(tmp_path / "another")
    server.start()
    choice = page.get_by_label("Endpoint", exact=True)
    await expect(choice.locator(":checked")).to_have_text("Deleted")
    await choice.select_option(label="Built-in receiver")
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.locator("#outcome .sent")).to_be_visible()


async def test_a_renewal_that_comes_late_takes_no_choice_back(
    server: Server, browser_page: Page, receiver: Receiver
) -> None:
    page, release = await settled(browser_page, server.url), asyncio.Event()

    async def late(route: Route) -> None:
        await release.wait()
        await route.continue_()

    await page.route("**/send/endpoints/**", late)
    async with page.expect_request("**/send/endpoints/**"):
        server.api("POST", "/webhooks", {"url": receiver.url, "events": ["*"], "description": "Other"})
    await page.get_by_label("Your receiver's URL").fill(receiver.url)
    await page.get_by_role("button", name="Add").click()
    await expect(page.get_by_role("heading", name="Your receiver is registered")).to_be_visible()
    choice = page.get_by_label("Endpoint", exact=True)
    chosen = await choice.input_value()
    async with page.expect_response("**/send/endpoints/**"):
        release.set()
    await expect(page.locator("#endpoint-reach .reach")).to_be_visible()
    await expect(choice).to_have_value(chosen)


async def test_a_change_between_page_and_socket_is_noticed_and_none_asks_for_nothing(
    server: Server, browser_page: Page
) -> None:
    asked: list[str] = []
    browser_page.on("request", lambda request: asked.append(request.url.removeprefix(server.url)))
    page = await settled(browser_page, server.url)
    await expect(page.locator("#endpoint-reach .reach")).to_be_visible()
    assert [address for address in asked if "/send/endpoints/" in address or "audience" in address] == []

    async def late(route: Route) -> None:
        for endpoint in server.api("GET", "/webhooks").json["data"]:
            server.api("PATCH", f"/webhooks/{endpoint['id']}", {"status": "paused"})
        await route.continue_()

    await page.route("**/js/live*.js", late, times=1)
    await page.reload()
    await expect(page.locator("#audience")).to_contain_text("Paused: it waits until you resume")


async def test_an_edit_takes_the_last_verdict_away_and_none_comes_for_what_was_not_judged(
    server: Server, browser_page: Page, complaints: Complaints, cut_off: None
) -> None:
    complaints.allow("status of 400")
    page = await settled(browser_page, server.url)
    await page.get_by_label("Data").fill("{")
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.locator("#outcome .invalid")).to_be_visible()
    await page.get_by_label("Data").fill("{}")
    await expect(page.locator("#outcome .invalid")).to_have_count(0)
    await expect(page.locator("#validity .valid")).to_be_visible()
    await page.route("**/send/check/", lambda route: route.abort())
    async with page.expect_event("requestfailed", lambda request: request.url.endswith("/send/check/")):
        await page.get_by_label("Data").fill("{,")
    await expect(page.locator("#validity p")).to_have_count(0)
    await expect(page.locator("#notices .notice")).to_have_count(0)


async def after_a_frame(route: Route) -> None:
    """A button that is disabled when a frame is painted loses the focus for good."""
    await route.request.frame.evaluate("new Promise(requestAnimationFrame)")
    await route.request.frame.evaluate("new Promise(requestAnimationFrame)")
    await route.continue_()


async def test_enter_works_twice_on_send_and_on_add(
    server: Server, browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("status of 400")
    page = await settled(browser_page, server.url)
    await page.route("**/send/", after_a_frame)
    await page.route("**/send/receiver/", after_a_frame)
    send = page.get_by_role("button", name="Send test event")
    await send.focus()
    for count in (1, 2):
        await page.keyboard.press("Enter")
        await expect(page.locator(".rows [data-delivery-id]")).to_have_count(count)
        await expect(send).to_be_focused()
    await page.get_by_label("Your receiver's URL").fill("http://example.com/")
    add = page.get_by_role("button", name="Add")
    await add.focus()
    for _ in range(2):
        async with page.expect_response("**/send/receiver/"):
            await page.keyboard.press("Enter")
        await expect(add).to_be_focused()
    await expect(page.locator("#yours-error")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
async def test_after_add_the_focus_is_on_what_it_answers_and_enter_registers_nothing_more(
    server: Server, browser_page: Page, width: int
) -> None:
    page = await settled(browser_page, server.url)
    await page.set_viewport_size({"width": width, "height": 800})
    await page.route("**/send/receiver/", after_a_frame)
    before = len(server.api("GET", "/webhooks").json["data"])
    await page.get_by_role("button", name="Add").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Your receiver is registered")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.locator(".registered .secret button")).to_be_focused()
    assert len(server.api("GET", "/webhooks").json["data"]) == before + 1


@pytest.mark.parametrize("name", ["Send test event", "Check endpoint", "Rotate secret", "Pause"])
async def test_the_button_that_was_pressed_on_a_card_keeps_the_focus(
    server: Server, browser_page: Page, name: str
) -> None:
    page = browser_page
    await page.goto(f"{server.url}/endpoints/")
    await page.route("**/endpoints/*/*/", after_a_frame)
    card = page.locator(".card").first
    await card.get_by_role("button", name=name).focus()
    for _ in range(2):
        async with page.expect_response("**/endpoints/*/*/"):
            await page.keyboard.press("Enter")
        await expect(card.locator("button:focus")).to_have_count(1)


async def test_a_card_shows_at_once_what_its_buttons_have_changed(server: Server, browser_page: Page) -> None:
    page = browser_page
    await page.goto(f"{server.url}/endpoints/")
    card = page.locator(".card").first
    recently, secrets = card.locator("[id$=-recently]"), card.locator("[id$=-secrets] code")
    await expect(recently).to_have_text("nothing sent")
    await card.get_by_role("button", name="Send test event").click()
    await expect(recently).not_to_have_text("nothing sent")
    await expect(secrets).to_have_count(1)
    await card.get_by_role("button", name="Rotate secret").click()
    await expect(secrets).to_have_count(2)


async def test_that_an_event_waits_is_said_until_its_endpoint_is_resumed(
    server: Server, browser_page: Page
) -> None:
    page = await settled(browser_page, server.url)
    chosen = await page.get_by_label("Endpoint", exact=True).input_value()
    server.api("PATCH", f"/webhooks/{chosen}", {"status": "paused"})
    await expect(page.locator("#audience")).to_contain_text("it waits until you resume")
    await page.get_by_role("button", name="Send test event").click()
    said = page.locator("#outcome")
    await expect(said).to_contain_text("Not sent yet: it waits")
    server.api("PATCH", f"/webhooks/{chosen}", {"description": "Mine"})
    await expect(page.locator("#audience")).to_contain_text("Mine")
    await expect(said).to_contain_text("Not sent yet: it waits")
    await page.get_by_role("button", name="Resume endpoint").click()
    await expect(page.locator(".detail")).to_have_attribute("data-status", "succeeded")
    await expect(said).not_to_contain_text("Not sent yet")


async def test_of_many_event_types_one_is_chosen_by_its_letters_and_has_its_own_sample(
    server: Server, browser_page: Page
) -> None:
    for number in range(20):
        server.api("POST", "/event-types", {"type": f"team.{number}", "example": {"number": number}})
    page = await settled(browser_page, server.url)
    choice, data = page.get_by_label("Event type", exact=True), page.get_by_label("Data")
    await expect(choice).to_have_value("lead.qualified")
    await choice.focus()
    await page.keyboard.type("team.17")
    await expect(choice).to_have_value("team.17")
    await expect(data).to_have_value('{\n  "number": 17\n}')
    await data.fill('{"mine": true}')
    await choice.select_option("team.3")
    await expect(data).to_have_value('{\n  "number": 3\n}')
    await choice.select_option("team.17")
    await expect(data).to_have_value('{"mine": true}')
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.locator(".rows .type")).to_have_text(["team.17"])
