"""The console's page as tests meet it: live, with its rows, and what these are to be."""

from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.serving import Server


def sent(server: Server, endpoint: dict[str, Any], **body: Any) -> str:
    """Send an event from outside; the id of its delivery."""
    path = f"/webhooks/{endpoint['id']}/test"
    return server.api("POST", path, {"type": "lead.qualified", **body}).json["id"]


def fire(server: Server, endpoint: dict[str, Any], count: int) -> list[str]:
    """Send that many; the ids of their deliveries, oldest first."""
    return [sent(server, endpoint) for _ in range(count)]


def newest_first(server: Server, endpoint: dict[str, Any] | None = None) -> list[str]:
    """The ids of all deliveries, or of all to one endpoint."""
    found: list[str] = []
    only = f"&endpoint={endpoint['id']}" if endpoint else ""
    cursor: str | None = ""
    while cursor is not None:
        page = server.api("GET", f"/deliveries?limit=200{only}{cursor}").json
        found += [delivery["id"] for delivery in page["data"]]
        cursor = f"&cursor={page['next_cursor']}" if page["has_more"] else None
    return found


def rows(page: Page) -> Locator:
    return page.locator(".rows [data-delivery-id]")


def row(page: Page, delivery: str) -> Locator:
    return page.locator(f'.rows [data-delivery-id="{delivery}"]')


async def opened(page: Page, url: str) -> Page:
    await page.goto(url)
    await expect(page.locator("[data-live]")).to_have_attribute("data-live", "live")
    return page


async def settled(page: Page, url: str) -> Page:
    """Opened, and answered what it asks by itself."""
    await opened(page, url)
    await expect(page.locator("#endpoint-reach .reach")).to_be_visible()
    await expect(page.locator("#validity .valid")).to_be_visible()
    return page
