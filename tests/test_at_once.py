"""Two callers at the same moment: each decides by what is stored, not by what it read before the other came."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.utils import timezone

from simulator import sending
from simulator.models import Delivery, Endpoint
from simulator.models.delivery import NotNow

from .receiving import Receiver
from .serving import Server
from .waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint.register(url="http://localhost:1/", events=["*"])


def another(endpoint: Endpoint) -> Endpoint:
    """The same row, read by another thread."""
    return Endpoint.objects.get(pk=endpoint.pk)


def sent(endpoint: Endpoint) -> Delivery:
    return sending.send_test(endpoint.pk, sending.Content("lead.qualified"))


def test_each_change_is_a_revision_of_its_own(endpoint: Endpoint) -> None:
    one, two, three = (another(endpoint) for _ in range(3))
    one.change(description="one")
    two.rotate_secret(overlap_seconds=0)
    three.change(timeout=1)
    assert [each.revision for each in (one, two, three, another(endpoint))] == [2, 3, 4, 4]


def test_who_enables_what_was_paused_meanwhile_lets_go_what_it_holds(endpoint: Endpoint) -> None:
    delivery, stale = sent(endpoint), another(endpoint)
    endpoint.pause()
    stale.change(status="enabled")
    delivery.refresh_from_db()
    assert not delivery.held and another(endpoint).status == "enabled"


def test_who_pauses_what_was_enabled_meanwhile_holds_what_waits(endpoint: Endpoint) -> None:
    endpoint.pause()
    stale = another(endpoint)
    endpoint.resume()
    delivery = sent(endpoint)
    stale.change(status="paused")
    delivery.refresh_from_db()
    assert delivery.held


@pytest.mark.parametrize(
    "step",
    [
        lambda endpoint: endpoint.change(status="enabled"),
        lambda endpoint: endpoint.pause(),
        lambda endpoint: endpoint.resume(),
        lambda endpoint: endpoint.rotate_secret(),
        lambda endpoint: endpoint.remove(),
    ],
)
def test_what_was_deleted_meanwhile_is_not_there_any_more(
    endpoint: Endpoint, step: Callable[[Endpoint], object]
) -> None:
    stale = another(endpoint)
    endpoint.remove()
    with pytest.raises(Endpoint.DoesNotExist):
        step(stale)
    assert another(endpoint).revision == endpoint.revision


def test_nothing_is_sent_again_to_an_endpoint_that_was_deleted_meanwhile(endpoint: Endpoint) -> None:
    stale = Delivery.objects.select_related("event", "endpoint").get(pk=sent(endpoint).pk)
    endpoint.remove()
    with pytest.raises(NotNow, match="deleted"):
        stale.resend()
    assert Delivery.objects.count() == 1


def test_nobody_is_advised_to_resend_to_an_endpoint_that_was_deleted(endpoint: Endpoint) -> None:
    delivery = sent(endpoint)
    endpoint.remove()
    Delivery.objects.filter(pk=delivery.pk).update(status="succeeded", due_at=None)
    with pytest.raises(NotNow, match="deleted"):
        delivery.retry()


def test_a_type_that_was_deleted_between_its_check_and_its_sample_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "check_type", lambda type: None)
    with pytest.raises(sending.BadInput, match="no event type 'lead.lost'"):
        sending.send_batch("lead.lost", 5)
    with pytest.raises(sending.BadInput, match="no event type 'lead.lost'"):
        sending.send(sending.Content("lead.lost"))


# --- from outside


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each of these calls returned that were made at the same moment."""
    start = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        start.wait(5)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def patching(server: Server, endpoint: str, **fields: object) -> Callable[[], int]:
    return lambda: server.api("PATCH", f"/webhooks/{endpoint}", json=fields).status


def test_pause_and_resume_at_once_leave_nothing_held_on_an_enabled_endpoint(
    server: Server, receiver: Receiver
) -> None:
    receiver.answer(500)
    settings = {"url": receiver.url, "events": ["*"], "retry": {"delays": [30] * 50}}
    endpoint = server.api("POST", "/webhooks", json=settings).json["id"]
    delivery = server.api("POST", f"/webhooks/{endpoint}/test", json={}).json["id"]

    def state() -> Any:
        return server.api("GET", f"/deliveries/{delivery}").json

    wait_until(lambda: state()["status"] == "pending" and state()["attempt_count"], 5, "its failure")
    for _ in range(10):
        for answered in at_once(
            *[patching(server, endpoint, status="paused"), patching(server, endpoint, status="enabled")] * 2
        ):
            assert answered == 200
        waiting = wait_until(lambda: (now := state())["status"] == "pending" and now, 5, "its next failure")
        held = waiting["next_attempt_at"] is None
        assert held == (server.api("GET", f"/webhooks/{endpoint}").json["status"] == "paused")


def test_what_is_changed_at_once_is_what_is_sent_from_then_on(server: Server, receiver: Receiver) -> None:
    endpoint = server.api("POST", "/webhooks", json={"url": receiver.url, "events": ["*"]}).json["id"]
    for number in range(10):
        changes = {"a": f"{number}", "b": f"{number}"}
        at_once(
            patching(server, endpoint, url=f"{receiver.url}?{number}"),
            lambda: server.api("POST", f"/webhooks/{endpoint}/test", json={}).status,
            patching(server, endpoint, headers=changes),
            lambda: server.api("POST", f"/webhooks/{endpoint}/test", json={}).status,
            lambda: (
                server.api("POST", f"/webhooks/{endpoint}/rotate-secret", json={"overlap_seconds": 0}).status
            ),
        )
        delivery = server.api("POST", f"/webhooks/{endpoint}/test", json={}).json["id"]
        found = wait_until(
            lambda delivery=delivery: next(
                (one for one in receiver.requests if one.headers["x-ultrareach-delivery-id"] == delivery),
                None,
            ),
            5,
            "the last one",
        )
        secret = server.api("GET", f"/webhooks/{endpoint}/secret").json["secret"]
        assert (found.target.partition("?")[2], found.headers["a"]) == (f"{number}", f"{number}")
        answer = server.api(
            "POST",
            "/signatures/verify",
            json={
                "payload": found.body.decode(),
                "signature": found.headers["x-ultrareach-signature"],
                "timestamp": found.headers["x-ultrareach-timestamp"],
                "secret": secret,
            },
        ).json
        assert answer["valid"], answer


def test_a_batch_is_stopped_once(server: Server, receiver: Receiver) -> None:
    receiver.delay = 0.05
    endpoint = server.api("POST", "/webhooks", json={"url": receiver.url, "events": ["*"]}).json["id"]
    wanted = {"type": "lead.qualified", "count": 5000, "endpoints": [endpoint]}
    batch = server.api("POST", "/events/batch", json=wanted).json["batch_id"]
    stops = at_once(*[lambda: server.api("POST", f"/events/batch/{batch}/stop").status] * 4)
    assert sorted(stops) == [200, 409, 409, 409]


def test_the_secrets_of_an_overlap_are_two_at_most_however_many_rotate(endpoint: Endpoint) -> None:
    for stale in [another(endpoint) for _ in range(3)]:
        stale.rotate_secret(overlap_seconds=60)
    assert len(another(endpoint).valid_secrets()) == 2
    assert len(another(endpoint).valid_secrets(timezone.now() + timedelta(seconds=61))) == 1
