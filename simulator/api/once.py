"""Idempotency-Key: the repeat of a POST that created something gets the first answer. Knows no resource."""

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse

from .. import samples
from ..models import IdempotencyKey
from ..transaction import writing
from .errors import conflict, invalid

MAX_KEY = 200
View = Callable[..., HttpResponse]


def once(view: View) -> View:
    """Around a view that creates: check, creation and the stored answer are one transaction.

    The answer is stored as it was sent, with its secret if it has one (the database is readable by its owner
    only and holds the secrets anyway). A call that fails is never stored: it rolls back with everything else.
    """

    @wraps(view)
    def answered(request: HttpRequest, **values: Any) -> HttpResponse:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return view(request, **values)
        if not (1 <= len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
            raise invalid(
                "Idempotency-Key",
                "invalid_format",
                f"The key must be 1 to {MAX_KEY} printable ASCII characters.",
            )
        samples.prepare()  # takes 0.3 s the first time: not while nobody else can write
        with writing():
            return _stored(request, key) or _kept(request, key, view(request, **values))

    return answered


def _stored(request: HttpRequest, key: str) -> HttpResponse | None:
    IdempotencyKey.forget_old()
    entry = IdempotencyKey.objects.filter(key=key, path=request.path).first()
    if entry is None:
        return None
    if entry.sha256 != _sha256(request):
        raise conflict(
            "This Idempotency-Key was used with another body before. Use a new key for a new request.",
            "idempotency_key_reused",
        )
    return HttpResponse(entry.answer.encode(), status=entry.status_code, content_type="application/json")


def _kept(request: HttpRequest, key: str, response: HttpResponse) -> HttpResponse:
    answer, status = response.content.decode(), response.status_code
    IdempotencyKey.keep(key, request.path, answer, sha256=_sha256(request), status_code=status)
    return response


def _sha256(request: HttpRequest) -> str:
    return hashlib.sha256(request.body).hexdigest()
