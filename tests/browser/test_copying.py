"""What is copied is what is there, not what is drawn of it."""

import hmac

from playwright.async_api import Page, expect

from tests.receiving import Receiver
from tests.serving import Server

from .conftest import Complaints

MARKED = '{"a":"\u200b\u202e",\r\n"b":"' + "x" * 20_000 + '"}'


async def test_the_signed_bytes_that_are_copied_give_the_signature_that_was_sent(
    server: Server, receiver: Receiver, browser_page: Page
) -> None:
    await browser_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    endpoint = server.api("POST", "/webhooks", {"url": receiver.url, "events": ["*"]}).json
    order = {"type": "lead.qualified", "endpoints": [endpoint["id"]], "raw_body": MARKED}
    [delivery] = server.api("POST", "/events", order).json["deliveries"]
    [sent] = receiver.wait_for(1)
    page = browser_page
    await page.goto(f"{server.url}/?open={delivery['id']}")
    await page.get_by_role("tab", name="Signature").click()
    panel = page.locator("#panel-signature")
    await expect(panel.locator("pre.signed")).to_contain_text("⟨U+200B⟩")
    copy = panel.locator("[data-part=signature]").get_by_role("button", name="Copy")
    await copy.click()
    await expect(page.locator("#said")).to_have_text("Copied.")
    text = await page.evaluate("navigator.clipboard.readText()")
    made = hmac.new(endpoint["secret"].encode(), text.encode(), "sha256").hexdigest()
    assert sent.headers["x-ultrareach-signature"] == f"v1={made}"


async def test_that_nobody_answers_is_said_in_our_own_words(
    server: Server, receiver: Receiver, browser_page: Page, complaints: Complaints
) -> None:
    complaints.allow("ERR_FAILED")
    endpoint = server.api("POST", "/webhooks", {"url": receiver.url, "events": ["*"]}).json
    delivery = server.api("POST", f"/webhooks/{endpoint['id']}/test").json
    await browser_page.goto(f"{server.url}/?open={delivery['id']}")
    await browser_page.route("**/curl/**", lambda route: route.abort())
    await browser_page.get_by_role("button", name="Copy as curl").click()
    notice = browser_page.locator("#notices .notice")
    await expect(notice).to_have_text("Could not copy: The simulator does not answer. Is it still running?")


async def test_where_the_browser_allows_no_copying_it_is_said_why(
    server: Server, receiver: Receiver, browser_page: Page
) -> None:
    page = browser_page
    await page.add_init_script("delete Navigator.prototype.clipboard")  # as over http under another name
    endpoint = server.api("POST", "/webhooks", {"url": receiver.url, "events": ["*"]}).json
    delivery = server.api("POST", f"/webhooks/{endpoint['id']}/test").json
    await page.goto(f"{server.url}/?open={delivery['id']}")
    await page.get_by_role("button", name="Copy as curl").click()
    await expect(page.locator("#notices")).to_contain_text("only on localhost and 127.0.0.1")
