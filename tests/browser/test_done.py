"""What a form has done is said on the page that comes next: to the eye and the ear, once."""

from typing import Any

from playwright.async_api import Page, expect

from tests.serving import Server

from .conftest import Complaints


async def is_said_once(page: Page, sentence: str, address: str) -> None:
    """And neither after a reload nor after Back."""
    notices = page.locator("#notices .notice")
    await expect(notices).to_have_text([sentence])
    await expect(page.locator("#said")).to_have_text(sentence)
    await expect(page).to_have_url(address)
    await page.reload()
    await expect(page.locator("[data-live]")).to_have_attribute("data-live", "live")
    await expect(notices).to_have_count(0)
    await page.get_by_role("link", name="Console", exact=True).click()
    await page.go_back()
    await expect(page).to_have_url(address)
    await expect(page.locator("[data-live]")).to_have_attribute("data-live", "live")
    await expect(notices).to_have_count(0)


async def test_that_an_endpoint_was_saved_is_said(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    address = f"{server.url}/endpoints/{endpoint['id']}/"
    await browser_page.goto(f"{address}edit/")
    await browser_page.get_by_label("Timeout").fill("7")
    await browser_page.get_by_role("button", name="Save").click()
    await is_said_once(browser_page, "Saved.", address)


async def test_that_an_endpoint_was_deleted_is_said(
    server: Server, endpoint: dict[str, Any], browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("status of 404")  # the page that is being left may still look after its card
    await browser_page.goto(f"{server.url}/endpoints/{endpoint['id']}/")
    await browser_page.locator(".card").get_by_role("button", name="Delete").click()
    await browser_page.get_by_role("button", name="Delete endpoint").click()
    await is_said_once(browser_page, "The endpoint is deleted.", f"{server.url}/endpoints/")


async def test_what_was_done_can_be_dismissed_and_fades(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    await browser_page.clock.install()
    notice = browser_page.locator("#notices .notice")
    for leave in ("dismissed", "faded"):
        await browser_page.goto(f"{server.url}/endpoints/{endpoint['id']}/edit/")
        await browser_page.get_by_role("button", name="Save").click()
        await expect(notice).to_have_text("Saved.")
        await expect(browser_page.locator("#said")).to_have_text("Saved.")  # the script has seen it
        if leave == "dismissed":
            await notice.get_by_role("button", name="Dismiss").click()
        else:
            await browser_page.clock.fast_forward(9000)
        await expect(notice).to_have_count(0)
