"""Lists with several filters: right whatever has ended how, and without reading what does not match."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from django.db import connection

from simulator import ids, search
from simulator.models import Batch, Delivery, Endpoint, Event
from simulator.models.delivery import HELD
from simulator.search import Filters

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)
TYPES = ("lead.qualified", "message.received")
STATES = [  # status, last_status_code, last_error, attempts, when it is due
    ("succeeded", 200, None, 1, None),
    ("succeeded", 204, None, 3, None),
    ("failed", 500, "status", 6, None),
    ("failed", 503, "status", 6, None),
    ("failed", 200, "body_truncated", 6, None),
    ("failed", None, "refused", 6, None),
    ("cancelled", None, None, 0, None),
    ("cancelled", 503, "status", 1, None),
    ("pending", 503, "status", 1, NOW),
    ("pending", None, None, 0, NOW),
    ("pending", 500, "status", 2, HELD),
    ("sending", None, "refused", 2, NOW),
]


@pytest.fixture
def endpoints() -> list[Endpoint]:
    return [Endpoint.register(url=f"http://localhost:{port}/", events=["*"]) for port in (3000, 3001, 3002)]


@pytest.fixture
def make(endpoints: list[Endpoint]) -> Callable[..., list[Delivery]]:
    """`count` deliveries in each of these states, of each of these types, to each of these endpoints, mixed."""
    events = {type: Event.objects.create(type=type, body=b"{}") for type in TYPES}

    def make(
        states: list[tuple[str, int | None, str | None, int, datetime | None]],
        types: tuple[str, ...],
        to: list[Endpoint],
        count: int,
    ) -> list[Delivery]:
        rows = product(range(count), states, types, to)
        made = [
            Delivery(
                seq=ids.new(),
                event=events[type],
                endpoint=endpoint,
                type=type,
                status=status,
                last_status_code=code,
                last_error=error,
                attempt_count=attempts,
                due_at=due_at,
                created_at=NOW,
                trigger="api",
            )
            for _, (status, code, error, attempts, due_at), type, endpoint in rows
        ]
        return Delivery.objects.bulk_create(made)

    return make


CODES = (None, "200", "503", "404", "5xx", "2xx", "status", "refused", "timeout")


@pytest.mark.parametrize(
    "status", [None, "pending", "retrying", "sending", "succeeded", "failed", "cancelled"]
)
def test_the_newest_are_those_that_match_every_filter(
    make: Callable[..., list[Delivery]], endpoints: list[Endpoint], status: str | None
) -> None:
    made = make(STATES, TYPES, endpoints[:2], 2)
    middle = made[len(made) // 2].pk
    ever = {"since": NOW - timedelta(seconds=50), "until": NOW + timedelta(seconds=50)}
    for type, endpoint, code in product((None, *TYPES), (None, *endpoints), CODES):
        to = endpoint and endpoint.pk
        filters = Filters(status=status, type=type, endpoint=to, code=code)
        every = [each.pk for each in search.matching(filters).order_by("-pk")]
        for cursor, most in ((None, 100), (None, 3), (middle, 3)):
            wanted = [pk for pk in every if cursor is None or pk < cursor][:most]
            found = search.newest(search.matching(filters), filters, cursor, most)
            assert [each.pk for each in found] == wanted, (filters, cursor, most)
        past = Filters(status, type, to, code, until=NOW - timedelta(seconds=1))
        assert search.newest(search.matching(past), past, None, 5) == []
        timed = Filters(status, type, to, code, **ever)
        assert len(search.newest(search.matching(timed), timed, None, 100)) == len(every)


MANY = 2000
HEALTHY, BROKEN = ("succeeded", 200, None, 1, None), ("failed", 500, "status", 6, None)


EMPTY = [  # filters that match nothing, most of them many each but nothing together, and the endpoint
    ({"code": "404"}, None),
    ({"code": "4xx"}, None),
    ({"code": "refused"}, None),
    ({"status": "succeeded"}, 1),
    ({"status": "failed"}, 0),
    ({"code": "200"}, 1),
    ({"code": "5xx"}, 0),
    ({"code": "status"}, 0),
    ({"type": TYPES[1]}, 0),
    ({"status": "pending"}, 0),
    ({"status": "retrying"}, 1),
    ({"status": "failed", "code": "200"}, None),
    ({"status": "failed", "type": TYPES[0]}, None),
    ({"type": TYPES[1], "code": "200"}, None),
]


@pytest.fixture
def looks(db: None) -> Iterator[list[None]]:
    """One entry for each hundred steps of SQLite's machine."""
    looks: list[None] = []
    connection.connection.set_progress_handler(lambda: looks.append(None), 100)
    yield looks
    connection.connection.set_progress_handler(None, 0)


def test_what_matches_only_one_of_the_filters_is_not_read(
    make: Callable[..., list[Delivery]], endpoints: list[Endpoint], looks: list[None]
) -> None:
    make([HEALTHY], TYPES[:1], endpoints[:1], MANY)
    make([BROKEN], TYPES[1:], endpoints[1:2], MANY)
    for (filters, endpoint), text in product(EMPTY, (None, "words that nothing contains")):
        asked = Filters(**filters, endpoint=None if endpoint is None else endpoints[endpoint].pk, q=text)
        looks.clear()
        assert search.newest(search.matching(asked), asked, None, 50) == []
        assert len(looks) < MANY / 100, asked  # less than a step per row


def test_a_text_that_all_of_an_endpoint_or_a_type_contain_reads_the_newest_alone(
    make: Callable[..., list[Delivery]],
    endpoints: list[Endpoint],
    looks: list[None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "NEWEST", 30)  # they are looked at in any case
    monkeypatch.setattr(search, "FEW", 30)
    healthy = make([HEALTHY], TYPES[:1], endpoints[:1], MANY)
    broken = make([BROKEN], TYPES[1:], endpoints[1:2], MANY)
    Delivery.objects.update(indexed=True)
    also = [Filters(type=type) for type in TYPES]
    for filters, newest in (({}, broken), ({"status": "failed"}, broken), ({"status": "succeeded"}, healthy)):
        asked = Filters(**filters, q="localhost")
        looks.clear()
        found = search.newest(search.matching(asked), asked, None, 20, also)
        assert [each.pk for each in found] == [each.pk for each in newest[: -20 - 1 : -1]]
        assert len(looks) < MANY / 10, asked


def test_the_progress_of_a_batch_reads_nothing_but_what_waits_or_was_cancelled(
    make: Callable[..., list[Delivery]], endpoints: list[Endpoint], looks: list[None]
) -> None:
    batch = Batch.start(TYPES[0], 3, [endpoints[0].pk])
    make([HEALTHY, BROKEN], TYPES[:1], endpoints[:1], MANY // 2)
    never_tried = [state for state in STATES if state[0] == "cancelled" and not state[3]]
    cancelled = make(never_tried, TYPES[:1], endpoints[:1], 2)
    Event.objects.filter(deliveries__in=cancelled[:1]).update(batch=batch)
    Batch.objects.update(made=3)
    looks.clear()
    assert Batch.objects.get().sent == 2
    assert len(looks) < MANY / 100
