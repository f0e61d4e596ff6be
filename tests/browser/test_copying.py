"""What is copied is what is there, not what is drawn of it."""

import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.async_api import Page, expect

from tests.receiving import Receiver
from tests.serving import Server

from .conftest import Complaints, held
from .showing import opened, sent

MARKED = '{"a":"\u200b\u202e",\r\n"b":"' + "x" * 20_000 + '"}'


async def test_the_signed_bytes_that_are_copied_give_the_signature_that_was_sent(
    server: Server, endpoint: dict[str, Any], receiver: Receiver, browser_page: Page
) -> None:
    await browser_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    delivery = sent(server, endpoint, raw_body=MARKED)
    [request] = receiver.wait_for(1)
    page = browser_page
    await page.goto(f"{server.url}/?open={delivery}")
    await page.get_by_role("tab", name="Signature").click()
    panel = page.locator("#panel-signature")
    await expect(panel.locator("pre.signed")).to_contain_text("⟨U+200B⟩")
    copy = panel.locator("[data-part=signature]").get_by_role("button", name="Copy")
    await copy.click()
    await expect(page.locator("#said")).to_have_text("Copied.")
    text = await page.evaluate("navigator.clipboard.readText()")
    made = hmac.new(endpoint["secret"].encode(), text.encode(), "sha256").hexdigest()
    assert request.headers["x-ultrareach-signature"] == f"v1={made}"


async def test_that_nobody_answers_is_said_in_our_own_words(
    server: Server, endpoint: dict[str, Any], browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("ERR_FAILED")
    delivery = sent(server, endpoint)
    await browser_page.goto(f"{server.url}/?open={delivery}")
    await browser_page.route("**/curl/**", lambda route: route.abort())
    await browser_page.get_by_role("button", name="Copy as curl").click()
    notice = browser_page.locator("#notices .notice")
    await expect(notice).to_have_text("Could not copy: The simulator does not answer. Is it still running?")


async def test_where_the_browser_allows_no_copying_it_is_said_why(
    server: Server, endpoint: dict[str, Any], browser_page: Page
) -> None:
    page = browser_page
    await page.add_init_script("delete Navigator.prototype.clipboard")  # as over http under another name
    delivery = sent(server, endpoint)
    await page.goto(f"{server.url}/?open={delivery}")
    await page.get_by_role("button", name="Copy as curl").click()
    await expect(page.locator("#notices")).to_contain_text("only on localhost and 127.0.0.1")


async def test_that_it_was_copied_is_seen_although_the_detail_is_drawn_anew_meanwhile(
    server: Server, receiver: Receiver, browser_page: Page
) -> None:
    await browser_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    receiver.answer(500, 502, 503)  # each verdict is another one
    new = {"url": receiver.url, "events": ["*"], "retry": {"delays": [3600]}}
    delivery = sent(server, server.api("POST", "/webhooks", new).json)
    await browser_page.clock.install()
    page = await opened(browser_page, f"{server.url}/?open={delivery}")
    attempts = page.locator(".lane .what.failed")
    await expect(attempts).to_have_count(1)
    await page.clock.pause_at(
        datetime.now(UTC) + timedelta(hours=1)
    )  # "Copied" stands until the test goes on
    button = page.get_by_role("button", name="Copy as curl")

    async def is_drawn_anew(count: int) -> None:
        drawn = await button.element_handle()
        assert drawn
        server.api("POST", f"/deliveries/{delivery}/retry")
        await expect(attempts).to_have_count(count)
        assert not await drawn.evaluate("button => button.isConnected")

    given, let_go = await held(page, "**/curl/")
    await button.click()
    await given.wait()
    await is_drawn_anew(2)
    let_go.set()
    await expect(button).to_have_class("copied")
    await is_drawn_anew(3)
    await expect(button).to_have_class("copied")
    await page.clock.run_for(2000)
    await expect(button).not_to_have_class("copied")
