"""What is remembered of a form or a key: for a day, whoever sent it."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from simulator import samples
from simulator.api.once import once
from simulator.models import IdempotencyKey
from simulator.transaction import writing

NOON = datetime(2025, 2, 7, 12, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def keep(token: str, when: datetime) -> None:
    with time_machine.travel(when, tick=False), writing():
        IdempotencyKey.keep(token, "/send/", "dlv_1")


def test_what_a_form_made_is_found_by_its_token_at_its_address_only() -> None:
    keep("token", NOON)
    assert IdempotencyKey.answer_to("token", "/send/") == "dlv_1"
    assert IdempotencyKey.answer_to("token", "/endpoints/new/") is None


def test_forms_forget_what_is_a_day_old_without_any_call_of_the_api() -> None:
    keep("yesterday", NOON)
    keep("a day later", NOON + timedelta(hours=24))
    assert IdempotencyKey.answer_to("yesterday", "/send/") == "dlv_1"
    keep("after that", NOON + timedelta(hours=24, microseconds=1))
    assert set(IdempotencyKey.objects.values_list("key", flat=True)) == {"a day later", "after that"}


@pytest.mark.django_db(transaction=True)
def test_what_the_first_sample_of_a_process_takes_is_over_before_others_wait_for_the_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    monkeypatch.setattr(samples, "prepare", lambda: seen.append(("samples", connection.in_atomic_block)))

    @once
    def view(request: HttpRequest) -> HttpResponse:
        seen.append(("view", connection.in_atomic_block))
        return HttpResponse("{}", status=202)

    view(RequestFactory().post("/api/v1/events", headers={"Idempotency-Key": "one"}))
    assert seen == [("samples", False), ("view", True)]
