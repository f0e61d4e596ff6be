"""Believable `data` for the four built-in event types. Picks from pools made once; knows no schema and no envelope."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

Data = dict[str, Any]

_QUALIFICATIONS = ("sales_ready", "viewing_ready", "financing_ready", "seller_ready", "investor_ready")
_TRIGGERS = (
    "budget_confirmed",
    "timeline_under_90_days",
    "preapproval_uploaded",
    "viewing_requested",
    "listing_viewed_repeatedly",
    "price_alert_opened",
    "mortgage_calculator_used",
    "agent_call_completed",
)
_CRITERIA = ("price", "location", "bedrooms", "property_type", "school_district", "commute_time", "garden")
_PROPERTY_TYPES = ("house", "townhouse", "condo", "apartment", "multi_family")
_CHANNELS = ("email", "sms", "whatsapp", "web_chat", "facebook")
# Some texts are not ASCII on purpose: a receiver that signs re-encoded text instead of raw bytes fails on them.
_TEXTS = (
    "Hi, is {street} still available? I could come by on Saturday morning.",
    "We saw the listing in {city} and love the kitchen. Is the price of {price} negotiable?",
    "Could you send me the floor plan and the HOA fees for {street}?",
    "My budget is up to {price} 🙂 – anything similar in {city}?",
    "¿Sigue disponible la casa de {street}? Me gustaría verla mañana.",
    "Guten Tag, wir möchten {street} besichtigen. Wäre nächste Woche möglich?",
    "Thanks for the tour! We'd like to make an offer on {street}.",
    "Please call me back after 6 pm, I have a question about financing {price}.",
    "Bonjour, quels sont les frais mensuels à {city} ? Merci d’avance.",
    "Is there parking, and are pets allowed? – {name}",
    "I need to move before the school year starts. What do you have in {city} under {price}?",
    "We have our pre-approval. When can we see {street}?",
)
_WEIGHTED_TRENDS = ("rising", "rising", "rising", "stable", "stable", "falling")


@dataclass(frozen=True, slots=True)
class _Pools:
    people: list[tuple[str, str]]  # full name, mail address that nobody owns
    streets: list[str]
    places: list[tuple[str, str, str]]  # city, state, ZIP code within that state


@cache
def _pools() -> _Pools:
    """Faker's names and places, made at the first sample: importing Faker costs 0.1 s that a start should not pay."""
    from faker import Factory

    parts = ("person", "address", "internet")
    fake: Any = Factory.create("en_US", providers=[f"faker.providers.{part}" for part in parts])
    fake.seed_instance(2024)
    names = [f"{fake.first_name()} {fake.last_name()}" for _ in range(400)]
    places = []
    for _ in range(200):
        state = fake.state_abbr(include_territories=False)
        places.append((fake.city(), state, fake.zipcode_in_state(state)))
    return _Pools(
        people=[(name, f"{name.lower().replace(' ', '.')}@example.com") for name in names],
        streets=[fake.street_address() for _ in range(300)],
        places=places,
    )


def prepare() -> None:
    """Make the pools now: whoever comes first in a process waits 0.3 s for them."""
    _pools()


def lead_qualified(rng: Random) -> Data:
    return {
        "lead_id": _id(rng, "lead"),
        "score": rng.randrange(60, 100),
        "qualification_type": rng.choice(_QUALIFICATIONS),
        "triggers": _some(rng, _TRIGGERS, 4),
    }


def property_matched(rng: Random) -> Data:
    pools = _pools()
    city, state, postal_code = rng.choice(pools.places)
    bedrooms = rng.randrange(1, 6)
    area = 450 + 380 * bedrooms + rng.randrange(600)
    return {
        "lead_id": _id(rng, "lead"),
        "match_score": rng.randrange(55, 100),
        "matched_on": _some(rng, _CRITERIA, 4),
        "property": {
            "property_id": _id(rng, "prop"),
            "property_type": rng.choice(_PROPERTY_TYPES),
            "address": {
                "street": rng.choice(pools.streets),
                "city": city,
                "state": state,
                "postal_code": postal_code,
                "country": "US",
            },
            "price": area * rng.randrange(140, 620) // 1000 * 1000,
            "currency": "USD",
            "bedrooms": bedrooms,
            "bathrooms": max(1, bedrooms - rng.randrange(3)),
            "area_sqft": area,
        },
    }


def message_received(rng: Random) -> Data:
    pools = _pools()
    name, email = rng.choice(pools.people)
    channel = rng.choice(_CHANNELS)
    text = rng.choice(_TEXTS).format(
        street=rng.choice(pools.streets),
        city=rng.choice(pools.places)[0],
        price=f"${rng.randrange(180, 1200)},000",
        name=name,
    )
    return {
        "message_id": _id(rng, "msg"),
        "lead_id": _id(rng, "lead"),
        "channel": channel,
        "sender": {
            "name": name,
            "email": email if channel in ("email", "web_chat") else None,
            "phone": _phone(rng) if channel in ("sms", "whatsapp") else None,
        },
        "text": text,
    }


def analysis_completed(rng: Random) -> Data:
    city, state, postal_code = rng.choice(_pools().places)
    per_sqft = rng.randrange(140, 620)
    direction = rng.choice(_WEIGHTED_TRENDS)
    change = rng.randrange(12, 95) / 10
    signed = {"rising": change, "falling": -change, "stable": round(change / 10, 1)}
    return {
        "analysis_id": _id(rng, "ana"),
        "lead_id": _id(rng, "lead"),
        "area": {"city": city, "state": state, "postal_code": postal_code, "country": "US"},
        "property_type": rng.choice(_PROPERTY_TYPES),
        "median_price": per_sqft * rng.randrange(1100, 2600) // 1000 * 1000,
        "currency": "USD",
        "price_per_sqft": per_sqft,
        "trend": {"direction": direction, "change_percent": signed[direction], "period_days": 90},
        "comparables": rng.randrange(8, 120),
        "confidence": rng.randrange(62, 98) / 100,
    }


MAKERS: dict[str, Callable[[Random], Data]] = {
    "lead.qualified": lead_qualified,
    "property.matched": property_matched,
    "message.received": message_received,
    "analysis.completed": analysis_completed,
}


def _id(rng: Random, prefix: str) -> str:
    return f"{prefix}_{rng.getrandbits(64):016x}"


def _phone(rng: Random) -> str:
    # 555-0100 to 555-0199 belong to nobody.
    return f"+1{rng.randrange(201, 990)}5550{rng.randrange(100, 200)}"


def _some(rng: Random, words: tuple[str, ...], most: int) -> list[str]:
    """1 to `most` different words, in no particular order."""
    first, step = rng.randrange(len(words)), rng.choice((1, 3, 5))
    return [words[(first + number * step) % len(words)] for number in range(rng.randrange(most) + 1)]
