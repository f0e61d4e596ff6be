"""An answer as plain facts: what it says of a body that did not all come."""

from simulator.answer import Answer


def test_how_much_of_the_body_came_is_told_with_and_without_a_length() -> None:
    answer = Answer(1.0)
    answer.size = 1234
    assert answer.received == "1,234 bytes came"
    answer.declared = 5_000_000
    assert answer.received == "1,234 of 5,000,000 bytes came"


def test_nothing_has_come_at_first() -> None:
    answer = Answer(1.0)
    assert (answer.status, answer.error, answer.phase, answer.headers, bytes(answer.body)) == (
        None,
        None,
        None,
        [],
        b"",
    )
    assert (answer.started_at, answer.sent_at, answer.answered_at, answer.ended_at) == (1.0, 0.0, 0.0, 0.0)
