"""The four built-in event types: what they mean, their JSON Schema, their samples. Knows no database."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from random import Random
from typing import Any

from . import samples

_rng = Random()


@dataclass(frozen=True, slots=True)
class EventType:
    """A built-in type. `schema` is the JSON Schema (draft 2020-12) of its `data`."""

    type: str
    description: str
    schema: dict[str, Any]

    @property
    def example(self) -> dict[str, Any]:
        """Always the same sample, for documentation."""
        return sample(self.type, Random(7))


def sample(type: str, rng: Random | None = None) -> dict[str, Any]:
    """Fresh, believable `data` of a built-in type; repeatable with a seeded `rng`. KeyError for any other type."""
    return samples.MAKERS[type](rng or _rng)


def near(type: str, known: Iterable[str]) -> list[str]:
    """The known types that were perhaps meant, likeliest first."""
    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(type.lower()[:100], by_lower, n=3, cutoff=0.5)
    return [by_lower[name] for name in found]


def _text(**rules: Any) -> dict[str, Any]:
    return {"type": "string", **rules}


def _id(prefix: str) -> dict[str, Any]:
    return _text(pattern=f"^{prefix}_[0-9A-Za-z]+$")


def _integer(low: int, high: int | None = None) -> dict[str, Any]:
    return {"type": "integer", "minimum": low} | ({} if high is None else {"maximum": high})


def _object(**properties: Any) -> dict[str, Any]:
    """An object of exactly these properties, all of them required."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _schema(**properties: Any) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_object(**properties)}


_WORDS = {"type": "array", "items": _text(), "minItems": 1, "uniqueItems": True}
_PLACE = {"city": _text(), "state": _text(pattern="^[A-Z]{2}$"), "postal_code": _text(), "country": _text()}
_PROPERTY_TYPE = _text(enum=["house", "townhouse", "condo", "apartment", "multi_family"])

_TYPES = [
    EventType(
        "lead.qualified",
        "A lead has reached the score at which an agent should take over.",
        _schema(
            lead_id=_id("lead"),
            score=_integer(0, 100),
            qualification_type=_text(),
            triggers=_WORDS,
        ),
    ),
    EventType(
        "property.matched",
        "A property on the market fits what a lead is looking for.",
        _schema(
            lead_id=_id("lead"),
            match_score=_integer(0, 100),
            matched_on=_WORDS,
            property=_object(
                property_id=_id("prop"),
                property_type=_PROPERTY_TYPE,
                address=_object(street=_text(), **_PLACE),
                price=_integer(0),
                currency=_text(pattern="^[A-Z]{3}$"),
                bedrooms=_integer(0),
                bathrooms=_integer(0),
                area_sqft=_integer(1),
            ),
        ),
    ),
    EventType(
        "message.received",
        "A lead has written, on any channel.",
        _schema(
            message_id=_id("msg"),
            lead_id=_id("lead"),
            channel=_text(enum=["email", "sms", "whatsapp", "web_chat", "facebook"]),
            sender=_object(
                name=_text(),
                email={"type": ["string", "null"]},
                phone={"type": ["string", "null"]},
            ),
            text=_text(),
        ),
    ),
    EventType(
        "analysis.completed",
        "The market analysis of an area that a lead asked about is ready.",
        _schema(
            analysis_id=_id("ana"),
            lead_id=_id("lead"),
            area=_object(**_PLACE),
            property_type=_PROPERTY_TYPE,
            median_price=_integer(0),
            currency=_text(pattern="^[A-Z]{3}$"),
            price_per_sqft=_integer(0),
            trend=_object(
                direction=_text(enum=["rising", "stable", "falling"]),
                change_percent={"type": "number"},
                period_days=_integer(1),
            ),
            comparables=_integer(0),
            confidence={"type": "number", "minimum": 0, "maximum": 1},
        ),
    ),
]

BUILT_IN: dict[str, EventType] = {each.type: each for each in _TYPES}
