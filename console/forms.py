"""What people type into the pages, checked with the rules of the API, each error at its field."""

import json
import secrets
from hashlib import sha256
from typing import Any

from django import forms

from simulator import payload, sending
from simulator.api.batches import MOST
from simulator.api.gate import MAX_BODY
from simulator.models import Batch, Delivery, Endpoint, IdempotencyKey
from simulator.models.endpoint import audience
from simulator.transaction import writing

GONE = "This endpoint is gone. Choose another one."
TYPE_GONE = "There is no such event type any more. Choose another one."
EXPIRED = "This form had expired. Press {} again."
HOW_MANY = f"Copies: a whole number, 1 to {MOST:,}."


def new_token() -> str:
    """Identifies one filled-in form, so that it is acted on only once."""
    return secrets.token_urlsafe(16)


def _intention(form: forms.Form) -> str:
    """Identifies the content of a filled-in form: if it is changed after its answer was lost, it is acted on again."""
    written = "\0".join(form.data.get(name, "") for name in form.fields)
    return sha256(written.encode(errors="replace")).hexdigest()


def pretty(data: object) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False)


def judged(text: str) -> dict[str, Any]:
    """Whether a text can be the data of an event: `data`, or `problem` with `line` and `column` where known."""
    try:
        data = payload.parse_json(text)
    except payload.BadJSON as error:
        return {"problem": error.message, "line": error.line, "column": error.column}
    if not isinstance(data, dict):
        return {"problem": "The data of an event must be an object: { … }.", "line": 1, "column": 1}
    size = len(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())
    if size > MAX_BODY:
        return {"problem": "The data is larger than 1 MiB. Shorten it."}
    return {"data": data, "size": size}


def said_of(missing: str, too_long: str = "") -> dict[str, str]:
    """A text field's error messages: Django's own name neither the field nor what to do."""
    return {"required": missing, "max_length": too_long or missing}


class SendForm(forms.Form):
    token = forms.CharField(max_length=100, error_messages=said_of(EXPIRED.format("Send test event")))
    endpoint = forms.CharField(max_length=40, error_messages=said_of("Choose an endpoint.", GONE))
    type = forms.CharField(max_length=100, error_messages=said_of("Choose an event type.", TYPE_GONE))
    copies = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST,
        error_messages={"invalid": HOW_MANY, "min_value": HOW_MANY, "max_value": HOW_MANY},
    )
    data = forms.CharField(strip=False, required=False)

    def clean_type(self) -> str:
        type: str = self.cleaned_data["type"]
        try:
            sending.check_type(type)
        except sending.BadInput:
            raise forms.ValidationError(TYPE_GONE) from None
        return type

    def clean_endpoint(self) -> str:
        pk: str = self.cleaned_data["endpoint"]
        try:
            return pk if pk == "everyone" else Endpoint.to_send_to(pk).pk
        except Endpoint.DoesNotExist:
            raise forms.ValidationError(GONE) from None

    def clean_copies(self) -> int:
        return self.cleaned_data["copies"] or 1

    def clean_data(self) -> dict[str, Any]:
        """Not needed if each copy is a fresh sample."""
        if self.cleaned_data.get("copies", 1) > 1:
            return {}
        about = judged(self.cleaned_data["data"])
        if "problem" in about:
            place = f"Line {about['line']}, column {about['column']}: " if about.get("line") else ""
            raise forms.ValidationError(place + about["problem"])
        data: dict[str, Any] = about["data"]
        return data

    def send(self) -> list[Delivery] | Batch | None:
        """What this form made, now or when it was first sent: one event's deliveries, or a batch. None, with the
        error at its field, if endpoint or type was deleted since the form was checked."""
        try:
            with writing():
                return self._once()
        except Endpoint.DoesNotExist:
            self.add_error("endpoint", GONE)
        except sending.BadInput as error:
            of_type = error.field == "type"
            self.add_error("type" if of_type else "endpoint", TYPE_GONE if of_type else GONE)
        return None

    def _once(self) -> list[Delivery] | Batch:
        token = _intention(self)
        known = IdempotencyKey.answer_to(token, "/send/")
        if known is not None:
            batch = Batch.objects.filter(pk=known).first()
            return batch or list(Delivery.objects.filter(pk__in=known.split()))
        made = self._send()
        answer = made.pk if isinstance(made, Batch) else " ".join(delivery.pk for delivery in made)
        IdempotencyKey.keep(token, "/send/", answer)
        return made

    def _send(self) -> list[Delivery] | Batch:
        chosen, copies = self.cleaned_data["endpoint"], self.cleaned_data["copies"]
        if copies > 1:
            return self._send_batch(copies, chosen)
        content = sending.Content(self.cleaned_data["type"], self.cleaned_data["data"])
        if chosen == "everyone":
            return sending.send(content, trigger="test", actor="console").deliveries
        return [sending.send_test(chosen, content, actor="console")]

    def _send_batch(self, copies: int, chosen: str) -> list[Delivery] | Batch:
        """Sends nothing if nobody would get it; a chosen endpoint that is paused gets it once it is resumed."""
        type = self.cleaned_data["type"]
        if chosen != "everyone":
            return sending.send_batch(type, copies, [chosen], actor="console")
        return sending.send_batch(type, copies, actor="console") if audience(type)[0] else []


class ReceiverForm(forms.Form):
    """One field: where your receiver listens."""

    token = forms.CharField(max_length=100, error_messages=said_of(EXPIRED.format("Add")))
    url = forms.CharField(error_messages={"required": "Enter the URL of your receiver."})

    def clean_url(self) -> str:
        return checked_url(self.cleaned_data["url"])

    def save(self) -> Endpoint:
        """The endpoint; if this form came twice, the one made the first time."""
        token = _intention(self)
        with writing():
            known = IdempotencyKey.answer_to(token, "/send/receiver/")
            if known:
                return Endpoint.objects.get(pk=known)
            endpoint = Endpoint.register(actor="console", url=self.cleaned_data["url"], events=["*"])
            IdempotencyKey.keep(token, "/send/receiver/", endpoint.pk)
        return endpoint


def checked_url(url: str) -> str:
    try:
        return sending.checked_url(url)
    except sending.BadInput as error:
        raise forms.ValidationError(error.message) from None
