"""One running server for all tests of the API: each makes what it needs, so that none minds the others."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.receiving import Receiver
from tests.serving import Reply, Server
from tests.waiting import wait_until

Json = dict[str, Any]


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Retries twenty times faster than real ones."""
    server = Server(tmp_path_factory.mktemp("api"), SIM_RETRY_SCALE="0.05").start()
    yield server
    server.finish()


@pytest.fixture
def endpoint(api: Server, receiver: Receiver) -> Json:
    """Registered for lead.qualified, on the receiver of this test."""
    return made(api.api("POST", "/webhooks", {"url": receiver.url, "events": ["lead.qualified"]}))


@pytest.fixture
def ended(api: Server) -> Callable[[str], Json]:
    """Waits for a delivery to end and gives it, with its attempts."""

    def wait(id: str, status: str = "succeeded") -> Json:
        def find() -> Json | None:
            delivery = api.api("GET", f"/deliveries/{id}").json
            return delivery if delivery["status"] == status else None

        return wait_until(find, 10, f"{id} to be {status}")

    return wait


def made(reply: Reply) -> Json:
    """The body of a call that must have worked."""
    assert reply.status in (200, 201, 202), reply.text
    return reply.json


def refused(reply: Reply, status: int = 400) -> Json:
    """The error of a call that must have failed, after a look at its envelope."""
    assert reply.status == status, (reply.status, reply.text)
    assert reply.headers["content-type"] == "application/json"
    assert list(reply.json) == ["error"]
    error = reply.json["error"]
    assert set(error) == {"type", "code", "message", "details", "request_id"}
    assert error["request_id"].startswith("req_") and error["request_id"] == reply.headers["x-request-id"]
    return error


def field_of(reply: Reply) -> tuple[str, str]:
    """(field, reason) of a 400."""
    details = refused(reply)["details"]
    return details["field"], details["reason"]
