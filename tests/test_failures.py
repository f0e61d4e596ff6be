"""The closed list of failure codes and what each says."""

import re
from string import Formatter

import pytest

from simulator.failures import CODES, FAILURES, message

CONTRACT = (
    "dns_failed dns_timeout refused unreachable connect_timeout tls_untrusted tls_hostname tls_expired tls_failed"
    " tls_timeout send_timeout no_response incomplete_response reset closed_before_response body_truncated"
    " bad_response headers_too_large redirect status blocked_target blocked_self interrupted internal_error"
)


def test_the_list_is_the_contracts() -> None:
    assert " ".join(CODES) == CONTRACT


@pytest.mark.parametrize("code", CODES)
def test_every_code_says_what_happened_and_what_to_do(code: str) -> None:
    failure = FAILURES[code]
    assert failure.title and failure.docs.endswith(".")
    facts = {name: f"<{name}>" for _, name, _, _ in Formatter().parse(failure.message) if name}
    text = message(code, **facts)
    assert all(fact in text for fact in facts.values())
    assert re.search(r"[.>]$", text)
    assert len(failure.hint) > 20


@pytest.mark.parametrize(
    ("location", "words"),
    [("/there#f", "to /there#f;"), ("", "to an empty Location;"), ("/Ã©", "to /%C3%A9;")],
)
def test_a_redirect_says_where_it_points_to(location: str, words: str) -> None:
    assert words in message("redirect", address="h", status="302 Found", location=location)
