"""The short way of a click: claimed in the transaction that stores it, when the engine of this process has room.

Without it a click is what everything else is: pending, due, and claimed by the engine's next turn. Knows no engine.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .models import Delivery
    from .models.delivery import State

Claimer = Callable[[Sequence["Delivery"]], "dict[Delivery, State]"]
_claimer: Claimer | None = None


def claim(deliveries: Sequence["Delivery"]) -> "dict[Delivery, State]":
    """Inside `writing()`, before they are inserted: those that were claimed, and the state to insert them in.

    They leave by themselves once this is committed.
    """
    return _claimer(deliveries) if _claimer else {}


def lead(to: Claimer | None) -> None:
    """From now on `to` claims them; None: nobody does."""
    global _claimer
    _claimer = to
