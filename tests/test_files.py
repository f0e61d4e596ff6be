"""Static files: answered before Django, byte for byte; everything else goes on untouched."""

from pathlib import Path
from typing import Any

import pytest

from console.files import files

STATIC = Path(__file__).parent.parent / "static"
FILES = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file())


class Answer:
    def __init__(self, start: dict[str, Any], body: dict[str, Any]):
        self.status: int = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self.body: bytes = body["body"]


async def ask(path: str, method: str = "GET", **headers: str) -> Answer | None:
    """What is answered; None when the request went on."""
    sent: list[dict[str, Any]] = []
    went_on: list[Any] = []

    async def otherwise(*request: Any) -> None:
        went_on.append(request)

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    async def receive() -> dict[str, Any]:
        raise AssertionError("a file needs no body")

    pairs = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": pairs}
    await files(otherwise)(scope, receive, send)
    if went_on:
        assert (went_on, sent) == ([(scope, receive, send)], [])
        return None
    start, body = sent
    assert (start["type"], body["type"]) == ("http.response.start", "http.response.body")
    return Answer(start, body)


@pytest.mark.parametrize("name", FILES)
async def test_every_file_is_served_as_it_lies_there(name: str) -> None:
    answer = await ask(f"/static/{name}")
    content = (STATIC / name).read_bytes()
    assert (answer.status, answer.body) == (200, content)
    assert answer.headers["content-length"] == str(len(content))


@pytest.mark.parametrize(
    ("name", "type"), [("js/app.js", "text/javascript"), ("css/", "text/css"), ("icon.svg", "image/svg+xml")]
)
async def test_a_browser_that_must_not_guess_is_told_the_type(name: str, type: str) -> None:
    name = name if "." in name else next(file for file in FILES if file.startswith(name))
    assert (await ask(f"/static/{name}")).headers["content-type"].split(";")[0] == type


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/static",
        "/static/",
        "/static/js",
        "/static/nothing.js",
        "/static/../manage.py",
        "/statics/icon.svg",
    ],
)
async def test_what_is_no_file_goes_on(path: str) -> None:
    assert await ask(path) is None


async def test_a_file_that_has_not_changed_is_not_sent_again() -> None:
    first = await ask("/static/icon.svg")
    again = await ask("/static/icon.svg", If_Modified_Since=first.headers["last-modified"])
    assert (again.status, again.body) == (304, b"")
    older = await ask("/static/icon.svg", If_Modified_Since="Thu, 01 Jan 1970 00:00:00 GMT")
    assert (older.status, older.body) == (200, first.body)


async def test_every_visit_asks_again_so_that_an_update_is_seen() -> None:
    assert "max-age=0" in (await ask("/static/icon.svg")).headers["cache-control"]


async def test_a_part_can_be_asked_for() -> None:
    whole = await ask("/static/icon.svg")
    part = await ask("/static/icon.svg", Range="bytes=3-9")
    assert (part.status, part.body) == (206, whole.body[3:10])


async def test_another_page_may_not_read_them() -> None:
    assert "access-control-allow-origin" not in (await ask("/static/icon.svg")).headers
