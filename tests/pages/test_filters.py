"""A filter is its query string and back; what a link says wrongly matches nothing and is said, never an error."""

import pytest
from django.http import QueryDict

from console.filters import Filter


def test_a_filter_is_its_query_string_and_back() -> None:
    filter = Filter("failed", "lead.qualified", "ep_0", "a b&c=ü")
    assert Filter.of(QueryDict(filter.query_string())) == filter


def test_no_filter_is_false_and_empty() -> None:
    assert not Filter() and Filter().query_string() == "" and Filter("failed")


@pytest.mark.parametrize("query", ["status=", "status=%20", "page=3", "q=%20%20", "q=%00"])
def test_what_says_nothing_is_ignored(query: str) -> None:
    assert Filter.of(QueryDict(query)) == Filter()


def test_a_text_is_cut_to_what_can_be_searched() -> None:
    assert len(Filter.of({"q": "x" * 5000}).q) == 200


@pytest.mark.django_db
def test_any_combination_makes_a_query_that_runs() -> None:
    for status in ("", "retrying", "failed"):
        for text in (
            "",
            "dlv_00000000000",
            "evt_x",
            "404",
            "%_'\"\\",
            "0123456789abcdef",
            "\ud800".encode("utf-8", "replace").decode(),
        ):
            assert list(Filter(status, "lead.qualified", "ep_x", text).among(["dlv_00000000000"])) == []
