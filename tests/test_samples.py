"""Samples: varied, repeatable, believable, and cheap enough for batches of 100,000."""

import json
import time
from random import Random

import pytest

from simulator.samples import MAKERS


@pytest.mark.parametrize("name", MAKERS)
def test_samples_are_all_different(name: str) -> None:
    rng = Random()
    assert len({json.dumps(MAKERS[name](rng)) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("name", MAKERS)
def test_the_same_seed_gives_the_same_samples(name: str) -> None:
    assert MAKERS[name](Random(5)) == MAKERS[name](Random(5))


@pytest.mark.parametrize("name", MAKERS)
def test_a_sample_costs_at_most_30_microseconds(name: str) -> None:
    make, rng = MAKERS[name], Random(1)
    make(rng)
    rounds = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(200):
            make(rng)
        rounds.append((time.perf_counter() - began) / 200)
    assert min(rounds) < 30e-6


def test_every_type_names_the_lead_it_is_about() -> None:
    for make in MAKERS.values():
        assert make(Random(1))["lead_id"].startswith("lead_")


def test_a_message_carries_the_contact_of_its_channel() -> None:
    rng = Random(1)
    for _ in range(200):
        message = MAKERS["message.received"](rng)
        by = {"email": "email", "web_chat": "email", "sms": "phone", "whatsapp": "phone", "facebook": None}
        sender, contact = message["sender"], by[message["channel"]]
        assert [key for key in ("email", "phone") if sender[key]] == ([contact] if contact else [])


def test_nobody_real_is_written_to_or_called() -> None:
    rng = Random(1)
    for _ in range(300):
        sender = MAKERS["message.received"](rng)["sender"]
        assert (sender["email"] or "x@example.com").endswith("@example.com")
        assert (sender["phone"] or "+12015550100")[5:10] == "55501"


def test_some_messages_leave_ascii() -> None:
    rng = Random(1)
    texts = [MAKERS["message.received"](rng)["text"] for _ in range(200)]
    assert 20 < sum(not text.isascii() for text in texts) < 180


def test_a_trend_points_where_its_percentage_does() -> None:
    rng = Random(1)
    for _ in range(200):
        trend = MAKERS["analysis.completed"](rng)["trend"]
        change = trend["change_percent"]
        assert {"rising": change > 1, "falling": change < -1, "stable": 0 <= change < 1}[trend["direction"]]
