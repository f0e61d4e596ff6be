"""The page's own socket: what changed, as the HTML that the page would load; one frame at a time, and nothing missed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from autobahn.exception import Disconnected
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from console import live

from .receiving import Receiver
from .serving import Server
from .waiting import wait_until

FAST = 3.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("live")).start()
    yield running
    running.finish()


@pytest.fixture
def endpoint(server: Server, receiver: Receiver) -> dict[str, Any]:
    return server.api("POST", "/webhooks", {"url": receiver.url, "events": ["*"]}).json


class Page:
    """A page as the server sees it: subscribes, takes frames, acknowledges them."""

    def __init__(self, client: ClientConnection) -> None:
        self.client = client
        self.round = 0
        self.rows: dict[str, str] = {}
        self.gone: list[str] = []
        self.frames: list[dict[str, Any]] = []

    def show(
        self,
        since: int,
        filter: str | None = "",
        open: str | None = None,
        attempt: int = 0,
        seen: int | None = None,
        revision: int = 10**6,  # newer than any
    ) -> "Page":
        self.round += 1
        wish = {"round": self.round, "since": since, "filter": filter, "open": open, "attempt": attempt}
        wish |= {"seen": since if seen is None else seen, "revision": revision}
        self.client.send(json.dumps({"subscribe": wish}))
        return self

    def hear(self) -> dict[str, Any]:
        frame = json.loads(self.client.recv(timeout=FAST))
        self.frames.append(frame)
        self.rows |= {row["id"]: row["html"] for row in frame["rows"]}
        self.gone += frame["gone"]
        return frame

    def take(self) -> dict[str, Any]:
        frame = self.hear()
        self.client.send(json.dumps({"ack": frame["seq"]}))
        return frame

    def take_until(self, condition: Any) -> "Page":
        wait_until(lambda: self.take() and condition(), 20)
        return self


def page(server: Server) -> Page:
    return Page(server.socket("/ws/console/", origin=server.url))


def now(server: Server) -> int:
    html = server.get("/deliveries/rows/").text
    return int(html.split('data-seq="')[1].split('"')[0])


def send_test(server: Server, endpoint: dict[str, Any], **body: Any) -> str:
    return server.api("POST", f"/webhooks/{endpoint['id']}/test", body).json["id"]


def ended(server: Server, delivery: str, status: str = "succeeded") -> None:
    wait_until(lambda: server.api("GET", f"/deliveries/{delivery}").json["status"] == status, 10)


def test_a_pushed_row_is_byte_for_byte_the_row_of_the_page(server: Server, endpoint: dict[str, Any]) -> None:
    live = page(server).show(now(server))
    delivery = send_test(server, endpoint)
    live.take_until(lambda: 'data-status="succeeded"' in live.rows.get(delivery, ""))
    assert live.rows[delivery] in server.get("/deliveries/rows/").text
    assert live.rows[delivery] in server.get("/").text


def test_a_page_that_was_away_gets_everything_it_missed_once(
    server: Server, endpoint: dict[str, Any]
) -> None:
    since = now(server)
    deliveries = [send_test(server, endpoint) for _ in range(5)]
    for delivery in deliveries:
        ended(server, delivery)
    live = page(server).show(since, f"endpoint={endpoint['id']}")
    live.take_until(lambda: set(deliveries) <= set(live.rows))
    told = [row["id"] for frame in live.frames for row in frame["rows"]]
    assert sorted(told) == sorted(deliveries)
    assert [frame["seq"] for frame in live.frames] == sorted(frame["seq"] for frame in live.frames)


def test_no_second_frame_comes_before_the_first_is_acknowledged(
    server: Server, endpoint: dict[str, Any]
) -> None:
    live = page(server).show(now(server))
    send_test(server, endpoint)
    frame = live.hear()
    second = send_test(server, endpoint)
    ended(server, second)
    with pytest.raises(TimeoutError):
        live.client.recv(timeout=0.5)
    live.client.send(json.dumps({"ack": frame["seq"]}))
    live.take_until(lambda: second in live.rows)


def test_what_the_filter_lets_go_is_named_as_gone(
    server: Server, endpoint: dict[str, Any], receiver: Receiver
) -> None:
    receiver.answer(500, 200)
    live = page(server).show(now(server), "status=retrying")
    delivery = send_test(server, endpoint)
    live.take_until(lambda: delivery in live.rows)
    live.take_until(lambda: live.gone[-1:] == [delivery])
    assert all('data-status="succeeded"' not in html for html in live.rows.values())


def test_the_open_delivery_comes_along_until_it_ends(
    server: Server, endpoint: dict[str, Any], receiver: Receiver
) -> None:
    receiver.answer(500, 200)
    delivery = send_test(server, endpoint)
    live = page(server).show(0, None, open=delivery)
    live.take_until(lambda: any("answered 500" in (frame["detail"] or "") for frame in live.frames))
    live.take_until(lambda: "Delivered on attempt 2" in (live.frames[-1]["detail"] or ""))
    assert not live.rows


def test_a_detail_too_large_for_a_frame_is_fetched_by_the_page(
    server: Server, endpoint: dict[str, Any], receiver: Receiver
) -> None:
    delivery = send_test(server, endpoint, data={"words": [f'"{number}"' for number in range(3000)]})
    ended(server, delivery)
    live = page(server).show(0, None, open=delivery)
    frame = live.take()
    assert frame["large"] and frame["detail"] is None
    assert len(json.dumps(frame)) < 64 * 1024


def test_too_large_a_gap_is_answered_with_reload(server: Server, endpoint: dict[str, Any]) -> None:
    server.api("POST", f"/webhooks/{endpoint['id']}/check", {})
    server.fill(endpoint["id"], 501)
    frame = page(server).show(0).take()
    assert frame["reload"] and not frame["rows"] and frame["seq"] > 500


def test_a_page_from_another_data_folder_is_told_to_reload(server: Server) -> None:
    frame = page(server).show(10**9).take()
    assert frame["reload"] and frame["seq"] < 10**9


def test_no_frame_is_larger_than_64_kib(server: Server, endpoint: dict[str, Any]) -> None:
    since = now(server)
    sent = [send_test(server, endpoint) for _ in range(120)]
    ended(server, sent[-1])
    live = page(server).show(since, open=sent[-1])
    live.take_until(lambda: set(sent) <= set(live.rows))
    assert max(len(json.dumps(frame).encode()) for frame in live.frames) <= 64 * 1024
    assert len(live.frames) > 1


def test_the_counters_follow(server: Server, endpoint: dict[str, Any], receiver: Receiver) -> None:
    receiver.answer(500)
    live = page(server).show(now(server))
    delivery = send_test(server, endpoint)
    live.take_until(lambda: "retrying" in (live.frames[-1]["counters"] or ""))
    server.api("POST", f"/deliveries/{delivery}/cancel")
    live.take_until(
        lambda: live.frames[-1]["counters"] is not None and "retrying" not in live.frames[-1]["counters"]
    )


def test_every_change_of_an_endpoint_is_told_although_no_delivery_changes(
    server: Server, endpoint: dict[str, Any]
) -> None:
    live = page(server).show(now(server))
    path, told = f"/webhooks/{endpoint['id']}", [live.take()["endpoints"]]
    for change in ({"status": "paused"}, {"status": "enabled"}, {"events": ["lead.qualified"]}):
        server.api("PATCH", path, change)
        live.take_until(lambda: live.frames[-1]["endpoints"] not in (None, *told))
        told.append(live.frames[-1]["endpoints"])
    server.api("DELETE", path)
    live.take_until(lambda: live.frames[-1]["endpoints"] not in (None, *told))


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"ack":"1"}',
        '{"ack":true}',
        '{"ack":-1}',
        '{"ack":1,"subscribe":{}}',
        '{"subscribe":{}}',
        '{"subscribe":{"round":1,"since":1.5,"filter":"","open":null,"attempt":0,"seen":0,"revision":0}}',
        '{"subscribe":{"round":1,"since":1,"filter":7,"open":null,"attempt":0,"seen":0,"revision":0}}',
        '{"subscribe":{"round":1,"since":1,"filter":"","open":null,"attempt":9223372036854775808,"seen":0,"revision":0}}',
        '{"subscribe":{"round":1,"since":1,"filter":"","open":"\\ud800","attempt":0,"seen":0,"revision":0}}',
        b"\x00\x01",
        "[" * 10_000,
    ],
)
def test_what_the_page_would_never_say_ends_the_connection(server: Server, frame: str | bytes) -> None:
    client = page(server).client
    client.send(frame)
    with pytest.raises(ConnectionClosed) as closed:
        client.recv(timeout=FAST)
    assert closed.value.rcvd and closed.value.rcvd.code == 1008


def test_a_frame_over_16_kib_and_a_flood_end_the_connection(server: Server) -> None:
    client = page(server).client
    client.send("x" * 20_000)
    with pytest.raises(ConnectionClosed) as closed:
        client.recv(timeout=FAST)
    assert closed.value.rcvd and closed.value.rcvd.code == 1009
    client = page(server).client
    with pytest.raises(ConnectionClosed) as closed:
        for _ in range(10_000):
            client.send('{"ack":1}')
        client.recv(timeout=FAST)
    assert closed.value.rcvd and closed.value.rcvd.code == 1008


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:3000", "null"])
def test_other_pages_cannot_listen(server: Server, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        server.socket("/ws/console/", origin=origin)
    assert refused.value.response.status_code in (400, 403)


def test_strange_filters_and_unknown_deliveries_are_no_reason_to_fall(server: Server) -> None:
    live = page(server).show(
        0, "status=%00&q=" + "x" * 3000 + "&endpoint=ep_%F0%9F%92%A9", open="dlv_nothing"
    )
    frame = live.take()
    assert frame["detail"] is None


def test_a_detail_fetched_before_the_list_went_on_is_brought_up_to_date(
    server: Server, endpoint: dict[str, Any], receiver: Receiver
):
    before = now(server)
    delivery = send_test(server, endpoint)
    receiver.wait_for(1)
    wait_until(lambda: server.api("GET", f"/deliveries/{delivery}").json["status"] == "succeeded")
    live = page(server).show(now(server), open=delivery, seen=before + 1)
    assert 'data-status="succeeded"' in live.take()["detail"]


def test_the_open_detail_comes_anew_when_its_endpoint_is_edited_and_only_then(
    server: Server, endpoint: dict[str, Any], receiver: Receiver
) -> None:
    delivery = send_test(server, endpoint)
    ended(server, delivery)
    live = page(server).show(now(server), open=delivery, revision=1)
    assert live.take()["detail"] is None
    other = server.api("POST", "/webhooks", {"url": receiver.url, "events": ["*"]}).json
    assert live.take()["detail"] is None
    server.api("PATCH", f"/webhooks/{endpoint['id']}", {"description": "Renamed"})
    live.take_until(lambda: "Renamed" in (live.frames[-1]["detail"] or ""))
    server.api("PATCH", f"/webhooks/{other['id']}", {"description": "Another"})
    assert live.take()["detail"] is None
    missed = page(server).show(now(server), open=delivery, revision=1)  # edited while this one was away
    assert "Renamed" in missed.take()["detail"]


class Tab(live.ConsoleConsumer):
    """One that has subscribed. What it is to send next fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
        super().__init__()
        self.fault = fault
        self.closed: list[int] = []
        self._wish, self._awaited, self._told = live.Wish(1, 0, None, None, 0, 0, 0), None, {}

        async def frame(*_: object) -> tuple[int, str]:
            return 1, "{}"

        monkeypatch.setattr(live, "read", frame)

    async def send(self, text_data: str) -> None:
        raise self.fault

    async def close(self, code: int) -> None:
        self.closed.append(code)


async def test_a_fault_of_our_own_closes_the_socket_so_that_the_page_comes_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tab = Tab(monkeypatch, ValueError("planted"))
    await tab._tell()
    assert tab.closed == [1013] and "planted" in caplog.text


async def test_a_tab_that_closes_while_its_frame_is_made_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tab = Tab(monkeypatch, Disconnected("Attempt to send on a closed protocol"))
    await tab._tell()
    assert not tab.closed and not caplog.text
