"""What is typed is judged by the rules of the API, with the place of what is wrong."""

import sys

import pytest

from console import forms


def test_tokens_differ() -> None:
    assert forms.new_token() != forms.new_token()


# Since 3.13 the decoder names the comma, before it what stands in the place of a name.
TRAILING = (2, 9) if sys.version_info >= (3, 13) else (3, 1)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("{", 1, 2), ('{\n  "a": 1,\n}', *TRAILING), ("[1]", 1, 1), ("nope", 1, 1)],
)
def test_a_problem_has_its_place(text: str, line: int, column: int) -> None:
    about = forms.judged(text)
    assert (about["line"], about["column"]) == (line, column) and about["problem"]


def test_good_data_has_its_size_as_it_will_be_sent() -> None:
    assert forms.judged('{ "a" : 1 }') == {"data": {"a": 1}, "size": 7}


def test_more_than_a_mebibyte_is_refused() -> None:
    assert "1 MiB" in forms.judged('{"a":"' + "x" * 1024 * 1024 + '"}')["problem"]


def test_a_sample_is_shown_with_its_own_letters() -> None:
    assert forms.pretty({"a": "ü"}) == '{\n  "a": "ü"\n}'
