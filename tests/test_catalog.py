"""The four built-in event types, their schemas, and names that were nearly right."""

import re
import subprocess
import sys
from random import Random
from typing import Any

import pytest

from simulator.catalog import BUILT_IN, near, sample

TYPES = ["lead.qualified", "property.matched", "message.received", "analysis.completed"]


def complaints(schema: dict[str, Any], value: Any, path: str = "data") -> list[str]:
    """What a value breaks of its JSON Schema; knows the few words of it that the catalogue uses."""
    known = {"$schema", "type", "properties", "required", "additionalProperties", "items"}
    known |= {"minItems", "uniqueItems", "enum", "pattern", "minimum", "maximum"}
    assert set(schema) <= known, f"the test does not know {set(schema) - known}"
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float)}
    kinds["null"] = type(None)
    names = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    if isinstance(value, bool) or not any(isinstance(value, kinds[name]) for name in names):
        return [f"{path} is no {names}"]
    found = []
    if isinstance(value, dict):
        found += [f"{path}.{name} is missing" for name in schema["required"] if name not in value]
        found += [f"{path}.{name} is unknown" for name in value if name not in schema["properties"]]
        for name in value.keys() & schema["properties"].keys():
            found += complaints(schema["properties"][name], value[name], f"{path}.{name}")
    elif isinstance(value, list):
        found += (
            [] if len(value) >= schema["minItems"] and len(set(value)) == len(value) else [f"{path} repeats"]
        )
        for item in value:
            found += complaints(schema["items"], item, f"{path}[]")
    elif isinstance(value, str):
        found += [] if re.search(schema.get("pattern", ""), value) else [f"{path}: {value}"]
        found += [] if value in schema.get("enum", [value]) else [f"{path}: {value}"]
    elif value is not None:
        fits = schema.get("minimum", value) <= value <= schema.get("maximum", value)
        found += [] if fits else [f"{path}: {value}"]
    return found


def test_the_four_types_are_there_and_described() -> None:
    assert list(BUILT_IN) == TYPES
    for name, kind in BUILT_IN.items():
        assert kind.type == name
        assert kind.description.endswith(".")


@pytest.mark.parametrize("name", TYPES)
def test_every_sample_keeps_to_its_schema(name: str) -> None:
    rng = Random(1)
    for _ in range(300):
        assert complaints(BUILT_IN[name].schema, sample(name, rng)) == []


def test_the_schema_check_of_this_file_bites() -> None:
    schema = BUILT_IN["lead.qualified"].schema
    good = sample("lead.qualified")
    assert complaints(schema, good | {"score": 101}) == ["data.score: 101"]
    assert complaints(schema, good | {"score": "90"}) == ["data.score is no ['integer']"]
    assert complaints(schema, good | {"lead_id": "evt_1"}) == ["data.lead_id: evt_1"]
    assert complaints(schema, good | {"extra": 1}) == ["data.extra is unknown"]
    assert complaints(schema, good | {"triggers": ["a", "a"]}) == ["data.triggers repeats"]


def test_a_qualified_lead_has_exactly_the_vendors_fields() -> None:
    assert list(sample("lead.qualified")) == ["lead_id", "score", "qualification_type", "triggers"]


def test_the_example_of_a_type_is_always_the_same() -> None:
    for kind in BUILT_IN.values():
        assert kind.example == kind.example
        assert complaints(kind.schema, kind.example) == []


def test_an_unknown_type_has_no_sample() -> None:
    with pytest.raises(KeyError):
        sample("lead.lost")


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("lead.qualifed", "lead.qualified"),
        ("Lead.Qualified", "lead.qualified"),
        ("lead_qualified", "lead.qualified"),
        ("property.match", "property.matched"),
        ("message", "message.received"),
        ("analysis.complete", "analysis.completed"),
    ],
)
def test_a_mistyped_type_finds_the_one_that_was_meant(asked: str, meant: str) -> None:
    assert near(asked, BUILT_IN)[0] == meant


@pytest.mark.parametrize("asked", ["", "zzz", "*", "q" * 100_000])
def test_a_type_that_is_like_none_finds_none(asked: str) -> None:
    assert near(asked, BUILT_IN) == []


def test_importing_the_catalogue_does_not_pay_for_faker() -> None:
    code = "import sys, simulator.catalog; sys.exit('faker' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0
