"""What every browser test stands on: an installed Chromium, a fresh page, and an ear for every complaint.

Knows nothing of our pages; says what kind of server they come from.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Route, WebSocket, async_playwright

from tests.receiving import Receiver
from tests.serving import Server

HERE = Path(__file__).parent
ABSENT = "browser tests did not run: no Chromium on this machine"
NAMES = ("chromium", "chromium-browser", "google-chrome")
# The first four load pages of the browser's own, or start a process, beside every tab: two fifths of what it costs.
# The rest are Playwright's: of two such options the later one counts alone.
UNWANTED = """
    WebUIOmniboxPopup WebUIOmniboxAimPopup PreloadTopChromeWebUI SpareRendererForSitePerProcess
    AimEnabled AvoidCorsURLLoaderRestartOnRedirect AvoidUnnecessaryBeforeUnloadCheckSync DestroyProfileOnBrowserClose
    HttpsFirstBalancedModeAutoEnable HttpsUpgrades LensOverlay MediaRouter NetworkTimeServiceQuerying
    OptimizationHints PaintHolding PreconnectToSearch ThirdPartyStoragePartitioning
"""
OPTIONS = (
    f"--disable-features={','.join(UNWANTED.split())}",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ENDED = ("console: htmx:afterRequest", "console: htmx:sendAbort")


class Complaints:
    """What went wrong in the pages of one test. Whatever was not allowed by name fails the test at its end."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.allowed: list[str] = []
        self.home: str | None = None

    def allow(self, *texts: str) -> None:
        """Excuse complaints that contain one of these: a test that stops the server allows "WebSocket"."""
        self.allowed += texts

    def open(self) -> list[str]:
        return [said for said in self.heard if not any(text in said for text in self.allowed)]

    def listen(self, context: BrowserContext) -> None:
        context.on(
            "console", lambda said: said.type == "error" and self.heard.append(f"console: {said.text}")
        )
        context.on("weberror", lambda error: self.heard.append(f"exception: {error.error}"))
        context.on("request", lambda request: self.note_request(request.url))
        context.on("page", lambda page: page.on("websocket", self.note_socket))

    def note_socket(self, socket: WebSocket) -> None:
        self.note_request(socket.url)

    def note_request(self, url: str) -> None:
        """The first request says where home is; data: and blob: leave nobody's machine."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "ws", "wss"):
            return
        self.home = self.home or parts.netloc
        if parts.netloc != self.home:
            self.heard.append(f"request to another host: {url}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for all tests of this folder: a browser cannot change loops, and starting one takes a second."""
    for item in items:
        if item.path.is_relative_to(HERE) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if any(ABSENT in str(report.longrepr) for report in skipped):
        terminalreporter.write_line(ABSENT)


@pytest.fixture(scope="session", autouse=True)
def chromium() -> str:
    """Path of the Chromium that is driven. Without one, every test here is skipped."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(ABSENT)
    return found


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """One Chromium for all; what a test does in it stays in a context of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        yield browser
        await browser.close()


@pytest.fixture
def kind_of_server(forked: Callable[..., Server]) -> Callable[..., Server]:
    return forked


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """Console errors (CSP violations are among them), page errors and requests to another host."""
    complaints = Complaints()
    yield complaints
    assert complaints.open() == []


@pytest_asyncio.fixture(loop_scope="session")
async def new_tab(browser: Browser, complaints: Complaints) -> AsyncIterator[Callable[[], Awaitable[Page]]]:
    """`await new_tab()` is one more tab of the same person: same cookies, 1280×800, same complaints."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    complaints.listen(context)
    yield context.new_page
    before = len(complaints.heard)
    await context.close()  # which ends the requests that the page has just made
    complaints.heard[before:] = [said for said in complaints.heard[before:] if not said.startswith(ENDED)]


@pytest_asyncio.fixture(loop_scope="session")
async def browser_page(new_tab: Callable[[], Awaitable[Page]]) -> Page:
    """A fresh page on nothing yet."""
    return await new_tab()


@pytest_asyncio.fixture(loop_scope="session")
async def scriptless(browser: Browser) -> AsyncIterator[Page]:
    """A page of somebody who has switched scripts off."""
    context = await browser.new_context(java_script_enabled=False)
    yield await context.new_page()
    await context.close()


@pytest.fixture
def screens(tmp_path: Path) -> Path:
    """Where screenshots go: ARTIFACTS keeps them."""
    folder = Path(os.environ.get("ARTIFACTS", tmp_path)) / "screens"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def endpoint(server: Server, receiver: Receiver) -> dict[str, Any]:
    """One that gets everything, at the receiver."""
    return server.api("POST", "/webhooks", {"url": receiver.url, "events": ["*"], "description": "Mine"}).json


async def held(page: Page, address: str) -> tuple[asyncio.Event, asyncio.Event]:
    """(given, let go): the server gives the next answer from there at once, the page gets it when it is let go."""
    given, let_go = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        answer = await route.fetch()
        given.set()
        await let_go.wait()
        await route.fulfill(response=answer)

    await page.route(address, late, times=1)
    return given, let_go
