"""Full text: what was sent and what came back is found, indexed or not."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from django.core.management import call_command
from django.db import connection

from simulator import registration, search, searchable
from simulator.ids import decode
from simulator.models import Delivery, Endpoint, Event
from simulator.searchable import _UNINDEXED, Place, among, forget
from simulator.transaction import writing

from .engines import accept, ends, in_db
from .receiving import Answer
from .waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _empty_index(transactional_db: None) -> None:
    """The flush between tests empties the models' tables, which the index is none of."""
    with writing(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO simulator_search (simulator_search) VALUES ('delete-all')")


def found(text: str, **others: str) -> set[str]:
    """By a search; whether each is among a few is another question with the same answer."""
    filters = search.Filters(q=text, **others)
    rows = search.matching(filters)
    listed = {each.pk for each in search.newest(rows, filters, None, 100)}
    few = Delivery.objects.values_list("pk", flat=True)
    assert {each.pk for each in rows.filter(search.among(text, few))} == listed
    return listed


@pytest.fixture(autouse=True, params=["few", "many"])
def _few_or_many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the deliveries are looked at or the places where the text may be."""
    monkeypatch.setattr(search, "FEW", {"few": 1000, "many": 0}[request.param])


def indexed() -> int:
    return Delivery.objects.filter(indexed=True).count()


async def test_bodies_and_headers_of_request_and_response_are_found_once_indexed(engine, endpoint, receiver):
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


async def test_one_or_two_letters_of_any_alphabet_are_found_once_indexed(
    engine, endpoint, receiver, monkeypatch
):
    """The index spells some letters as others: as they are folded, not as Python makes them small."""
    monkeypatch.setattr(search, "NEWEST", 0)  # those are looked at one by one, whatever the index says
    receiver.answer(Answer(200, b"", ()))
    delivery = await in_db(lambda: accept(endpoint, "δρόμος, 5 µs, İzmir, ſo, GROẞ, ÅSE".encode()))
    await engine.drain()
    await in_db(lambda: wait_until(lambda: indexed() == 1))
    for text in ("ς", "ος", "µ", "µs", "İ", "İz", "ſo", "ẞ", "Oẞ", "Å", "ÅS", "Ås"):
        assert await in_db(lambda text=text: found(text)) == {delivery.pk}, text


async def test_of_the_usual_headers_what_was_sent_is_found_and_nothing_else(engine, endpoint, receiver):
    receiver.answer(Answer(200, b"", ()))
    usual = await in_db(lambda: accept(endpoint))
    own = {"Content-Type": "text/csv", "User-Agent": "zebra-agent/7"}
    bare = {"extras": False, "signature": {"preset": "github"}, "headers": own}
    other = await in_db(
        lambda: accept(Endpoint.register(url=receiver.url, events=["*"], **registration.checked(bare)))
    )
    await engine.drain()
    await in_db(lambda: Endpoint.objects.get(pk=endpoint.pk).change(url="http://elsewhere.test/hook"))
    for _ in range(2):  # not indexed, and indexed
        for text in (
            *("x-ultrareach-delivery-id", "x-ultrareach-signature: v1=", "user-agent: ultrareach"),
            *("content-type: application/json", f"x-ultrareach-delivery-id: {usual.pk}", usual.pk),
            *(
                f"X-UltraReach-Event: {usual.type}",
                usual.event.pk,
                f"x-ultrareach-event-id: {usual.event.pk}",
            ),
            *(
                f"{name}: {receiver.requests[0].headers[name]}"
                for name in ("x-ultrareach-signature", "x-ultrareach-timestamp")
            ),
        ):
            assert await in_db(lambda text=text: found(text)) == {usual.pk}, text
        for text in ("text/csv", "zebra-agent", "user-agent: zebra", "X-Hub-Signature-256: sha256="):
            assert await in_db(lambda text=text: found(text)) == {other.pk}, text
        for text in (f"Host: 127.0.0.1:{receiver.port}", "content-length:"):
            assert await in_db(lambda text=text: found(text)) == {usual.pk, other.pk}, text
        for text in ("x-ultrareach-event: no.such", "host: elsewhere.test", "identity\nx-ultrareach"):
            assert await in_db(lambda text=text: found(text)) == set(), text
        await in_db(lambda: wait_until(lambda: indexed() == 2))


def test_looking_for_what_to_index_reads_nothing_that_still_waits(endpoint):
    accept(endpoint)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {_UNINDEXED}", [10, 10])
        assert "SCAN simulator_delivery USING INDEX to_index" in [step[-1] for step in cursor.fetchall()]
        cursor.execute(
            "SELECT count(*) FROM simulator_delivery INDEXED BY to_index WHERE NOT indexed AND due_at IS NULL"
        )
        assert cursor.fetchone() == (0,)


def test_the_index_is_tidied_up_in_small_steps_as_it_grows(endpoint, monkeypatch):
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


def test_much_text_is_indexed_by_itself_and_only_when_that_is_asked_for(endpoint, monkeypatch):
    monkeypatch.setattr(searchable, "GROUP_BYTES", 100)
    bodies = [b"a" * 40, b"b" * 40, b"c" * 300, b"d" * 40, b"e" * 90]
    made = [accept(endpoint, body).pk for body in bodies]
    Delivery.objects.update(status="succeeded", due_at=None)
    left = []
    for large in (False, False, False, False, True, True):
        before = indexed()
        assert searchable.index_some(large=large) is (indexed() > before)
        left.append(len(made) - indexed())
    assert left == [3, 2, 1, 1, 0, 0]
    assert found("ccc") == {made[2]}


def test_of_endless_text_the_first_half_million_characters_are_searched(endpoint):
    body = b"within" + b"." * (512 * 1024 - 12) + b"at end" + b"behind"
    delivery = accept(endpoint, body)
    Delivery.objects.update(status="succeeded", due_at=None)
    for _ in range(2):
        assert found("within") == found("at end") == {delivery.pk}
        assert found("behind") == set()
        searchable.index_some()
    assert indexed() == 1


def test_what_is_indexed_in_the_middle_of_a_search_is_found(endpoint, monkeypatch):
    delivery = accept(endpoint, b'{"name":"Moving"}')
    Delivery.objects.filter(pk=delivery.pk).update(status="succeeded", due_at=None)
    newest = Place.newest

    def then_it_is_indexed(*asked):
        found = newest(*asked)
        searchable.index_some()
        return found

    monkeypatch.setattr(Place, "newest", then_it_is_indexed)
    [shown] = search.newest(Delivery.objects.all(), search.Filters(q="moving"), None, 10)
    assert shown.pk == delivery.pk and indexed() == 1


@pytest.mark.parametrize("state", ["waiting", "ended", "indexed"])
def test_any_part_of_a_text_is_found_whatever_it_is_made_of_and_indexed_or_not(endpoint, state):
    texts = [
        "Fresh",
        'a "quoted" word',
        "back\\slash",
        "tab\there",
        "100 % of _it!",
        "Z\u00fcrich",
        "a: b",
        "x/y-z.1",
        "{}[]",
        "  ",
        "7",
    ]
    made = {text: accept(endpoint, f"<{text}>".encode()) for text in texts}
    for delivery in made.values():
        delivery.attempts.create(
            number=1,
            started_at=delivery.created_at,
            url=endpoint.url,
            request_headers=[["x-sent", f"({delivery.pk}) {{}}"]],
            response_headers=[["X-Back", f'"{delivery.pk}"; \u00fc'], ["x-b", "["]],
            response_body=b"\xff\x00after",
        )
    if state != "waiting":
        Delivery.objects.update(status="succeeded", due_at=None)
    if state == "indexed":
        assert searchable.index_some() and indexed() == len(texts)
    for text, delivery in made.items():
        for part in (
            f"<{text}>",
            f"<{text}>".swapcase() if text.isascii() else text,
            f"{text}>",
            f"<{text[:3]}",
        ):
            assert found(part) == {delivery.pk}, part
        for part in (f"x-sent: ({delivery.pk}) {{}}", f'X-Back: "{delivery.pk}"; \u00fc', f'{delivery.pk}"'):
            assert found(part) == {delivery.pk}, part
    assert found("x-sent") == found("-b: [") == found("[") == {delivery.pk for delivery in made.values()}
    assert found("<Fr%h>") == found("Fre_h") == found("sent;") == set()


def test_a_frequent_text_beside_a_rare_filter_is_found_behind_the_first_look(endpoint, monkeypatch):
    made = [accept(endpoint, b'{"name":"No %d"}' % number).pk for number in range(9)]
    old, waiting = made[0], made[1]
    Delivery.objects.exclude(pk__in=made[5:]).exclude(pk=waiting).update(status="succeeded", due_at=None)
    assert searchable.index_some()
    Delivery.objects.filter(pk=made[2]).update(indexed=False)
    Delivery.objects.filter(pk=old).update(status="failed")
    Delivery.objects.filter(pk=waiting).update(status="sending")
    places = searchable.places
    monkeypatch.setattr(
        searchable, "places", lambda *a, **k: [replace(each, first=2) for each in places(*a, **k)]
    )
    for rows in (lambda: search.matching(search.Filters()), lambda: search.matching(search.Filters()).rows()):
        assert len(search.newest(rows(), search.Filters(q='"No '), None, 100)) == 9
    assert found('"No ', status="failed") == {old}
    assert found('"No ', status="sending") == {waiting}
    filters = search.Filters(q="name")
    rows = search.matching(filters)
    one_by_one, cursor = [], None
    while page := search.newest(rows, filters, cursor, 2):
        one_by_one += [each.pk for each in page]
        cursor = one_by_one[-1]
    assert one_by_one == made[::-1]


def test_what_waits_is_searched_newest_first_and_by_its_index_alone(endpoint):
    [waiting, fresh, _] = searchable.places("name")
    for place, index in ((waiting, "unfinished"), (fresh, "to_index")):
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {place.ids}", [*place.parameters, 0, 200])
            steps = [step[-1] for step in cursor.fetchall()]
        assert steps[0] == f"SEARCH simulator_delivery USING INDEX {index} (id>? AND id<?)"
        assert not any("TEMP B-TREE" in step for step in steps)


@pytest.mark.parametrize("state", ["waiting", "ended", "indexed"])
def test_one_or_two_characters_are_found_wherever_they_stand(endpoint, state, monkeypatch):
    monkeypatch.setattr(search, "NEWEST", max(1, search.FEW))
    made = {text: accept(endpoint, f"<{text}>".encode()) for text in ("Zq", '"', "\u00dc", "ends", "0")}
    for text, delivery in made.items():
        body = b"j~" if text == "ends" else b"-"
        delivery.attempts.create(
            number=1, started_at=delivery.created_at, url=endpoint.url, request_headers=[], response_body=body
        )
    if state != "waiting":
        Delivery.objects.update(status="succeeded", due_at=None)
    if state == "indexed":
        assert searchable.index_some() and indexed() == len(made)
    sought = {
        "zQ": "Zq",
        "q": "Zq",
        "q>": "Zq",
        '<"': '"',
        '"': '"',
        "\u00dc": "\u00dc",
        "J~": "ends",
        "~": "ends",
    }
    for part, text in sought.items():
        assert found(part) == {made[text].pk}, part
    assert found("<") == found("-") | found("j~") == {delivery.pk for delivery in made.values()}
    assert found("%") == found("_") == found("zz") == found("~>") == set()


def test_a_rare_pair_of_characters_is_found_without_a_look_at_every_delivery(endpoint, monkeypatch):
    monkeypatch.setattr(search, "FEW", 0)
    monkeypatch.setattr(search, "NEWEST", 2)
    made = [accept(endpoint, body).pk for body in (b"<zq>", b"<zz>", b"<qq>", b"<qz>")]
    Delivery.objects.update(status="succeeded", due_at=None)
    assert searchable.index_some()
    Event.objects.update(body=b"gone, so that whoever looks at it does not find it")
    rows, filters = Delivery.objects.all(), search.Filters(q="zq")
    assert [each.pk for each in search.newest(rows, filters, None, 10)] == made[:1]
    assert search.newest(rows, filters, made[0], 10) == []
    assert [each.pk for each in search.newest(rows, search.Filters(q="q"), None, 10)] == [
        made[n] for n in (3, 2, 0)
    ]


def test_a_text_with_nul_in_it_does_not_break_the_search_for_one_character(endpoint, monkeypatch):
    monkeypatch.setattr(search, "FEW", 0)
    monkeypatch.setattr(search, "NEWEST", 1)
    made = [accept(endpoint, body).pk for body in (b"<q\0z>", b"<qy\0>", b"<\xffq\xfe\xfd>", b"<q>", b"<>")]
    Delivery.objects.update(status="succeeded", due_at=None)
    assert searchable.index_some()
    found = search.newest(Delivery.objects.all(), search.Filters(q="q"), None, 10)
    assert {each.pk for each in found} >= {made[2], made[3]}


@pytest.mark.parametrize("state", ["waiting", "ended", "indexed"])
def test_what_stands_behind_a_nul_is_found_in_bodies_and_in_later_answers(endpoint, state):
    delivery = accept(endpoint, b"sent\0<rest \\u0000 of it>")
    for number, body in enumerate((b"\x1f\x8b\0\xff\0<binary>", b"<second>"), start=1):
        delivery.attempts.create(
            number=number,
            started_at=delivery.created_at,
            url=endpoint.url,
            request_headers=[],
            response_headers=[["x-number", f"<{number}>"]],
            response_body=body,
        )
    if state != "waiting":
        Delivery.objects.update(status="succeeded", due_at=None)
    if state == "indexed":
        assert searchable.index_some()
    for part in ("sent\ufffd<", "<rest \\u0000 of it>", "<binary>", "x-number: <2>", "<second>"):
        assert found(part) == {delivery.pk}, part
    assert found("binary>x") == set()
    assert words_without(delivery) == 0


def test_a_binary_answer_that_does_not_contain_the_text_costs_no_look_at_the_view(endpoint, monkeypatch):
    """Whose JSON takes 7 ms for 256 KiB: behind a thousand answers of pictures each search would take as many seconds."""
    delivery = accept(endpoint, b"\0Here~~it~is")
    monkeypatch.setattr(searchable, "_LIKED", searchable._LIKED.rpartition("AND EXISTS")[0] + "AND %s <> '')")
    few = [delivery.pk]
    texts = ("here~~", "it~is", "\ufffdHERE", "here~not", "where", "absent")
    looked_at = [bool(Delivery.objects.filter(among(text, few).all)) for text in texts]
    assert looked_at == [True, True, True, True, False, False]


@pytest.fixture
def before_nul() -> Iterator[None]:
    """The tables as they were when nothing behind a NUL was searched."""
    call_command("migrate", "simulator", "0005", verbosity=0)
    yield
    call_command("migrate", verbosity=0)


def test_of_a_long_history_only_what_has_a_nul_is_indexed_anew(before_nul, endpoint):
    """Until all of a million were indexed again, a search that finds nothing would take a minute."""
    sent, answered, plain = (accept(endpoint, body) for body in (b"sent\0<rest>", b"{}", b"plain"))
    for delivery, body in ((answered, b"came\0<end>"), (plain, b"nothing of it")):
        delivery.attempts.create(
            number=1,
            started_at=delivery.created_at,
            url=endpoint.url,
            request_headers=[],
            response_headers=[],
            response_body=body,
        )
    Delivery.objects.update(status="succeeded", due_at=None)
    assert searchable.index_some()
    call_command("migrate", verbosity=0)
    assert [each.pk for each in Delivery.objects.filter(indexed=True)] == [plain.pk]
    assert searchable.index_some()
    places = {"<rest>": {sent.pk}, "<end>": {answered.pk}, "plain": {plain.pk}}
    assert {part: found(part) for part in places} == places
    with writing():
        for delivery in (sent, answered):
            forget(decode("dlv", delivery.pk) or 0)
    assert words_without(plain) == 0


async def test_a_delivery_tried_again_is_found_by_its_new_answer_and_not_twice(engine, endpoint, receiver):
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
