"""Full text: what was sent and what came back is found, indexed or not."""

import sqlite3
from contextlib import closing

import pytest
from django.db import connection

from simulator import search, searchable
from simulator.ids import decode
from simulator.models import Delivery
from simulator.searchable import _UNINDEXED, containing, forget
from simulator.transaction import writing

from .receiving import Answer
from .test_engine import accept, endpoint, ends, engine, in_db  # noqa: F401 - fixtures
from .waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _empty_index(transactional_db: None) -> None:
    """The flush between tests empties the models' tables, which the index is none of."""
    with writing(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO simulator_search (simulator_search) VALUES ('delete-all')")


def found(text: str) -> set[str]:
    return set(Delivery.objects.filter(containing(text)).values_list("pk", flat=True))


def indexed() -> int:
    return Delivery.objects.filter(indexed=True).count()


async def test_bodies_and_headers_of_request_and_response_are_found_once_indexed(engine, endpoint, receiver):  # noqa: F811
    receiver.answer(Answer(200, b'{"note":"Gr\xc3\xbc\xc3\x9fe 100%"}', (("X-Trace", 'abc"def'),)))
    delivery = await in_db(lambda: accept(endpoint, b'{"name":"Zo\xc3\xab"}'))
    other = await in_db(lambda: accept(endpoint, b'{"name":"Max"}'))
    await engine.drain()
    await in_db(lambda: wait_until(lambda: indexed() == 2))
    for text in ("Zoë", '"Zo', "zoë", "oë"):
        assert await in_db(lambda text=text: found(text)) == {delivery.pk}, text
    for text in ("Grüße", "100%", 'abc"d', "x-trace", "ultrareach-webhooks"):
        assert await in_db(lambda text=text: found(text)) == {delivery.pk, other.pk}, text
    signature = receiver.requests[0].headers["x-ultrareach-signature"]
    for text in (signature, signature[10:40], delivery.pk):
        assert await in_db(lambda text=text: found(text)) == {delivery.pk}, text
    for text in (str(receiver.port), "v1=", "application/json"):
        assert await in_db(lambda text=text: found(text)) == {delivery.pk, other.pk}, text
    for text in ("100_", "nowhere", 'x" OR "Max'):
        assert await in_db(lambda text=text: found(text)) == set(), text


def test_looking_for_what_to_index_reads_nothing_that_still_waits(endpoint):  # noqa: F811
    accept(endpoint)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {_UNINDEXED}", [10])
        assert [step[-1] for step in cursor.fetchall()] == ["SCAN simulator_delivery USING INDEX to_index"]
        cursor.execute(
            "SELECT count(*) FROM simulator_delivery INDEXED BY to_index WHERE NOT indexed AND due_at IS NULL"
        )
        assert cursor.fetchone() == (0,)


def test_the_index_is_tidied_up_in_small_steps_as_it_grows(endpoint, monkeypatch):  # noqa: F811
    monkeypatch.setattr(searchable, "GROUP", 1)
    made = [accept(endpoint, b'{"name":"No %d"}' % number).pk for number in range(30)]
    Delivery.objects.filter(pk__in=made).update(status="succeeded", due_at=None)
    for _ in range(30):
        assert searchable.index_some()
    assert indexed() == 30
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT segid) FROM simulator_search_idx")
        assert cursor.fetchone()[0] < 12, "as many pieces as groups make a search slow"
    assert found("No 17") == {made[17]}
    with closing(sqlite3.connect(connection.settings_dict["NAME"])) as other:
        before = other.execute("PRAGMA data_version").fetchone()
        assert not searchable.index_some()
        assert other.execute("PRAGMA data_version").fetchone() == before, (
            "it wrote although nothing was to do"
        )


def test_what_is_indexed_in_the_middle_of_a_search_is_found(endpoint, monkeypatch):  # noqa: F811
    delivery = accept(endpoint, b'{"name":"Moving"}')
    Delivery.objects.filter(pk=delivery.pk).update(status="succeeded", due_at=None)
    hits = searchable.hits

    def then_it_is_indexed(*args, **options):
        found = hits(*args, **options)
        searchable.index_some()
        return found

    monkeypatch.setattr(searchable, "hits", then_it_is_indexed)
    [shown] = search.newest(Delivery.objects.all(), search.Filters(q="moving"), None, 10)
    assert shown.pk == delivery.pk and indexed() == 1


def test_what_is_not_indexed_yet_is_found_too(endpoint):  # noqa: F811
    delivery = accept(endpoint, b'{"name":"Fresh"}')
    assert indexed() == 0
    assert found("fres") == {delivery.pk}


async def test_a_delivery_tried_again_is_found_by_its_new_answer_and_not_twice(engine, endpoint, receiver):  # noqa: F811
    await in_db(lambda: endpoint.change(retry_delays=[]))
    receiver.answer(Answer(500, b"first failure"), Answer(200, b"second answer"))
    delivery = await in_db(lambda: accept(endpoint))
    await ends(delivery, "failed")
    await in_db(lambda: wait_until(lambda: indexed() == 1))
    await in_db(lambda: Delivery.objects.get(pk=delivery.pk).retry())
    assert await in_db(lambda: found("first failure")) == {delivery.pk}
    await ends(delivery, "succeeded")
    await in_db(lambda: wait_until(lambda: indexed() == 1))
    assert await in_db(lambda: found("second answer")) == {delivery.pk}
    assert await in_db(lambda: found("first failure")) == {delivery.pk}
    assert await in_db(words) > 0
    assert await in_db(lambda: words_without(delivery)) == 0, "what was put in was not what was taken out"


def words_without(delivery: Delivery) -> int:
    """At once: the engine, which still runs, indexes it again as soon as it may write."""
    with writing():
        forget(decode("dlv", delivery.pk) or 0)
        return words()


def words() -> int:
    """How many trigrams the index knows, asked of FTS5 itself."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, simulator_search, row)")
        cursor.execute("SELECT count(*) FROM temp.words")
        return cursor.fetchone()[0]
