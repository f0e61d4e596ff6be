"""One delivery as a line of the list: its HTML. Drawn in Python, because a list that moves draws thousands of them.

As a template the same line took two to three times as long: 60 of them were 40 % of the time of a page.
"""

from functools import lru_cache

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from simulator.models import Delivery

from . import words
from .templatetags.ui import clock, countdown, icon, ms

DOTS = 8  # more attempts than these are shown as numbers

_LINE = (
    '<li class="row {state}" data-delivery-id="{id}" data-status="{status}" data-state="{state}">'
    '<a href="/deliveries/{id}/">{icon}<span class="type">{type}</span><span class="result">{result}</span>'
    '<span class="to">{place}</span>{progress}<span class="unseen">{word}</span>{clock}</a></li>'
)


def html(delivery: Delivery) -> SafeString:
    """Wants its endpoint selected along."""
    state = words.state(delivery)
    name, word = words.STATES[state]
    return format_html(
        _LINE,
        state=state,
        id=delivery.pk,
        status=delivery.status,
        icon=icon(name),
        type=delivery.type,
        result=_result(delivery, state, word),
        place=words.place(delivery.endpoint),
        progress=_progress(delivery),
        word=word,
        clock=clock(delivery.created_at, "at"),
    )


def _result(delivery: Delivery, state: str, word: str) -> str:
    if state == "sending":
        return "sending…"
    result = words.result(delivery)
    if state == "succeeded":
        return format_html("<b>{}</b> {}", result, ms(delivery.last_duration_ms))
    if state == "retrying":
        return format_html("<b>{}</b> {}", result, countdown(delivery.next_attempt_at))
    if not result:
        return word
    return format_html("<b>{}</b> {}", result, "" if state == "failed" else word)


def _progress(delivery: Delivery) -> str:
    """Dots, or numbers where dots would not fit; nothing when there is nothing to tell."""
    made, total = delivery.attempt_count, delivery.attempt_count + words.attempts_left(delivery)
    if shown := dots(delivery):
        return format_html(
            '<span class="dots" title="attempt {} of {}">{}</span>', made, total, _drawn(*shown)
        )
    return format_html('<span class="count">{}/{}</span>', made, total) if made > 1 else ""


@lru_cache(maxsize=256)
def _drawn(*dots: str) -> SafeString:
    return format_html_join("", '<i class="{}"></i>', ((dot,) for dot in dots))


def dots(delivery: Delivery) -> list[str]:
    """One word an attempt, made or to come; [] when they would not fit, or when there is nothing to tell."""
    made, left = delivery.attempt_count, words.attempts_left(delivery)
    if made + left > DOTS or delivery.status == "succeeded" and made == 1:
        return []
    last = "failed" if delivery.status in ("pending", "cancelled") else delivery.status
    if delivery.last_error == "interrupted" and delivery.status == "pending":
        last = "interrupted"
    return ["failed"] * (made - 1) + [last] * bool(made) + ["left"] * left
