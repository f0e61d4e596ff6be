"""The settings of an endpoint as a form: the API's rules, each error at its field, no silent overwrite."""

import json
import re
from contextlib import suppress
from decimal import Decimal
from typing import Any

from django import forms
from pydantic import ValidationError

from simulator import registration, signing
from simulator.api.errors import words
from simulator.api.shapes import whole
from simulator.api.webhooks import WebhookPatch
from simulator.models import Endpoint, IdempotencyKey
from simulator.models.event_type import known_types
from simulator.sending import BadInput
from simulator.transaction import writing

from .forms import EXPIRED, new_token, said_of
from .panel import BESIDE

ALL = "*"
LONG_RETRY = "Retry delays: Must have at most 50 entries, and 1,000 characters."
LONG_HEADERS = "Headers: Must have at most 50 lines, and 100,000 characters."
UNOFFERED = "Choose one of the offered signatures."


class EndpointForm(forms.Form):
    """`conflicts` holds (label, what is stored now, what was typed) when somebody else saved in between."""

    token = forms.CharField(max_length=100, error_messages=said_of(EXPIRED.format("the button below")))
    base = forms.CharField(required=False)  # what the form showed at first, to tell whose change is whose
    url = forms.CharField(label="URL", error_messages={"required": "Enter the URL of the receiver."})
    description = forms.CharField(required=False)
    events = forms.MultipleChoiceField(
        error_messages={
            "required": "Choose at least one event.",
            "invalid_choice": "There is no event %(value)s.",
        }
    )
    timeout = forms.CharField(required=False)
    retry = forms.CharField(
        label="Retry delays", required=False, max_length=1000, error_messages={"max_length": LONG_RETRY}
    )
    max_in_flight = forms.CharField(label="Max. in flight", required=False)
    headers = forms.CharField(
        required=False, max_length=100_000, strip=False, error_messages={"max_length": LONG_HEADERS}
    )
    signature = forms.CharField(error_messages={"required": UNOFFERED})
    extras = forms.BooleanField(label="Extra headers", required=False)
    tls_verify = forms.BooleanField(label="Check the TLS certificate", required=False)

    def __init__(self, data: Any = None, *, endpoint: Endpoint | None = None) -> None:
        self.endpoint = endpoint
        self.conflicts: list[tuple[str, str, str]] = []
        shown = _shown(endpoint or Endpoint(url="", events=[ALL]))
        super().__init__(data, initial={**shown, "token": new_token(), "base": json.dumps(shown)})
        types = known_types()
        if len(types) > BESIDE:  # they scroll: what is chosen must be seen
            types.sort(key=lambda type: type not in shown["events"])
        self.presets = list(signing.PRESETS)
        self.fields["events"].choices = [(ALL, "Every event"), *((type, type) for type in types)]
        # A built-in one gets only what is sent to it directly, and may stay so.
        self.fields["events"].required = endpoint is None or bool(endpoint.events)

    def clean_timeout(self) -> float | str:
        return _number(self.cleaned_data["timeout"])

    def clean_max_in_flight(self) -> float | str:
        return _number(self.cleaned_data["max_in_flight"])

    def clean_retry(self) -> dict[str, Any]:
        """ "2, 4, 8" → {"delays": [2, 4, 8]}"""
        text = self.cleaned_data["retry"].replace(",", " ")
        return {"delays": [_number(each) for each in text.split()]}

    def clean_headers(self) -> dict[str, str]:
        """One "name: value" a line."""
        headers: dict[str, str] = {}
        for number, line in enumerate(self.cleaned_data["headers"].splitlines(), start=1):
            if not line.strip():
                continue
            name, colon, value = line.partition(":")
            if not colon:
                raise forms.ValidationError(f"Line {number}: write a header as name: value.")
            if name in headers:
                raise forms.ValidationError(f"{name} is listed twice.")
            headers[name] = value.strip(" \t")
        return headers

    def clean_signature(self) -> str:
        preset: str = self.cleaned_data["signature"]
        kept = self.endpoint.signature["preset"] if self.endpoint else None
        if preset not in signing.PRESETS and preset != kept:
            raise forms.ValidationError(UNOFFERED)
        return preset

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if ALL in cleaned.get("events", ()):
            cleaned["events"] = [ALL]
        given = {name: value for name, value in cleaned.items() if name not in ("token", "base")}
        if cleaned.get("signature") not in signing.PRESETS:
            given.pop("signature", None)
        if not given.get("events"):
            given.pop("events", None)
        for name in list(given):
            self._judge(name, given)
        try:
            self.columns = registration.checked(given, self.endpoint)
        except BadInput as error:
            name, _, which = error.field.partition(".")
            self.add_error(
                name, f"{which}: {error.message}" if name == "headers" and which else error.message
            )
        return cleaned

    def _judge(self, name: str, given: dict[str, Any]) -> None:
        """One field by the schema of the API: as it is read there, or out of `given` and said in the same words."""
        try:
            given |= WebhookPatch.model_validate({name: given[name]}).given()
        except ValidationError as error:
            del given[name]
            wrong = error.errors()[0]
            which = f", {wrong['input']}" if len(wrong["loc"]) > 2 else ""  # which delay
            self.add_error(name, f"{self[name].label}{which}: {words(wrong)}")

    def register(self) -> tuple[Endpoint, bool]:
        """The endpoint, and whether this form made it now; its second submission finds what the first one made."""
        token, path = self.cleaned_data["token"], "/endpoints/new/"
        with writing():
            known = IdempotencyKey.answer_to(token, path)
            if known:
                return Endpoint.objects.get(pk=known), False
            endpoint = Endpoint.register(actor="console", **self.columns)
            IdempotencyKey.keep(token, path, endpoint.pk)
        return endpoint, True

    def change(self) -> bool:
        """Save, unless what is stored is no longer what the form had shown: then fill `conflicts`."""
        assert self.endpoint is not None
        with writing():
            self.endpoint.refresh_from_db()
            stored = _shown(self.endpoint)
            self._note_conflicts(stored)
            if self.conflicts:
                return False
            changed = {
                name: value for name, value in self.columns.items() if getattr(self.endpoint, name) != value
            }
            if changed:
                self.endpoint.change(actor="console", **changed)
        return True

    def _note_conflicts(self, stored: dict[str, Any]) -> None:
        """A field that changed since the form was shown, and not to what was typed here."""
        try:
            base = dict(json.loads(self.cleaned_data["base"]))
        except (ValueError, TypeError):
            base = {}
        for name, now in stored.items():
            typed = self.data.getlist(name) if name == "events" else self.data.get(name, "")
            typed = bool(typed) if isinstance(now, bool) else typed
            if now != base.get(name) and _text(now) != _text(typed):
                self.conflicts.append((self[name].label, _text(now), _text(typed)))
        self.data = self.data.copy()
        self.data["base"] = json.dumps(stored)  # saving once more is then a decision


def _number(text: str) -> float | str:
    """A number as people type it, in ASCII; what is none is left for the API to refuse."""
    with suppress(ValueError):  # of a number that is too long
        if re.fullmatch(r"[+-]?[0-9]+", text):
            return int(text)
        if re.fullmatch(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+)", text):
            return float(text)
    return text


def _digits(number: float) -> str:
    """All of them, and without an exponent: as `_number` reads it."""
    return f"{Decimal(str(whole(number))):f}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    text = ", ".join(value) if isinstance(value, list) else str(value)
    return text.replace("\r\n", "\n").strip()


def _shown(endpoint: Endpoint) -> dict[str, Any]:
    """The fields as the form shows them."""
    return {
        "url": endpoint.url,
        "description": endpoint.description,
        "events": endpoint.events,
        "timeout": whole(endpoint.timeout),
        "retry": ", ".join(_digits(delay) for delay in endpoint.retry_delays),
        "max_in_flight": endpoint.max_in_flight,
        "headers": "\n".join(f"{name}: {value}" for name, value in endpoint.headers.items()),
        "signature": endpoint.signature["preset"],
        "extras": endpoint.extras,
        "tls_verify": endpoint.tls_verify,
    }
