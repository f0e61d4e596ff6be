"""Reachability, against real sockets."""

from simulator.reach import reach

from .receiving import Receiver


async def test_a_receiver_that_listens_is_reachable_and_gets_no_request(receiver: Receiver) -> None:
    found = await reach(receiver.url, timeout=5)
    assert found["reachable"] is True and found["error"] is None
    assert found["remote_address"] == f"127.0.0.1:{receiver.port}"
    assert set(found["phases"]) == {"dns", "connect", "tls"}
    assert receiver.requests == []


async def test_what_keeps_it_from_being_reached_comes_with_a_hint(receiver: Receiver) -> None:
    receiver.stop()
    refused = await reach(receiver.url, timeout=5)
    assert refused["reachable"] is False
    assert refused["error"]["code"] == "refused" and refused["error"]["phase"] == "connect"
    assert str(receiver.port) in refused["error"]["hint"]
    nowhere = await reach("http://name.invalid/", timeout=5)
    assert nowhere["error"]["code"] == "dns_failed"


async def test_what_may_not_be_sent_to_is_not_dialled_either() -> None:
    assert (await reach("http://169.254.169.254/", timeout=5))["error"]["code"] == "blocked_target"
