"""Which settings an endpoint may have, judged without HTTP around it: what forms and API share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import registration, signing
from simulator.models import Endpoint
from simulator.sending import BadInput

pytestmark = pytest.mark.django_db


def refused(**given: object) -> tuple[str, str]:
    with pytest.raises(BadInput) as caught:
        registration.checked(given)
    return caught.value.field, caught.value.reason


def test_fields_of_the_contract_become_columns() -> None:
    columns = registration.checked(
        {"url": "http://LOCALHOST:3000/x", "retry": {"delays": [1]}, "signature": "stripe", "timeout": 3}
    )
    assert columns == {
        "url": "http://localhost:3000/x",
        "retry_delays": [1],
        "signature": signing.as_dict(signing.PRESETS["stripe"]),
        "timeout": 3,
    }


@given(name=st.text(max_size=8), value=st.text(max_size=8))
def test_no_header_that_is_let_in_can_end_a_line(name: str, value: str) -> None:
    try:
        registration._check_headers({name: value}, signing.DEFAULT)
    except BadInput:
        return
    assert f"{name}: {value}".isascii()
    assert len(f"{name}: {value}".splitlines()) == 1 and "\0" not in name + value


def test_at_most_fifty_headers() -> None:
    fifty = {f"x-{number}": "1" for number in range(50)}
    assert registration.checked({"headers": fifty}) == {"headers": fifty}
    assert refused(headers={**fifty, "x-50": "1"}) == ("headers", "too_long")


def test_the_secrets_of_an_endpoint_are_judged_when_its_profile_changes() -> None:
    endpoint = Endpoint.register(url="http://localhost:1/", events=["*"], secret="a password")
    assert registration.checked({"signature": "github"}, endpoint)
    with pytest.raises(BadInput, match="base64"):
        registration.checked({"signature": "standard-webhooks"}, endpoint)
