"""What an answer says of an attempt: its facts as they came, its phases, and the error of one that is not a 2xx."""

import pytest

from simulator.answer import Answer
from simulator.outcome import HEADERS_KEPT, Outcome, internal_error, record

Pairs = list[tuple[bytes, bytes]]


def answered(status: int | None, reason: bytes = b"", headers: Pairs | None = None) -> Answer:
    """Sent after 1 ms, answered after 4, complete after 6."""
    answer = Answer(10.0)
    answer.status, answer.reason, answer.headers = status, reason, headers or []
    answer.sent_at, answer.answered_at, answer.ended_at = 10.001, 10.004, 10.006
    return answer


def recorded(answer: Answer) -> Outcome:
    outcome = Outcome(0.0, remote_address="127.0.0.1:9")
    record(outcome, answer)
    return outcome


@pytest.mark.parametrize("status", [200, 204, 299])
def test_a_complete_2xx_is_no_error(status: int) -> None:
    outcome = recorded(answered(status, b"Fine"))
    assert (outcome.status_code, outcome.reason, outcome.error, outcome.phase) == (status, "Fine", None, None)
    assert outcome.phases == pytest.approx({"send": 1, "wait": 3, "receive": 2})


@pytest.mark.parametrize(
    ("status", "reason"), [(400, b"Bad"), (404, b"Not Found"), (500, b""), (199, b"Odd"), (999, b"Odd")]
)
def test_any_other_status_is_named_with_its_reason(status: int, reason: bytes) -> None:
    outcome = recorded(answered(status, reason))
    assert (outcome.error, outcome.phase) == ("status", "receive")
    assert f"{status} {reason.decode()}".strip() in outcome.message and "127.0.0.1:9" in outcome.message


def test_a_reason_of_any_length_leaves_the_sentence_one_that_can_be_read() -> None:
    outcome = recorded(answered(500, b"r" * 90_000))
    assert len(outcome.reason) == 90_000 and len(outcome.message) < 2200


@pytest.mark.parametrize("status", [300, 302, 399])
@pytest.mark.parametrize(
    ("headers", "place"),
    [
        ([(b"LOCATION", b"/there")], "/there"),
        ([(b"X", b"/x")] * HEADERS_KEPT + [(b"Location", b"/far")], "/far"),
        ([(b"X", b"/x")], "nowhere"),
        ([(b"Location", b"/there \t")], "points to /there;"),
        ([(b"Location", b"\r\n /there")], "points to /there;"),
        ([(b"Location", b" ")], "an empty Location"),
    ],
)
def test_a_redirect_says_where_it_leads(headers: Pairs, place: str, status: int) -> None:
    outcome = recorded(answered(status, b"Found", headers))
    assert outcome.error == "redirect" and place in outcome.message


def test_what_broke_off_keeps_its_own_error_beside_the_status() -> None:
    answer = answered(500, b"Oh")
    answer.error, answer.message, answer.phase = "body_truncated", "Broke off.", "receive"
    outcome = recorded(answer)
    assert (outcome.status_code, outcome.error, outcome.message) == (500, "body_truncated", "Broke off.")


def test_without_an_answer_the_time_until_the_end_was_spent_on_sending_or_waiting() -> None:
    silent, stuck = answered(None), answered(None)
    silent.answered_at = stuck.answered_at = stuck.sent_at = 0.0
    assert recorded(silent).phases == pytest.approx({"send": 1, "wait": 5})
    assert recorded(stuck).phases == pytest.approx({"send": 6})


def test_of_what_is_no_http_its_first_bytes_are_kept() -> None:
    answer = answered(None)
    answer.first, answer.error = b"SSH-2.0", "not_http"
    outcome = recorded(answer)
    assert (outcome.body, outcome.size, outcome.error) == (b"SSH-2.0", 7, "not_http")


@pytest.mark.parametrize("dropped", [0, 3])
def test_the_headers_come_as_spelled_and_those_beyond_the_limit_are_counted(dropped: int) -> None:
    pairs = [(b"X-Odd", b"\xff")] * (HEADERS_KEPT + dropped)
    outcome = recorded(answered(200, b"OK", pairs))
    assert (outcome.headers, outcome.headers_dropped) == ([("X-Odd", "\xff")] * HEADERS_KEPT, dropped)


@pytest.mark.parametrize(
    ("status", "values", "asked"),
    [
        (429, [b" 7 "], "7"),
        (503, [b"7", b"7"], "7"),
        (503, [b"7", b"8"], None),
        (503, [], None),
        (500, [b"7"], None),
    ],
)
def test_retry_after_is_believed_when_it_says_one_thing(
    status: int, values: list[bytes], asked: str | None
) -> None:
    assert (
        recorded(answered(status, headers=[(b"Retry-After", value) for value in values])).retry_after == asked
    )


def test_a_fault_of_our_own_says_what_it_was() -> None:
    outcome = internal_error("ZeroDivisionError: planted")
    assert outcome.error == "internal_error" and "ZeroDivisionError: planted" in outcome.message
