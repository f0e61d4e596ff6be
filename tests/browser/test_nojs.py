"""Without a script a page shows all there is to read, and no button that would do nothing."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.receiving import Receiver
from tests.serving import Server

from .showing import opened, sent


@pytest.mark.parametrize("width", [1280, 390])
async def test_request_response_and_signature_are_read_without_a_script(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, scriptless: Page, width: int
) -> None:
    page = scriptless
    await page.set_viewport_size({"width": width, "height": 800})
    delivery = sent(server, endpoint)
    receiver.wait_for(1)
    for address in (f"/deliveries/{delivery}/", f"/?open={delivery}"):
        await page.goto(server.url + address)
        await expect(page.locator("#panel-timeline")).to_be_visible()
        await expect(page.locator("#panel-request pre")).to_contain_text('"lead.qualified"')
        await expect(page.locator("#panel-request pre")).to_be_visible()
        await expect(page.locator("#panel-response pre")).to_be_visible()
        await expect(page.locator("#panel-signature pre.signed")).to_be_visible()
        await expect(page.get_by_text("reconnecting")).to_be_hidden()
        for name in ("Copy as curl", "Edit and resend", "Pause", "hex"):
            await expect(page.get_by_role("button", name=name)).to_have_count(0)
        await expect(page.get_by_role("button", name="Resend")).to_be_visible()
    await expect(page.get_by_role("button", name="Send test event")).to_be_visible()
    if width == 390:  # one below the other, and none cut
        above, below = [await page.locator(part).bounding_box() for part in ("#receiver", "#filter")]
        assert above and below and above["y"] + above["height"] <= below["y"]
    await expect(page.locator(f'[data-delivery-id="{delivery}"]')).to_be_visible()


async def test_a_delivery_is_whole_and_dark_on_white_on_paper(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    page = browser_page
    await page.add_init_script("localStorage.setItem('theme', 'dark')")
    delivery = sent(server, endpoint, type="property.matched")
    receiver.wait_for(1)
    await opened(page, f"{server.url}/deliveries/{delivery}/")
    await expect(page.locator("#panel-response pre")).to_be_hidden()
    await page.emulate_media(media="print")
    for part in ("#panel-timeline .gantt", "#panel-request pre", "#panel-response pre", "pre.signed"):
        await expect(page.locator(part)).to_be_visible()
    await expect(page.get_by_role("button")).to_have_count(0)
    await expect(page.locator("main")).to_have_css("background-color", "rgb(255, 255, 255)")
    cut = "all => all.filter(one => one.scrollHeight > one.clientHeight).length"
    assert await page.locator("body, main, pre").evaluate_all(cut) == 0


async def test_an_endpoint_is_deleted_without_a_script_and_asked_about_first(
    server: Server, endpoint: dict[str, Any], scriptless: Page
) -> None:
    await scriptless.goto(f"{server.url}/endpoints/{endpoint['id']}/")
    await scriptless.get_by_role("button", name="Delete").click()
    await expect(scriptless.get_by_role("heading", name="Delete")).to_be_visible()
    assert server.api("GET", f"/webhooks/{endpoint['id']}").status == 200
    await scriptless.get_by_role("button", name="Delete endpoint").click()
    await expect(scriptless).to_have_url(f"{server.url}/endpoints/?deleted")
    await expect(scriptless.locator(".notice")).to_have_text("The endpoint is deleted.")
    assert server.api("GET", f"/webhooks/{endpoint['id']}").status == 404
