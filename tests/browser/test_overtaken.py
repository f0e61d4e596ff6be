"""The list when answers and frames meet out of order, fail or come late: no row is lost, doubled, or older than it was."""

from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from console.rows import PAGE
from tests.receiving import Receiver
from tests.serving import Server
from tests.waiting import wait_until

from .conftest import Complaints, held
from .showing import newest_first, opened, row, rows, sent

MANY = 520  # changes: more than are told one by one


@pytest.fixture
def failing(server: Server, receiver: Receiver, endpoint: dict[str, Any]) -> str:
    """A delivery that has failed once and waits for its retry."""
    server.api("PATCH", f"/webhooks/{endpoint['id']}", {"retry": {"delays": [3600]}})
    receiver.answer(500)
    delivery = sent(server, endpoint)
    has(server, delivery, "pending", 1)
    receiver.answer(200)
    return delivery


def has(server: Server, delivery: str, status: str, attempts: int) -> None:
    def there() -> bool:
        found = server.api("GET", f"/deliveries/{delivery}").json
        return bool((found["status"], found["attempt_count"]) == (status, attempts))

    wait_until(there, what=f"{status} after attempt {attempts}")


def pause(page: Page, name: str = "Pause") -> Locator:
    return page.locator("#filter").get_by_role("button", name=name)


def older(page: Page) -> Locator:
    return page.get_by_role("button", name="Load older")


async def test_what_was_asked_for_takes_nothing_back_that_came_meanwhile(
    server: Server, endpoint: dict[str, Any], failing: str, browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    await row(page, failing).locator("a").click()
    await pause(page).click()
    server.fill(endpoint["id"], MANY)
    given, let_go = await held(page, "**/rows/some/**")
    await pause(page, "Resume").click()
    await given.wait()
    server.api("POST", f"/deliveries/{failing}/retry")
    await expect(row(page, failing)).to_have_attribute("data-status", "succeeded")
    async with page.expect_event("requestfinished", lambda request: "/rows/some/" in request.url):
        let_go.set()
    await page.evaluate("fetch('/keys/').then(answer => answer.text())")  # what came before it was put in
    await expect(row(page, failing)).to_have_attribute("data-status", "succeeded")


async def test_all_rows_that_hold_still_are_asked_for_also_those_that_had_ended(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    server.api("PATCH", f"/webhooks/{endpoint['id']}", {"retry": {"delays": []}})
    receiver.answer(500)
    failed = sent(server, endpoint)
    await expect(row(page, failed)).to_have_attribute("data-status", "failed")
    receiver.answer(200)
    server.api("PATCH", f"/webhooks/{endpoint['id']}", {"status": "paused"})
    for _ in range(230):
        sent(server, endpoint)
    await expect(rows(page)).to_have_count(231)
    await rows(page).first.locator("a").click()
    await pause(page).click()
    server.api("PATCH", f"/webhooks/{endpoint['id']}", {"status": "enabled"})
    server.api("POST", f"/deliveries/{failed}/retry")
    server.fill(endpoint["id"], MANY)
    await pause(page, "Resume").click()
    await expect(page.locator('.rows [data-status="succeeded"]')).to_have_count(231)


async def test_what_was_asked_for_in_vain_is_asked_for_again(
    server: Server, endpoint: dict[str, Any], failing: str, browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("ERR_FAILED")
    page = await opened(browser_page, server.url)
    await row(page, failing).locator("a").click()
    await pause(page).click()
    server.api("POST", f"/deliveries/{failing}/retry")
    server.fill(endpoint["id"], MANY)
    await page.route("**/rows/some/**", lambda route: route.abort(), times=1)
    async with page.expect_event("requestfailed"):
        await pause(page, "Resume").click()
    sent(server, endpoint)
    await expect(row(page, failing)).to_have_attribute("data-status", "succeeded")


async def test_the_pill_counts_none_that_is_older_than_what_is_loaded(
    server: Server, endpoint: dict[str, Any], failing: str, browser_page: Page
) -> None:
    server.fill(endpoint["id"], PAGE + 10)
    page = await opened(browser_page, server.url)
    await rows(page).first.locator("a").click()
    await expect(page.locator(".detail")).to_be_visible()
    server.api("POST", f"/deliveries/{failing}/retry")
    has(server, failing, "succeeded", 2)
    sent(server, endpoint)
    await expect(page.locator(".pill")).to_have_text("1 new")


async def test_what_waits_behind_the_pill_comes_before_what_is_newer_when_nobody_reads_any_more(
    server: Server, endpoint: dict[str, Any], failing: str, browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    await page.keyboard.press("j")
    await expect(row(page, failing).locator("a")).to_be_focused()
    between = sent(server, endpoint)
    await expect(page.locator(".pill")).to_have_text("1 new")
    await page.get_by_label("Data").focus()
    newest = sent(server, endpoint)
    await expect(row(page, newest)).to_be_visible()
    assert await rows(page).evaluate_all("all => all.map(one => one.dataset.deliveryId)") == [
        newest,
        between,
        failing,
    ]
    await expect(page.locator(".pill")).to_be_hidden()


@pytest.mark.parametrize("before", [0, PAGE + 10])
async def test_older_rows_follow_the_last_one_also_when_others_made_room_meanwhile(
    server: Server, endpoint: dict[str, Any], browser_page: Page, before: int
) -> None:
    if before:
        server.fill(endpoint["id"], before)
    page = await opened(browser_page, server.url)
    for _ in range(3):  # fewer at once than would have the list loaded anew
        server.fill(endpoint["id"], 200)
        newest = server.api("GET", "/deliveries?limit=1").json["data"][0]["id"]
        await expect(row(page, newest)).to_have_attribute("data-status", "succeeded", timeout=20_000)
    await expect(rows(page)).to_have_count(500)
    last = await rows(page).last.get_attribute("data-delivery-id")
    await older(page).click()
    await expect(page.locator(".htmx-request")).to_have_count(0)
    ids = await rows(page).evaluate_all("all => all.map(one => one.dataset.deliveryId)")
    everything = newest_first(server)
    assert ids == everything[everything.index(ids[0]) :][: len(ids)] and ids[-1] < str(last)


async def test_what_happened_to_older_rows_on_their_way_is_told_again(
    server: Server, endpoint: dict[str, Any], failing: str, browser_page: Page
) -> None:
    server.fill(endpoint["id"], PAGE + 10)
    page = await opened(browser_page, server.url)
    given, let_go = await held(page, "**/deliveries/rows/?cursor=**")
    await older(page).click()
    await given.wait()
    server.api("POST", f"/deliveries/{failing}/retry")
    has(server, failing, "succeeded", 2)
    newest = sent(server, endpoint)
    await expect(page.locator(".pill")).to_have_text("1 new")  # and with it what came before
    let_go.set()
    await expect(row(page, failing)).to_have_attribute("data-status", "succeeded")
    await page.locator(".pill").click()
    await expect(row(page, newest)).to_have_count(1)


@pytest.mark.parametrize("how", ["opened", "focused"])
async def test_a_row_that_the_filter_lets_go_stays_under_the_hand_and_tells_the_truth(
    server: Server, endpoint: dict[str, Any], failing: str, browser_page: Page, how: str
) -> None:
    page = await opened(browser_page, f"{server.url}/?status=pending")
    link = row(page, failing).locator("a")
    await link.focus()
    if how == "opened":
        await page.keyboard.press("Enter")
        await expect(page.locator(".detail")).to_have_attribute("data-status", "pending")
        await page.get_by_role("tab", name="Timeline").focus()
    server.api("POST", f"/deliveries/{failing}/retry")
    await expect(row(page, failing)).to_have_attribute("data-status", "succeeded")
    if how == "focused":
        await expect(link).to_be_focused()


async def test_a_list_that_could_not_be_loaded_can_be_asked_for_again(
    server: Server, failing: str, browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("503")
    # Somebody reads: else the next frame would ask for it.
    page = await opened(browser_page, f"{server.url}/?open={failing}")
    await expect(page.locator(f'#detail [data-open="{failing}"]')).to_be_visible()
    busy = "The database is busy."
    await page.route(
        "**/deliveries/rows/*status=failed*",
        lambda route: route.fulfill(status=503, body=busy, content_type="text/plain"),
        times=1,
    )
    await page.get_by_label("Filter by status").select_option("failed")
    await expect(page.locator("#notices")).to_contain_text(busy)
    await page.get_by_role("button", name="Newest").click()
    await expect(rows(page)).to_have_count(0)
    await expect(page).to_have_url(f"{server.url}/?status=failed&open={failing}")


async def test_leaving_the_search_does_not_draw_the_list_anew_under_the_mouse(
    server: Server, failing: str, browser_page: Page
) -> None:
    page = await opened(browser_page, server.url)
    asked: list[str] = []
    page.on("request", lambda request: "/deliveries/rows/" in request.url and asked.append(request.url))
    search = page.get_by_label("Filter by text")
    async with page.expect_response("**/deliveries/rows/**"):
        await search.press_sequentially("l")
    await expect(page.locator(".htmx-request")).to_have_count(0)
    await search.blur()
    async with page.expect_response("**/deliveries/rows/**status=pending**"):
        await page.get_by_label("Filter by status").select_option("pending")
    assert len(asked) == 2, asked
