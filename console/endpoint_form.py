"""The settings of an endpoint as a form: the API's rules, each error at its field, no silent overwrite."""

import json
from typing import Any

from django import forms

from simulator import registration, signing
from simulator.models import Endpoint, IdempotencyKey
from simulator.models.event_type import known_types
from simulator.sending import BadInput
from simulator.transaction import writing

from .forms import new_token

ALL = "*"
LABELS = {
    "url": "URL",
    "description": "Description",
    "events": "Events",
    "timeout": "Timeout",
    "retry": "Retry delays",
    "max_in_flight": "In flight at most",
    "headers": "Headers",
    "signature": "Signature",
    "extras": "Extra headers",
    "tls_verify": "Check the TLS certificate",
}


class EndpointForm(forms.Form):
    """`conflicts` holds (label, what is stored now, what was typed) when somebody else saved in between."""

    token = forms.CharField(max_length=100)
    base = forms.CharField(required=False)  # what the form showed at first, to tell whose change is whose
    url = forms.CharField(max_length=5000, error_messages={"required": "Enter the URL of the receiver."})
    description = forms.CharField(max_length=1000, required=False)
    events = forms.MultipleChoiceField(
        error_messages={
            "required": "Choose at least one event.",
            "invalid_choice": "There is no event %(value)s.",
        }
    )
    timeout = forms.FloatField(min_value=0.1, max_value=120)
    retry = forms.CharField(required=False, max_length=1000)
    max_in_flight = forms.IntegerField(min_value=1, max_value=1000)
    headers = forms.CharField(required=False, max_length=100_000, strip=False)
    signature = forms.CharField()
    extras = forms.BooleanField(required=False)
    tls_verify = forms.BooleanField(required=False)

    def __init__(self, data: Any = None, *, endpoint: Endpoint | None = None) -> None:
        self.endpoint = endpoint
        self.conflicts: list[tuple[str, str, str]] = []
        shown = _shown(endpoint or _fresh())
        super().__init__(data, initial={**shown, "token": new_token(), "base": json.dumps(shown)})
        self.types = known_types()
        self.presets = list(signing.PRESETS)
        self.fields["events"].choices = [(ALL, "Every event"), *((type, type) for type in self.types)]  # type: ignore[attr-defined]

    def clean_retry(self) -> list[float]:
        """ "2, 4, 8" → [2, 4, 8]"""
        text = self.cleaned_data["retry"].replace(",", " ").split()
        try:
            delays = [float(each) for each in text]
        except ValueError:
            raise forms.ValidationError("Numbers of seconds with commas between, such as 2, 4, 8.") from None
        if len(delays) > 50 or not all(0 <= delay <= 86_400 for delay in delays):
            raise forms.ValidationError("At most 50 delays, each from 0 to 86,400 s.")
        return [int(delay) if delay.is_integer() else delay for delay in delays]

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
                raise forms.ValidationError(f"{name} is there twice.")
            headers[name] = value.strip(" \t")
        return headers

    def clean_signature(self) -> str:
        preset: str = self.cleaned_data["signature"]
        kept = self.endpoint.signature["preset"] if self.endpoint else None
        if preset not in signing.PRESETS and preset != kept:
            raise forms.ValidationError("Choose one of the offered signatures.")
        return preset

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if ALL in cleaned.get("events", ()):
            cleaned["events"] = [ALL]
        names = (
            "url",
            "description",
            "events",
            "timeout",
            "max_in_flight",
            "headers",
            "extras",
            "tls_verify",
        )
        given = {name: cleaned[name] for name in names if name in cleaned}
        if "retry" in cleaned:
            given["retry"] = {"delays": cleaned["retry"]}
        if cleaned.get("signature") in signing.PRESETS:
            given["signature"] = cleaned["signature"]
        try:
            self.columns = registration.checked(given, self.endpoint)
        except BadInput as error:
            self.add_error(error.field.partition(".")[0], error.message)
        return cleaned

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
                self.conflicts.append((LABELS[name], _text(now), _text(typed)))
        self.data = self.data.copy()
        self.data["base"] = json.dumps(stored)  # saving once more is then a decision


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    text = (
        ", ".join(value)
        if isinstance(value, list)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
    return text.replace("\r\n", "\n").strip()


def _fresh() -> Endpoint:
    return Endpoint(url="", events=[ALL])


def _shown(endpoint: Endpoint) -> dict[str, Any]:
    """The fields as the form shows them."""
    return {
        "url": endpoint.url,
        "description": endpoint.description,
        "events": endpoint.events,
        "timeout": endpoint.timeout,
        "retry": ", ".join(f"{delay:g}" for delay in endpoint.retry_delays),
        "max_in_flight": endpoint.max_in_flight,
        "headers": "\n".join(f"{name}: {value}" for name, value in endpoint.headers.items()),
        "signature": endpoint.signature["preset"],
        "extras": endpoint.extras,
        "tls_verify": endpoint.tls_verify,
    }
