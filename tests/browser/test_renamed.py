"""An endpoint that is edited elsewhere: what is open is called by its new name, and nobody who reads is disturbed."""

from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.receiving import Receiver
from tests.serving import Server

from .showing import fire, opened, row, rows, sent


@pytest.fixture
def endpoint(server: Server, receiver: Receiver) -> dict[str, Any]:
    return server.api("POST", "/webhooks", {"url": receiver.url, "events": ["*"], "description": "Old"}).json


def names(page: Page) -> Locator:
    return page.locator(".rows .to")


def choices(page: Page) -> Locator:
    return page.get_by_label("Filter by endpoint").locator("option")


def rename(server: Server, endpoint: dict[str, Any], **to: str) -> None:
    server.api("PATCH", f"/webhooks/{endpoint['id']}", to)


async def test_rows_filter_and_detail_follow_and_what_is_read_stays_where_it_is(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    first, second = fire(server, endpoint, 2)
    page = await opened(browser_page, server.url)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(server.url).partition("?")[0]))
    await row(page, first).locator("a").click()
    await expect(page.locator("#detail h2 .to")).to_have_text("Old")
    await row(page, second).locator("a").focus()
    behind_the_pill = sent(server, endpoint)
    await expect(page.get_by_role("button", name="1 new")).to_be_visible()
    rename(server, endpoint, description="New")
    await expect(names(page)).to_have_text(["New", "New"])
    await expect(page.locator("#detail h2 .to")).to_have_text("New")
    await expect(choices(page).last).to_have_text("New")
    await expect(row(page, second).locator("a")).to_be_focused()
    await expect(row(page, first).locator("a")).to_have_attribute("aria-current", "true")
    assert asked.count("/deliveries/rows/some/") == 1 and "/deliveries/rows/" not in asked
    await page.get_by_role("button", name="1 new").click()
    await expect(row(page, behind_the_pill).locator(".to")).to_have_text("New")
    rename(server, endpoint, description="")
    await expect(names(page).first).to_have_text(endpoint["url"].removeprefix("http://"))


async def test_the_choice_in_the_filter_keeps_its_value_its_focus_and_its_effect(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    fire(server, endpoint, 2)
    page = await opened(browser_page, f"{server.url}/?endpoint={endpoint['id']}")
    filter = page.get_by_label("Filter by endpoint")
    await filter.focus()
    rename(server, endpoint, description="New")
    await expect(filter.locator(":checked")).to_have_text("New")
    await expect(filter).to_be_focused()
    await filter.select_option(label="Built-in receiver")
    await expect(rows(page)).to_have_count(0)
    await expect(page).not_to_have_url(f"{server.url}/?endpoint={endpoint['id']}")
    await filter.select_option(label="New")
    await expect(rows(page)).to_have_count(2)
    server.api("DELETE", f"/webhooks/{endpoint['id']}")
    await expect(filter.locator(":checked")).to_have_text("New (deleted)")
    await expect(rows(page)).to_have_count(2)


async def test_an_edit_in_another_tab_or_while_the_page_is_loaded_is_not_missed(
    server: Server, endpoint: dict[str, Any], browser_page: Page, new_tab: Any
) -> None:
    delivery = sent(server, endpoint)
    page = await opened(browser_page, f"{server.url}/?open={delivery}")
    other = await new_tab()
    await other.goto(f"{server.url}/endpoints/{endpoint['id']}/edit/")
    await other.get_by_label("Description").fill("By hand")
    await other.get_by_role("button", name="Save").click()
    await expect(names(page)).to_have_text(["By hand"])
    await expect(page.locator("#detail h2 .to")).to_have_text("By hand")

    async def late(route: Route) -> None:
        rename(server, endpoint, description="Meanwhile")
        await route.continue_()

    await page.route("**/js/live*.js", late, times=1)
    await page.reload()
    await expect(names(page)).to_have_text(["Meanwhile"])
    await expect(page.locator("#detail h2 .to")).to_have_text("Meanwhile")
    await expect(choices(page).last).to_have_text("Meanwhile")


async def test_a_text_that_is_searched_for_is_searched_in_the_new_name(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    made = fire(server, endpoint, 2)
    page = await opened(browser_page, f"{server.url}/?q=Old")
    await expect(rows(page)).to_have_count(2)
    rename(server, endpoint, description="New")
    await expect(rows(page)).to_have_count(0)
    await expect(page.locator(".empty")).to_contain_text("Nothing matches this filter")
    rename(server, endpoint, description="Old again")
    await expect(names(page)).to_have_text(["Old again", "Old again"])
    await row(page, made[0]).locator("a").click()
    await expect(page.locator("#detail h2 .to")).to_have_text("Old again")
    rename(server, endpoint, description="New")
    await expect(names(page)).to_have_text(["New", "New"])  # nothing goes away from whoever reads
