"""The browser tests' own guard: a page that misbehaves cannot pass."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page

from .conftest import Complaints

CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src *"
MISBEHAVIOUR = {
    "inline-script": ("<script>1</script>", "Content Security Policy"),
    "inline-style": ("<p style='color:red'>", "Content Security Policy"),
    "exception": ("<script src=throw.js></script>", "exception: out of order"),
    "console-error": ("<script src=console.js></script>", "console: not well"),
    "missing-file": ("<script src=missing.js></script>", "status of 404"),
    "another-host": (
        "<img src=http://127.0.0.2:9/a.png>",
        "request to another host: http://127.0.0.2:9/a.png",
    ),
}
FILES = {
    "/favicon.ico": "",
    "/throw.js": "throw new Error('out of order')",
    "/console.js": "console.error('not well')",
}


@pytest_asyncio.fixture(loop_scope="session")
async def site() -> AsyncIterator[str]:
    """A strict site: every fault of MISBEHAVIOUR has a page of its name, `/` is a clean one."""
    pages = {f"/{fault}": html for fault, (html, _) in MISBEHAVIOUR.items()} | {"/": "<p>well</p>"}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        known = pages | FILES
        kind = "text/javascript" if path in FILES else "text/html"
        head = f"HTTP/1.1 {'200 OK' if path in known else '404 Not Found'}\r\nContent-Type: {kind}\r\n"
        body = known.get(path, "")
        writer.write(f"{head}Content-Security-Policy: {CSP}\r\nConnection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("fault", list(MISBEHAVIOUR))
async def test_a_page_with_this_fault_fails_its_test(
    fault: str, site: str, browser_page: Page, complaints: Complaints
) -> None:
    await browser_page.goto(f"{site}/{fault}")
    await browser_page.wait_for_load_state("networkidle")
    assert any(MISBEHAVIOUR[fault][1] in said for said in complaints.open()), complaints.heard
    complaints.allow("")


async def test_a_clean_page_and_its_screenshot_raise_no_complaint(
    site: str, browser_page: Page, complaints: Complaints
) -> None:
    await browser_page.goto(site)
    assert (await browser_page.screenshot()).startswith(b"\x89PNG")
    assert complaints.heard == []
