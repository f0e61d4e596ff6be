"""Verdicts are sentences about the receiver, and each says what happens next."""

import pytest
from django.test import override_settings

from console import words
from console.templatetags.ui import ms
from simulator.models import Delivery

from .conftest import Make


def verdict(delivery: Delivery) -> str:
    said = words.verdict(delivery, list(delivery.attempts.order_by("number")))
    return f"{said.sentence} {said.next}".strip()


def test_a_success_at_once_needs_no_more_words(attempted: Make) -> None:
    assert verdict(attempted()) == "Your receiver answered 200 after 12 ms."


def test_a_failure_says_how_many_retries_are_left(attempted: Make) -> None:
    delivery = attempted("pending", status_code=500, error="status")
    assert verdict(delivery) == "Your receiver answered 500 after 12 ms. 5 retries left."


def test_the_last_failure_says_that_none_is_left(attempted: Make) -> None:
    delivery = attempted("failed", status_code=500, error="status")
    delivery.failed_count = 6
    assert verdict(delivery) == "Your receiver answered 500 after 12 ms. No retries left after 1 attempt."
    delivery.failed_count = 2
    assert verdict(delivery).endswith("Nothing further is sent.")


def test_an_attempt_to_come_after_all_retries_is_called_the_last(attempted: Make) -> None:
    delivery = attempted("pending", status_code=500, error="status")
    delivery.failed_count = 6
    assert verdict(delivery) == "Your receiver answered 500 after 12 ms. The next attempt is the last one."


def test_a_broken_connection_is_told_by_the_message_of_its_failure(attempted: Make) -> None:
    delivery = attempted(
        "pending", status_code=None, error="refused", error_message="Nothing listens on 127.0.0.1:3000."
    )
    assert verdict(delivery).startswith("Nothing listens on 127.0.0.1:3000.")


def test_held_cancelled_sending_and_waiting_are_told_apart(deliver: Make, attempted: Make) -> None:
    waiting = deliver()
    assert verdict(waiting) == "Waiting for its first attempt."
    waiting.status, waiting.attempt_count = "sending", 1
    assert verdict(waiting).startswith("Attempt 1 is under way")
    waiting.cancelling = True
    assert "you cancelled the retries" in verdict(waiting)
    assert verdict(attempted("cancelled")).startswith("Cancelled after 1 attempt.")
    held = deliver()
    held.endpoint.pause()
    held.refresh_from_db()
    assert verdict(held) == "Held back: the endpoint is paused. It is sent when you resume the endpoint."


def test_what_a_410_holds_back_says_so(attempted: Make) -> None:
    held = attempted("pending", status_code=410, error="status")
    held.endpoint.pause()
    held.refresh_from_db()
    assert verdict(held).startswith("Held back: the endpoint is paused since your receiver answered 410. It")


def test_an_interrupted_attempt_is_never_called_a_failure(attempted: Make) -> None:
    delivery = attempted(
        "pending", status="interrupted", status_code=None, error="interrupted", duration_ms=800
    )
    said = verdict(delivery)
    assert said.startswith("The simulator stopped 0.8 s into this attempt. Your receiver may or may not have")
    assert "fail" not in said and said.endswith("6 retries left.")


def test_a_late_answer_is_told(attempted: Make) -> None:
    failed = {"status_code": None, "error": "no_response", "error_message": "It gave no answer within 1 s."}
    delivery = attempted("pending", **failed, late_status_code=200, late_ms=12400)
    assert verdict(delivery) == (
        "It gave no answer within 1 s. It answered 200 at 12.4 s, after the deadline: answer first and do the work"
        " afterwards, or raise the endpoint's timeout. 5 retries left."
    )
    assert "It answered at 2.5 s" in verdict(attempted("pending", **failed, late_ms=2500))
    assert "deadline" not in verdict(attempted("pending", **failed))


def test_an_answer_took_as_long_as_its_phases_and_the_attempt_is_named_where_it_took_longer(
    attempted: Make,
) -> None:
    phases = {"dns": None, "connect": 0.4, "send": 0.1, "wait": 1.0, "receive": 0.2}
    said = verdict(attempted(duration_ms=9.2, phases=phases))
    assert said == "Your receiver answered 200 after 2 ms; including our own work, the attempt took 9 ms."
    assert verdict(attempted(duration_ms=2.4, phases=phases)) == "Your receiver answered 200 after 2 ms."
    assert verdict(attempted(duration_ms=4.6, phases=phases)) == "Your receiver answered 200 after 5 ms."
    assert verdict(attempted(duration_ms=9.2, phases={})) == "Your receiver answered 200 after 9 ms."


@pytest.mark.parametrize(
    ("code", "reason", "said"),
    [
        (404, None, "404 Not Found"),
        (404, "Gone Fishing", "404 Gone Fishing"),
        (599, None, "599"),
        (None, None, ""),
    ],
)
def test_status_lines(code: int | None, reason: str | None, said: str) -> None:
    assert words.phrase(code, reason) == said


def test_banners_name_troubles_first_and_a_scaled_timetable() -> None:
    assert words.banners([]) == []
    assert words.banners([], ["The clock was set."]) == [("notice", "The clock was set.")]
    with override_settings(SIM_RETRY_SCALE=0.05):
        kinds = [kind for kind, _ in words.banners(["The disk is full."])]
        assert kinds == ["trouble", "scale"]
        assert "0.05" in words.banners([])[0][1]


def test_a_banner_says_a_trouble_as_it_is_named() -> None:
    trouble = "The database file /data/a..b/simulator.sqlite3 was deleted."
    assert words.banners([trouble]) == [("trouble", trouble)]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, ""),
        (0.0, "0 ms"),
        (0.004, "0.004 ms"),
        (0.042, "0.04 ms"),
        (0.31, "0.3 ms"),
        (0.96, "1 ms"),
        (8.4, "8 ms"),
        (999.6, "1 s"),
        (12400, "12.4 s"),
    ],
)
def test_a_phase_of_some_microseconds_is_not_said_to_have_taken_none(value: float | None, words: str) -> None:
    assert ms(value) == words
