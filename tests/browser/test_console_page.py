"""The console under the hand: a list that holds still, a filter in the URL, a keyboard, a payload judged while one types."""

from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from console.rows import PAGE
from tests.receiving import Receiver
from tests.serving import Server
from tests.waiting import wait_until

from .conftest import Complaints
from .showing import fire, newest_first, opened, row, rows, sent


def pill(page: Page) -> Locator:
    return page.locator(".pill")


async def test_the_list_follows_the_newest_until_a_row_is_chosen_and_then_holds_still(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    first = sent(server, endpoint)
    await row(page, first).locator("a").click()
    await expect(page.locator(".detail")).to_have_attribute("data-open", first)
    place = await row(page, first).bounding_box()

    later = fire(server, endpoint, 3)
    await expect(pill(page)).to_contain_text("3 new")
    assert await row(page, first).bounding_box() == place
    await expect(rows(page)).to_have_count(1)

    await pill(page).click()
    await expect(rows(page)).to_have_count(4)
    await expect(pill(page)).to_be_hidden()
    ids = [await each.get_attribute("data-delivery-id") for each in await rows(page).all()]
    assert ids == [*reversed(later), first]
    newest = sent(server, endpoint)
    await expect(row(page, newest)).to_have_attribute("data-status", "succeeded")


async def test_escape_closes_the_detail_and_follows_the_newest_again(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    first = sent(server, endpoint)
    await row(page, first).locator("a").click()
    await expect(page.locator(".detail")).to_be_visible()
    second = sent(server, endpoint)
    await expect(pill(page)).to_contain_text("1 new")
    await page.keyboard.press("Escape")
    await expect(page.locator(".detail")).to_have_count(0)
    await expect(row(page, second)).to_be_visible()
    third = sent(server, endpoint)
    await expect(row(page, third)).to_be_visible()


async def test_a_row_that_changes_keeps_its_element_and_its_focus(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    receiver.answer(500)
    page = await opened(browser_page, server.url)
    delivery = sent(server, endpoint)
    await expect(row(page, delivery)).to_have_attribute("data-state", "retrying")
    await row(page, delivery).locator("a").focus()
    await row(page, delivery).evaluate("row => row.mine = true")
    receiver.answer(200)
    await expect(row(page, delivery)).to_have_attribute("data-status", "succeeded", timeout=10_000)
    assert await row(page, delivery).evaluate("row => row.mine && row.contains(document.activeElement)")


async def test_pause_buffers_and_resume_catches_up(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    await page.keyboard.press("p")
    await expect(page.locator("[data-live]")).to_have_attribute("data-live", "paused")
    made = fire(server, endpoint, 4)
    await expect(page.get_by_role("button", name="Resume")).to_be_visible()
    await expect(rows(page)).to_have_count(0)
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator("[data-live]")).to_have_attribute("data-live", "live")
    for delivery in made:
        await expect(row(page, delivery)).to_have_attribute("data-status", "succeeded")


async def test_many_rows_at_once_lay_the_list_out_once_and_not_once_each(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    await page.keyboard.press("p")
    server.fill(endpoint["id"], 200)
    measure = await page.context.new_cdp_session(page)
    await measure.send("Performance.enable")

    async def layouts() -> float:
        metrics = (await measure.send("Performance.getMetrics"))["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "LayoutCount")

    before = await layouts()
    await page.keyboard.press("p")
    await expect(rows(page)).to_have_count(200)
    assert await layouts() - before < 120


async def test_filters_stand_in_the_url_and_hold_for_what_comes_later(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    good = sent(server, endpoint)
    await expect(row(page, good)).to_have_attribute("data-status", "succeeded")
    await page.get_by_label("Filter by status").select_option("failed")
    await expect(rows(page)).to_have_count(0)
    await expect(page.locator(".empty")).to_contain_text("Nothing matches this filter")
    await expect(page).to_have_url(f"{server.url}/?status=failed")

    server.api("PATCH", f"/webhooks/{endpoint['id']}", {"retry": {"delays": []}})
    receiver.answer(500)
    bad = sent(server, endpoint)
    await expect(row(page, bad)).to_have_attribute("data-status", "failed")
    await page.reload()
    await expect(rows(page)).to_have_count(1)
    await page.get_by_label("Filter by text").fill(good)
    await expect(rows(page)).to_have_count(0)
    await page.get_by_label("Filter by status").select_option("")
    await expect(row(page, good)).to_be_visible()
    await page.get_by_label("Filter by text").focus()
    await page.keyboard.press("Escape")
    await expect(page.get_by_label("Filter by text")).not_to_be_focused()
    await expect(page.get_by_label("Filter by text")).to_have_value(good)


async def test_a_double_click_sends_once(
    server: Server, receiver: Receiver, endpoint: dict[str, Any], browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    await page.get_by_label("Endpoint", exact=True).select_option(label="Mine")
    button = page.get_by_role("button", name="Send test event")
    await button.click()
    await expect(rows(page).first).to_have_attribute("data-status", "succeeded")
    await button.hover()
    await page.mouse.down(click_count=2)  # a person's second click: the first one is long answered
    await page.mouse.up(click_count=2)
    await button.dblclick()  # a machine's: both before any answer
    last = sent(server, endpoint)  # whatever the double clicks made has arrived before this one
    await expect(row(page, last)).to_have_attribute("data-status", "succeeded")
    assert len(receiver.requests) == 3


async def test_a_key_held_down_does_what_it_does_once(
    server: Server, receiver: Receiver, endpoint: dict[str, Any], browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    await page.get_by_label("Endpoint", exact=True).select_option(label="Mine")

    async def held_down(key: str) -> None:
        for _ in range(3):
            await page.keyboard.down(key)
            await expect(page.locator(".htmx-request")).to_have_count(0)  # long answered when it repeats
        await page.keyboard.up(key)

    await page.get_by_role("button", name="Send test event").focus()
    await held_down("Enter")
    await page.get_by_label("Copies").focus()
    await held_down("Enter")
    await expect(rows(page)).to_have_count(2)
    await rows(page).first.get_by_role("link").click()
    await expect(page.locator(".detail")).to_be_visible()
    await held_down("r")
    last = sent(server, endpoint)
    wait_until(
        lambda: server.api("GET", f"/deliveries/{last}").json["status"] == "succeeded", what="the last one"
    )
    assert len(receiver.requests) == 4


async def test_the_payload_is_judged_while_one_types_with_line_and_column(
    server: Server, browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("status of 400")
    page = await opened(browser_page, server.url)
    await expect(page.locator("#validity .valid")).to_be_visible()
    await page.get_by_label("Data").fill('{\n  "score": 90,\n  "name" "Ann"\n}')
    await expect(page.locator("#validity .invalid")).to_contain_text("Line 3, column 10")
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.locator("#outcome .invalid")).to_contain_text("Line 3, column 10")
    await expect(rows(page)).to_have_count(0)
    await page.get_by_role("button", name="Line 3, column 10").click()
    assert await page.evaluate("document.activeElement.selectionStart") == 26
    await page.get_by_label("Data").fill('{\n  "text": "🙂", "name" "Ann"\n}')
    await page.get_by_role("button", name="Line 2, column 23").click()
    at = await page.evaluate("document.activeElement.value.slice(document.activeElement.selectionStart)")
    assert at == '"Ann"\n}'
    await page.get_by_label("Data").fill('{"score":1.0}')
    await page.get_by_role("button", name="Format").click()
    await expect(page.get_by_label("Data")).to_have_value('{\n  "score": 1.0\n}')


async def test_each_type_keeps_its_draft(server: Server, browser_page: Page) -> None:
    page = await opened(browser_page, server.url)
    await page.get_by_label("Data").fill('{"draft": true}')
    await page.get_by_text("message.received").first.click()
    await expect(page.locator("#data")).not_to_have_value('{"draft": true}')
    await page.get_by_text("lead.qualified").first.click()
    await expect(page.locator("#data")).to_have_value('{"draft": true}')


async def test_everything_can_be_done_from_the_keyboard(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    older, newer = fire(server, endpoint, 2)
    await expect(row(page, newer)).to_have_attribute("data-status", "succeeded")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.locator(".detail")).to_have_attribute("data-open", older)
    await page.keyboard.press("r")
    await expect(page.locator(".detail")).not_to_have_attribute("data-open", older)
    await expect(page.locator(".verdict")).to_contain_text("answered 200")
    assert len(receiver.requests) == 3
    await page.keyboard.press("e")
    await page.get_by_label("Body").fill('{"edited":true}')
    await page.get_by_role("button", name="Send it").click()
    await expect(page.locator("dialog")).to_be_hidden()
    await expect(page.locator(".verdict")).to_contain_text("answered 200")
    assert receiver.requests[-1].body == b'{"edited":true}'
    await page.keyboard.press("?")
    await expect(page.locator("dialog")).to_contain_text("next and previous delivery")
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await expect(page.get_by_label("Filter by text")).to_be_focused()
    await page.keyboard.press("Escape")
    await page.keyboard.press("g")
    await page.keyboard.press("n")
    await expect(page).to_have_url(f"{server.url}/endpoints/")
    await expect(page.locator("[data-live]")).to_have_attribute("data-live", "live")
    await page.keyboard.press("?")  # names what works here
    await expect(page.locator("dialog").get_by_text("go to the console")).to_be_visible()
    await expect(page.locator("dialog").get_by_text("next and previous delivery")).to_be_hidden()
    await expect(page.locator("dialog").get_by_text("copy as curl")).to_be_hidden()


@pytest.mark.parametrize("live", ["live", "paused"])
async def test_one_press_resumes_what_is_held_and_a_second_one_does_no_more(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page, live: str
) -> None:
    server.api("PATCH", f"/webhooks/{endpoint['id']}", {"status": "paused"})
    delivery = sent(server, endpoint)
    page = await opened(browser_page, f"{server.url}/?open={delivery}")
    if live == "paused":
        await page.keyboard.press("p")
    await expect(page.locator(".verdict")).to_contain_text("Held back: the endpoint is paused")
    await page.get_by_role("button", name="Resume endpoint").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".verdict")).not_to_contain_text("Held back")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Resume endpoint")).to_have_count(0)
    receiver.wait_for(1)
    if live == "live":
        await expect(page.locator(".verdict")).to_contain_text("answered 200")
    assert await page.evaluate("document.activeElement.id") == "detail"
    assert len(receiver.requests) == 1


async def test_the_curl_command_is_copied(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    await browser_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await opened(browser_page, server.url)
    delivery = sent(server, endpoint)
    await row(page, delivery).locator("a").click()
    await page.get_by_role("button", name="Copy as curl").click()
    await expect(page.get_by_role("button", name="Copy as curl")).to_have_class("copied")
    text = await page.evaluate("navigator.clipboard.readText()")
    assert text.startswith("curl ") and endpoint["url"] in text and "x-ultrareach-signature: v1=" in text


async def test_what_a_receiver_sends_is_shown_and_never_runs(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    evil = b"<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\" hx-get='/x' hx-trigger='load'>"
    receiver.answer(evil)  # as it is: no HTTP at all
    page = await opened(browser_page, server.url)
    data = {"text": "<img src=x onerror=\"document.title='owned'\"><div hx-get='/x' hx-trigger='load'>"}
    delivery = sent(server, endpoint, data=data)
    await expect(row(page, delivery)).to_have_attribute("data-state", "retrying")
    await row(page, delivery).locator("a").click()
    await page.get_by_role("tab", name="Response").click()
    await expect(page.locator("#panel-response pre")).to_contain_text(
        "<script>document.title='owned'</script>"
    )
    await page.get_by_role("tab", name="Request").click()
    await expect(page.locator("#panel-request pre")).to_contain_text("onerror")
    assert await page.title() == "Console · Webhook Simulator"
    assert await page.locator("#detail img, #detail script").count() == 0


async def test_the_theme_follows_the_system_until_it_is_switched(server: Server, browser_page: Page) -> None:
    page = await opened(browser_page, server.url)
    background = "getComputedStyle(document.body.querySelector('.top')).backgroundColor"
    light = await page.evaluate(background)
    await page.emulate_media(color_scheme="dark")
    dark = await page.evaluate(background)
    assert light != dark
    await page.get_by_role("button", name="Theme: system").click()
    await page.reload()
    await expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
    assert await page.evaluate(background) == light


async def test_a_thousand_events_leave_no_gap_and_no_more_than_500_rows(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    fire(server, endpoint, 620)
    last = sent(server, endpoint)
    await expect(row(page, last)).to_have_attribute("data-status", "succeeded", timeout=20_000)
    await expect(page.locator('.rows [data-status="pending"], .rows [data-status="sending"]')).to_have_count(
        0
    )
    ids = await rows(page).evaluate_all("all => all.map(row => row.dataset.deliveryId)")
    assert 100 <= len(ids) <= 500
    assert ids == sorted(set(ids), reverse=True)


async def test_older_rows_are_loaded_and_the_newest_make_room(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    server.fill(endpoint["id"], 620)
    newest, *_, oldest = newest_first(server, endpoint)
    page = await opened(browser_page, server.url)
    for _ in range(620 // PAGE):
        await page.get_by_role("button", name="Load older").click()
        await expect(page.locator(".htmx-request")).to_have_count(0)
    await expect(row(page, oldest)).to_be_attached()
    assert await rows(page).count() == 500
    await expect(row(page, newest)).to_have_count(0)
    await pill(page).click()
    await expect(row(page, newest)).to_be_visible()


async def test_a_held_list_tells_the_truth_after_more_changes_than_it_was_told(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    receiver.answer(500)
    page = await opened(browser_page, server.url)
    first = sent(server, endpoint)
    await expect(row(page, first)).to_have_attribute("data-state", "retrying")
    await row(page, first).locator("a").click()
    await page.get_by_role("button", name="Pause").click()
    receiver.answer(200)
    server.api("POST", f"/deliveries/{first}/retry")
    server.fill(endpoint["id"], 520)
    await page.get_by_role("button", name="Resume").click()
    await expect(row(page, first)).to_have_attribute("data-status", "succeeded")
    await expect(rows(page)).to_have_count(1)
    await expect(pill(page)).to_contain_text("Newest")


async def test_what_is_open_and_filtered_stands_in_the_address_and_survives_a_reload(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    delivery = sent(server, endpoint)
    await row(page, delivery).locator("a").click()
    await expect(page.locator(".detail")).to_have_attribute("data-open", delivery)
    await page.get_by_label("Filter by event type").select_option("lead.qualified")
    await expect(page).to_have_url(f"{server.url}/?type=lead.qualified&open={delivery}")
    await page.reload()
    await expect(page.locator(".detail")).to_have_attribute("data-open", delivery)
    await expect(row(page, delivery).locator("a")).to_have_attribute("aria-current", "true")

    await page.goto(f"{server.url}/deliveries/{delivery}/")
    await page.get_by_role("button", name="Resend").first.click()
    await expect(page.locator(".detail")).not_to_have_attribute("data-open", delivery)
    again = await page.locator(".detail").get_attribute("data-open")
    await expect(page).to_have_url(f"{server.url}/deliveries/{again}/")
    await expect(page.locator(".verdict")).to_contain_text("answered 200")


async def test_whoever_changes_their_mind_quickly_is_told_where_the_last_choice_goes(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    choice = page.get_by_label("Endpoint", exact=True).first
    options = await choice.locator("option").evaluate_all("all => all.map(one => one.value)")
    for one in [*options, *options, endpoint["id"]]:
        await choice.select_option(one, no_wait_after=True)
    await expect(page.locator("#audience")).to_contain_text(endpoint["url"])


async def test_a_filter_chosen_while_the_server_is_down_holds_as_soon_as_it_is_back(
    server: Server, endpoint: dict[str, Any], browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("WebSocket", "ERR_CONNECTION_REFUSED", "console: htmx:", "exception: undefined")
    page = await opened(browser_page, server.url)
    delivery = sent(server, endpoint)
    await expect(row(page, delivery)).to_have_attribute("data-status", "succeeded")
    server.stop()
    await expect(page.locator("[data-live]")).to_have_attribute("data-live", "reconnecting")
    await page.get_by_label("Filter by status").select_option("failed")
    await expect(page.locator("#notices")).to_contain_text("does not answer")
    await expect(row(page, delivery)).to_be_visible()
    server.start()
    await expect(rows(page)).to_have_count(0, timeout=10_000)
    await expect(page).to_have_url(f"{server.url}/?status=failed")
