"""The HTML of one delivery's row in the list. Made in Python, because a busy list renders thousands of them.

As a template the same row took two to three times as long: 60 of them were 40 % of the time of a page.
"""

from functools import lru_cache
from html import escape

from django.utils.safestring import SafeString, mark_safe

from simulator.models import Delivery

from . import words
from .templatetags.ui import clock, countdown, icon, ms

DOTS = 8  # more attempts than that are shown as numbers


def html(delivery: Delivery) -> SafeString:
    """Needs its endpoint loaded, and its interrupted attempts if it `has_others`.

    Only type, place and result come from outside, and are escaped; the rest is our own.
    """
    state = words.state(delivery)
    name, word = words.STATES[state]
    return mark_safe(
        f'<li class="row {state}" data-seq="{delivery.seq}" data-delivery-id="{delivery.pk}" data-status="{delivery.status}" data-state="{state}">'
        f'<a href="/deliveries/{delivery.pk}/">{icon(name)}<span class="type">{escape(delivery.type)}</span>'
        f'<span class="result">{_result(delivery, state, word)}</span>'
        f'<span class="to"><bdi>{escape(words.place(delivery.endpoint))}</bdi></span>'
        f'<span class="when">{_progress(delivery)}<span class="unseen">{word}</span>{clock(delivery.created_at)}</span></a></li>'
    )


def _result(delivery: Delivery, state: str, word: str) -> str:
    if state == "sending":
        return "sending…"
    result = escape(words.result(delivery))
    if state == "succeeded":
        return f'<b>{result}</b> <span title="the whole attempt, our own work included">{ms(delivery.last_duration_ms)}</span>'
    if state == "retrying":
        return f"<b>{result}</b> {countdown(delivery.next_attempt_at)}"
    if not result:
        return word
    return f"<b>{result}</b> {'' if state == 'failed' else word}"


def _progress(delivery: Delivery) -> str:
    """Dots, or numbers where dots would not fit; nothing when there is nothing to tell."""
    made, total = delivery.attempt_count, delivery.attempt_count + words.attempts_left(delivery)
    if shown := dots(delivery):
        return f'<span class="dots" title="attempt {made} of {total}">{_drawn(*shown)}</span>'
    return f'<span class="count">{made}/{total}</span>' if made > 1 else ""


@lru_cache(maxsize=256)
def _drawn(*dots: str) -> SafeString:
    return mark_safe("".join(f'<i class="{dot}"></i>' for dot in dots))


def dots(delivery: Delivery) -> list[str]:
    """One word per attempt, made or to come; [] when they would not fit, or when there is nothing to tell."""
    made, left = delivery.attempt_count, words.attempts_left(delivery)
    if made + left > DOTS or delivery.status == "succeeded" and made == 1:
        return []
    last = "failed" if delivery.status in ("pending", "cancelled") else delivery.status
    if delivery.last_error == "interrupted" and delivery.status == "pending":
        last = "interrupted"
    interrupted = {attempt.number for attempt in getattr(delivery, "interrupted", ())}
    before = ["interrupted" if number in interrupted else "failed" for number in range(1, made)]
    return before + [last] * bool(made) + ["left"] * left


def has_others(delivery: Delivery) -> bool:
    """Not all its unsuccessful attempts are failed automatic ones: some may have been interrupted."""
    unsuccessful = delivery.attempt_count - (delivery.status in ("sending", "succeeded"))
    return unsuccessful > delivery.failed_count
