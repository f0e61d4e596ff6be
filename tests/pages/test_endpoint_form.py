"""The endpoint form by itself: what it shows is what it would save."""

from django.http import QueryDict

from console.endpoint_form import EndpointForm
from simulator import signing
from simulator.models import CustomType, Endpoint


def filled(form: EndpointForm, **changes: str) -> QueryDict:
    data = QueryDict(mutable=True)
    for name in form.fields:
        value = form[name].value()
        if isinstance(value, list):
            data.setlist(name, value)
        elif value not in (None, False):
            data[name] = str(value)
    data.update(changes)
    return data


def test_a_new_form_shows_the_defaults_of_the_contract(db: None) -> None:
    form = EndpointForm()
    shown = {
        name: form[name].value() for name in ("events", "timeout", "retry", "max_in_flight", "signature")
    }
    assert shown == {
        "events": ["*"],
        "timeout": 15,
        "retry": "2, 4, 8, 16, 32",
        "max_in_flight": 10,
        "signature": "ultrareach",
    }
    assert form["tls_verify"].value() and form["extras"].value()


def test_of_many_types_those_that_are_chosen_come_first(endpoint: Endpoint) -> None:
    CustomType.objects.bulk_create([CustomType(type=f"team.thing{number:02}") for number in range(30)])
    endpoint.change(events=["team.thing20", "team.thing25"])
    offered = [value for value, _ in EndpointForm(endpoint=endpoint).fields["events"].choices]  # type: ignore[attr-defined]
    assert offered[:4] == ["*", "team.thing20", "team.thing25", "lead.qualified"]


def test_what_is_shown_and_saved_untouched_changes_nothing(endpoint: Endpoint) -> None:
    profile = signing.as_dict(signing.profile_from({"prefix": ""}))
    endpoint.change(headers={"x-a": "1"}, retry_delays=[0.5, 2], signature=profile)
    form = EndpointForm(filled(EndpointForm(endpoint=endpoint)), endpoint=endpoint)
    assert form.is_valid(), form.errors
    before = endpoint.revision
    assert form.change() and Endpoint.objects.get().revision == before


def test_saving_the_form_leaves_every_digit_of_a_number_as_it_was(endpoint: Endpoint) -> None:
    endpoint.change(timeout=12.3456789, retry_delays=[12345.67, 1.0000001, 0.00001, 2.0])
    data = filled(EndpointForm(endpoint=endpoint), description="Another name")
    assert data["retry"] == "12345.67, 1.0000001, 0.00001, 2"
    form = EndpointForm(data, endpoint=endpoint)
    assert form.is_valid() and form.change(), form.errors
    saved = Endpoint.objects.get()
    assert (saved.description, saved.timeout) == ("Another name", 12.3456789)
    assert saved.retry_delays == [12345.67, 1.0000001, 0.00001, 2]


def test_a_conflict_shows_every_digit_of_a_timeout(endpoint: Endpoint) -> None:
    data = filled(EndpointForm(endpoint=endpoint), timeout="3")
    Endpoint.objects.get().change(timeout=12.3456789)
    form = EndpointForm(data, endpoint=endpoint)
    assert form.is_valid() and not form.change()
    assert form.conflicts == [("Timeout", "12.3456789", "3")]


def test_every_event_stands_alone(endpoint: Endpoint) -> None:
    data = filled(EndpointForm(endpoint=endpoint))
    data.setlist("events", ["*", "lead.qualified"])
    form = EndpointForm(data, endpoint=endpoint)
    assert form.is_valid() and form.columns["events"] == ["*"]


def test_an_endpoint_that_subscribes_to_nothing_can_be_edited_and_stays_so(endpoint: Endpoint) -> None:
    endpoint.change(events=[])
    form = EndpointForm(filled(EndpointForm(endpoint=endpoint), timeout="3"), endpoint=endpoint)
    assert form.is_valid() and form.change(), form.errors
    saved = Endpoint.objects.get()
    assert (saved.timeout, saved.events) == (3, [])
    data = filled(EndpointForm(endpoint=saved))
    data.setlist("events", ["lead.qualified"])
    form = EndpointForm(data, endpoint=saved)
    assert form.is_valid() and form.change(), form.errors
    assert Endpoint.objects.get().events == ["lead.qualified"]


def test_an_endpoint_that_subscribes_cannot_be_left_with_nothing(endpoint: Endpoint) -> None:
    data = filled(EndpointForm(endpoint=endpoint))
    data.setlist("events", [])
    form = EndpointForm(data, endpoint=endpoint)
    assert form.errors == {"events": ["Choose at least one event."]}


def test_no_retries_are_an_empty_field(endpoint: Endpoint) -> None:
    form = EndpointForm(filled(EndpointForm(endpoint=endpoint), retry=""), endpoint=endpoint)
    assert form.is_valid() and form.columns["retry_delays"] == []


def test_a_conflict_names_the_field_what_is_stored_and_what_was_typed(endpoint: Endpoint) -> None:
    data = filled(EndpointForm(endpoint=endpoint), url="http://localhost:3001/")
    Endpoint.objects.get().change(url="http://localhost:3002/", tls_verify=False)
    form = EndpointForm(data, endpoint=endpoint)
    assert form.is_valid() and not form.change()
    assert form.conflicts == [
        ("URL", "http://localhost:3002/", "http://localhost:3001/"),
        ("Check the TLS certificate", "off", "on"),
    ]
