"""Whatever receivers send, what it costs the loop comes in small pieces, and all together in a share."""

import asyncio
import gc
import ssl
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import trustme

from simulator.connection import BODY_PIECE, Connection
from simulator.reader import BODY_CAP, Reader
from simulator.tls import Records
from simulator.turns import FREE_S, Turns
from simulator.wire import Transport

from .faults.ending import ends
from .faults.receiver import FaultReceiver, listening
from .waiting import until

CHUNKS = f"/tiny-chunks?thousands={BODY_CAP // 1000 + 2}"
INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n"


@pytest.fixture(scope="module")
def context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(made)
    return made


@pytest.fixture(params=["http", "https"])
async def receiver(request: pytest.FixtureRequest, context: ssl.SSLContext) -> AsyncIterator[FaultReceiver]:
    async with FaultReceiver(ssl=context if request.param == "https" else None) as receiving:
        yield receiving


def url(receiver: FaultReceiver, path: str) -> str:
    return receiver.url(path, "https" if receiver.ssl else "http")


class Costs:
    """What looking at answers took, by round of the loop, and the pieces it came in."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.pieces: list[int] = []
        self.of_round: Counter[int] = Counter()  # in nanoseconds
        self._round = 0
        take = Connection._take

        def timed(connection: Connection, data: memoryview) -> None:
            began = time.thread_time_ns()
            take(connection, data)
            self.of_round[self._round] += time.thread_time_ns() - began
            self.pieces.append(len(data))

        patch.setattr(Connection, "_take", timed)
        self._count()

    def _count(self) -> None:
        self._round += 1
        self._next = asyncio.get_running_loop().call_soon(self._count)

    def stop(self) -> None:
        self._next.cancel()

    @property
    def in_all(self) -> float:
        return self.of_round.total() / 1e9

    @property
    def at_a_stretch(self) -> float:
        return max(self.of_round.values()) / 1e9


@pytest.fixture
async def costs(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Costs]:
    counted = Costs(monkeypatch)
    gc.disable()  # what it takes depends on all that these tests hold
    yield counted
    gc.enable()
    counted.stop()


@pytest.mark.parametrize("path", ["/1xx-flood", "/103-flood", "/many-short", CHUNKS])
async def test_g7_many_dear_answers_at_once_hold_nobody_up_and_share_a_part_of_the_loop(
    receiver: FaultReceiver, transport: Transport, costs: Costs, path: str
) -> None:
    many, timeout = 30, 1.5
    began = time.perf_counter()
    ended = await asyncio.gather(
        *(ends(transport, url(receiver, path), timeout, tls_verify=False) for _ in range(many))
    )
    lasted = time.perf_counter() - began
    assert max(took for _, took in ended) <= timeout + 1
    assert max(costs.pieces) <= BODY_PIECE
    assert costs.at_a_stretch <= 0.05
    assert costs.in_all <= many * (FREE_S + 0.005) + lasted / 20  # the turn in which it goes beyond included


@pytest.mark.parametrize(
    "path", ["/many-headers", f"/cap?bytes={BODY_CAP}", "/103-early", "/tiny-chunks?thousands=4"]
)
async def test_g5_an_honest_large_answer_does_not_stand_behind_those_who_flood(
    receiver: FaultReceiver, transport: Transport, path: str
) -> None:
    floods = [
        asyncio.ensure_future(ends(transport, url(receiver, "/1xx-flood"), 8, tls_verify=False))
        for _ in range(10)
    ]
    await until(lambda: receiver.now_open == 10, 3, "ten floods")
    turns = transport._turns
    await until(lambda: len(turns._waiting) > 5 and min(turns._waiting)[0] > FREE_S, 4, "to be slowed down")
    async with FaultReceiver() as honest:
        took = [(await ends(transport, honest.url(path), 2))[1] for _ in range(3)]
    assert not any(flood.done() for flood in floods)
    assert min(took) <= 0.25
    for flood in floods:
        flood.cancel()
    await asyncio.gather(*floods, return_exceptions=True)


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("body", [b"till the end", b"b" * (BODY_CAP - 1)])
async def test_who_says_goodbye_behind_a_dear_answer_is_heard_to_the_end(
    transport: Transport, context: ssl.SSLContext, secure: bool, body: bytes
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(INTERIM * 3000 + b"HTTP/1.1 200 OK\r\n\r\n" + body)
        await writer.drain()

    async with listening(talk, ssl=context if secure else None) as port:
        address = f"{'https' if secure else 'http'}://127.0.0.1:{port}/"
        outcome, _ = await ends(transport, address, 5, tls_verify=False)
    assert (outcome.error, outcome.status_code, outcome.body == body) == (None, 200, True)


async def test_tls_is_never_given_more_than_it_can_hand_on_at_once(
    context: ssl.SSLContext, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies between the two when the receiver closes is lost: asyncio then asks the connection once more, and ends."""
    given: list[int] = []
    updated = Records.buffer_updated
    monkeypatch.setattr(
        Records, "buffer_updated", lambda self, nbytes: (given.append(nbytes), updated(self, nbytes))
    )
    async with FaultReceiver(ssl=context) as receiving:
        address = receiving.url("/big", "https")
        outcomes = [(await ends(transport, address, 5, tls_verify=False))[0] for _ in range(5)]
    assert {len(outcome.body) for outcome in outcomes} == {BODY_CAP}
    begun_before = 16 * 1024  # of a record
    assert max(given) + begun_before <= len(Connection._buffer)


async def test_a_late_answer_that_is_dear_is_listened_to_no_longer(
    receiver: FaultReceiver, transport: Transport
) -> None:
    outcome, _ = await ends(
        transport, url(receiver, "/1xx-flood"), 0.5, tls_verify=False, on_late=lambda late: None
    )
    assert outcome.error == "no_response"
    await until(lambda: not transport._busy, 3, "its connection to be closed")


async def test_a_machine_that_had_no_time_makes_no_answer_dear(
    faulty: FaultReceiver, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent: list[float] = []
    on_body, end = Reader.on_body, Connection._end

    def stalled(self: Reader, data: bytes) -> None:
        if self.answer.size == 2000:
            threading.Event().wait(0.05)
        on_body(self, data)

    monkeypatch.setattr(Reader, "on_body", stalled)
    monkeypatch.setattr(Connection, "_end", lambda self: (spent.append(self._spent), end(self)))
    outcome, _ = await ends(transport, faulty.url("/tiny-chunks?thousands=5"))
    assert (outcome.error, outcome.status_code) == (None, 200)
    assert 0 < max(spent) < 0.02


async def test_who_has_cost_least_goes_first_and_whoever_fails_ends_nobody_elses_turn() -> None:
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    turns, went = Turns(), []

    def goes(name: str) -> None:
        went.append(name)
        if name == "fails":
            raise ArithmeticError

    for name, spent in (
        ("dear", 1.0),
        ("cheap", 0.001),
        ("fails", 0.0005),
        ("dearer", 2.0),
        ("cheap too", 0.001),
    ):
        turns.wait(spent, lambda name=name: goes(name))
    await until(lambda: len(went) == 5, 2, "five turns")
    assert went == ["fails", "cheap", "cheap too", "dear", "dearer"]
    assert len(told) == 1
