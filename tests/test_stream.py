"""The JSON stream, as a program uses it: gap-free, in order, one frame at a time, and closed to everything else."""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import Mock

import pytest
from autobahn.exception import Disconnected
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from console import stream as streams
from simulator.api.gate import api_key

from .receiving import Receiver
from .serving import Server
from .waiting import wait_until

FAST = 2.0  # seconds in which a frame must have come
QUIET = 0.6  # seconds without a frame that count as none


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests here; each looks only at what came after its own beginning."""
    running = Server(tmp_path_factory.mktemp("stream")).start()
    yield running
    running.finish()


@pytest.fixture
def endpoint(server: Server, receiver: Receiver) -> dict[str, Any]:
    return server.api("POST", "/webhooks", {"url": receiver.url, "events": ["lead.qualified"]}).json


def stream(server: Server, **options: Any) -> ClientConnection:
    return server.socket(
        "/ws/v1/stream", additional_headers={"Authorization": f"Bearer {server.key}"}, **options
    )


def say(client: ClientConnection, **frame: Any) -> None:
    client.send(json.dumps(frame))


def hear(client: ClientConnection) -> dict[str, Any]:
    return json.loads(client.recv(timeout=FAST))


def is_silent(client: ClientConnection) -> bool:
    with contextlib.suppress(TimeoutError):
        client.recv(timeout=QUIET)
        return False
    return True


def send_test(server: Server, endpoint: dict[str, Any]) -> str:
    """The id of a delivery that has succeeded."""
    delivery = server.api("POST", f"/webhooks/{endpoint['id']}/test", {}).json["id"]
    wait_until(lambda: server.api("GET", f"/deliveries/{delivery}").json["status"] == "succeeded", 5)
    return delivery


def until_succeeded(client: ClientConnection, deliveries: set[str]) -> list[dict[str, Any]]:
    """All frames up to the one after which each of these deliveries was seen as succeeded."""
    frames = []
    while deliveries:
        frames.append(hear(client))
        say(client, ack=frames[-1]["seq"])
        deliveries = deliveries - {
            delivery["id"] for delivery in frames[-1]["deliveries"] if delivery["status"] == "succeeded"
        }
    return frames


def now(server: Server) -> int:
    """The newest seq."""
    newest = server.api("GET", "/deliveries?limit=200").json["data"]
    return max((delivery["seq"] for delivery in newest), default=0)


# --- what it tells


def test_a_delivery_is_told_as_the_api_tells_it(server: Server, endpoint: dict[str, Any]):
    with stream(server) as client:
        delivery = send_test(server, endpoint)
        last = until_succeeded(client, {delivery})[-1]["deliveries"][-1]
    told = server.api("GET", f"/deliveries/{delivery}").json
    assert last == {name: told[name] for name in last}
    assert {"id", "seq", "event", "endpoint", "status", "trigger", "attempt_count", "last_attempt"} <= set(
        last
    )


def test_without_a_beginning_only_what_happens_from_now_on_is_told(server: Server, endpoint: dict[str, Any]):
    send_test(server, endpoint)
    with stream(server) as client:
        assert is_silent(client)
        delivery = send_test(server, endpoint)
        frames = until_succeeded(client, {delivery})
    assert {told["id"] for frame in frames for told in frame["deliveries"]} == {delivery}


def test_the_next_frame_comes_only_after_the_ack(server: Server, endpoint: dict[str, Any]):
    with stream(server) as client:
        first = send_test(server, endpoint)
        frame = hear(client)
        second = send_test(server, endpoint)
        assert is_silent(client)
        say(client, ack=frame["seq"])
        until_succeeded(client, {first, second} - {found["id"] for found in frame["deliveries"]} | {second})


def test_frames_hold_at_most_fifty_without_a_gap_and_in_order(server: Server, endpoint: dict[str, Any]):
    server.api("PATCH", f"/webhooks/{endpoint['id']}", {"status": "paused"})
    since = now(server)
    for _ in range(120):  # held by the pause, so that their seqs follow one another
        server.api("POST", f"/webhooks/{endpoint['id']}/test", {})
    seqs: list[int] = []
    with stream(server) as client:
        say(client, since=since)
        while len(seqs) < 120:
            frame = hear(client)
            seqs += [delivery["seq"] for delivery in frame["deliveries"]]
            assert len(frame["deliveries"]) <= 50
            assert frame["seq"] == seqs[-1]
            say(client, ack=frame["seq"])
    assert seqs == list(range(since + 1, since + 121))


def test_w04_after_a_break_the_last_seq_brings_what_was_missed(server: Server, endpoint: dict[str, Any]):
    with stream(server) as client:
        before = until_succeeded(client, {send_test(server, endpoint)})[-1]["seq"]
    missed = {send_test(server, endpoint) for _ in range(3)}
    with stream(server) as client:
        say(client, since=before)
        frames = until_succeeded(client, set(missed))
    assert {told["id"] for frame in frames for told in frame["deliveries"]} == missed


def test_w04_a_frame_that_was_not_acknowledged_comes_again(server: Server, endpoint: dict[str, Any]):
    since = now(server)
    delivery = send_test(server, endpoint)
    for _ in range(2):
        with stream(server) as client:
            say(client, since=since)
            assert hear(client)["deliveries"][-1]["id"] == delivery


def test_many_streams_that_follow_a_burst_each_hear_of_every_delivery(
    server: Server, endpoint: dict[str, Any]
):
    wanted = {"type": "lead.qualified", "count": 300, "endpoints": [endpoint["id"]]}

    def follow(client: ClientConnection) -> tuple[list[int], set[str]]:
        seqs: list[int] = []
        succeeded: set[str] = set()
        while len(succeeded) < 300:
            frame = hear(client)
            seqs += [delivery["seq"] for delivery in frame["deliveries"]]
            succeeded |= {each["id"] for each in frame["deliveries"] if each["status"] == "succeeded"}
            say(client, ack=frame["seq"])
        return seqs, succeeded

    with contextlib.ExitStack() as open_ones, ThreadPoolExecutor(12) as people:
        clients = [open_ones.enter_context(stream(server)) for _ in range(12)]
        heard = [people.submit(follow, client) for client in clients]
        assert server.api("POST", "/events/batch", wanted).status == 202
        told = [one.result(30) for one in heard]
    assert all(seqs == sorted(set(seqs)) for seqs, _ in told)
    assert len({frozenset(succeeded) for _, succeeded in told}) == 1


async def test_those_who_have_come_equally_far_get_one_and_the_same_frame(monkeypatch: pytest.MonkeyPatch):
    looks = []

    async def read(_: object, seq: int) -> streams.Frame:
        looks.append(seq)
        await asyncio.sleep(0)
        return streams.Frame("{}", seq + 1, seq + 1)

    monkeypatch.setattr(streams, "read", read)
    monkeypatch.setattr(streams, "SHARED_S", 0.01)
    frames = streams.Frames()
    first, second, other = await asyncio.gather(frames.after(7), frames.after(7), frames.after(8))
    assert first is second and looks == [7, 8] and other != first
    assert await frames.after(7) is first, "who comes a moment later goes along"
    async with asyncio.timeout(5):
        while frames._reads:
            await asyncio.sleep(0.001)
    assert await frames.after(7) is not first


async def test_a_look_from_before_the_ring_is_no_answer_to_who_heard_it(monkeypatch: pytest.MonkeyPatch):
    looks, go_on = [], asyncio.Event()

    async def read(_: object, seq: int) -> streams.Frame | None:
        looks.append(seq)
        if len(looks) == 1:
            return await go_on.wait() and None
        return streams.Frame("{}", 8, 8)

    monkeypatch.setattr(streams, "read", read)
    frames = streams.Frames()
    early = asyncio.create_task(frames.after(7))
    await asyncio.sleep(0)
    late = asyncio.create_task(frames.after(7))
    await asyncio.sleep(0)
    go_on.set()
    assert await early is None
    assert (await late) == streams.Frame("{}", 8, 8)


@pytest.mark.parametrize("said", [None, "nonsense"])
async def test_a_client_that_leaves_while_its_frame_is_made_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, said: str | None
):
    heard, told = asyncio.Queue[dict[str, Any]](), []
    heard.put_nowait({"type": "websocket.connect"})
    if said:
        heard.put_nowait({"type": "websocket.receive", "text": said})

    async def read(step: Any, *args: int) -> Any:
        return streams.Frame("{}", 1, 1) if args else 0

    async def send(message: dict[str, Any]) -> None:
        told.append(message["type"])
        if message["type"] == "websocket.send":
            raise Disconnected("Attempt to send on a closed protocol")

    monkeypatch.setattr(streams, "read", read)
    monkeypatch.setattr(streams, "_frames", streams.Frames())
    monkeypatch.setattr(streams, "OPENING_S", 0)
    key = (b"authorization", f"Bearer {api_key()}".encode())
    await streams.stream({"query_string": b"", "headers": [key]}, heard.get, send)
    assert told == ["websocket.accept", "websocket.send"]


def test_w04_a_restart_loses_nothing(make_server, receiver: Receiver):
    server = make_server()
    endpoint = server.api("POST", "/webhooks", {"url": receiver.url, "events": ["lead.qualified"]}).json
    with stream(server) as client:
        before = until_succeeded(client, {send_test(server, endpoint)})[-1]["seq"]
        missed = send_test(server, endpoint)
        server.kill()
    server.start()
    with stream(server) as client:
        say(client, since=before)
        until_succeeded(client, {missed})


def test_a_seq_of_another_data_folder_starts_over_and_says_so(make_server, receiver: Receiver):
    server = make_server()
    with stream(server) as client:
        say(client, since=10**12)
        assert hear(client) == {"seq": 0, "deliveries": [], "reset": True}
        say(client, ack=0)
        endpoint = server.api("POST", "/webhooks", {"url": receiver.url, "events": ["lead.qualified"]}).json
        frames = until_succeeded(client, {send_test(server, endpoint)})
    assert all("reset" not in frame for frame in frames)


def test_a_late_beginning_is_still_a_beginning(server: Server, endpoint: dict[str, Any]):
    since = now(server)
    early = send_test(server, endpoint)
    with stream(server) as client:
        send_test(server, endpoint)
        from_now = hear(client)
        say(client, since=since)
        say(client, ack=from_now["seq"])  # of a frame that this beginning has made void
        assert hear(client)["deliveries"][0]["id"] == early


# --- who may listen


def rejected(server: Server, path: str = "/ws/v1/stream", **headers: str) -> int:
    with pytest.raises(InvalidStatus) as refused:
        server.socket(path, additional_headers=headers).close()
    return refused.value.response.status_code


def test_it_wants_the_key_in_its_header(server: Server):
    key = server.key
    assert rejected(server) == 403
    assert rejected(server, Authorization="Bearer wrong") == 403
    assert rejected(server, Authorization=f"bearer {key}") == 403
    assert rejected(server, Authorization=f"Bearer {key}x") == 403
    assert rejected(server, Authorization=key) == 403


@pytest.mark.parametrize("name", ["key", "api_key", "token", "access_token", "Authorization", "x"])
def test_a_key_in_the_address_is_refused_even_with_the_right_header(server: Server, name: str):
    path = f"/ws/v1/stream?{name}={server.key}"
    assert rejected(server, path) == 403
    assert rejected(server, path, Authorization=f"Bearer {server.key}") == 403


def test_its_own_pages_may_listen_and_others_may_not(server: Server):
    key = {"Authorization": f"Bearer {server.key}"}
    server.socket("/ws/v1/stream", additional_headers={**key, "Origin": server.url}).close()
    assert rejected(server, Origin="http://localhost:3000", **key) == 403


# --- who breaks the rules


def closed_with(client: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            client.recv(timeout=FAST)
    return closed.value.rcvd.code


@pytest.mark.parametrize(
    "frame",
    ["", "hello", "[]", "{}", "1", '{"since": -1}', '{"since": "5"}', '{"since": true}', '{"since": 1.5}']
    + [
        '{"since": 9223372036854775808}',
        '{"ack": null}',
        '{"ack": 1, "since": 1}',
        '{"subscribe": 1}',
        "[" * 9000,
    ]
    + [b"\x00\x01", '{"since": NaN}', '{"since": ' + "9" * 5000 + "}"],
)
def test_w05_a_malformed_frame_ends_the_stream_with_1008(server: Server, frame: str | bytes):
    with stream(server) as client:
        client.send(frame)
        assert json.loads(client.recv(timeout=FAST))["error"]["code"] == "POLICY_VIOLATION"
        assert closed_with(client) == 1008


@pytest.mark.parametrize("ahead", [1, 10**9])
def test_an_ack_of_what_was_never_sent_ends_the_stream_and_says_so(
    server: Server, endpoint: dict[str, Any], ahead: int
):
    """Else a client that counts wrongly would wait for ever for its next frame."""
    with stream(server) as client:
        say(client, ack=now(server) + ahead)
        assert "waits for an ack" in json.loads(client.recv(timeout=FAST))["error"]["message"]
        assert closed_with(client) == 1008


@pytest.mark.parametrize("beside", [-1, 1])
def test_so_does_an_ack_beside_the_frame_that_waits(server: Server, endpoint: dict[str, Any], beside: int):
    """A delivery inside it has another seq than the frame."""
    for _ in range(2):
        send_test(server, endpoint)
    with stream(server) as client:
        say(client, since=0)
        frame = hear(client)
        assert len(frame["deliveries"]) > 1
        say(client, ack=frame["seq"] + beside)
        assert "waits for an ack" in json.loads(client.recv(timeout=FAST))["error"]["message"]


def test_a_frame_is_followed_by_a_rest_only_while_things_change():
    talk = streams.Talk(0, Mock(), Mock())
    begins, goes_on, is_near = (
        streams.Frame("", seq, newest) for seq, newest in ((50, 900), (100, 950), (940, 990))
    )
    assert talk._rest(begins) == talk._rest(goes_on) == streams.HURRIED_REST_S
    assert talk._rest(is_near) >= streams.REST_S
    assert talk._rest(streams.Frame("", 990, 990)) == 0


def test_w05_a_second_beginning_ends_the_stream(server: Server):
    with stream(server) as client:
        say(client, since=now(server))
        say(client, since=0)
        assert closed_with(client) == 1008


def test_w05_a_frame_beyond_16_kib_ends_the_stream_with_1009(server: Server):
    with stream(server) as client:
        client.send("x" * (16 * 1024 + 1))
        assert closed_with(client) == 1009


@pytest.mark.alone
def test_w05_a_flood_ends_the_stream_and_keeps_nobody_waiting(server: Server):
    with stream(server) as client:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(10_000):
                say(client, ack=1)
        began = time.monotonic()
        assert server.get("/healthz").status == 200
        assert time.monotonic() - began < 0.5
        assert closed_with(client) == 1008
