"""The shortcut for a click: claimed in the transaction that stores it, if the engine of this process has room.

Without it a click is like everything else: pending, due, and claimed by the engine's next turn. Knows no engine.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .models import Delivery
    from .models.delivery import State

Claimer = Callable[[Sequence["Delivery"]], "dict[Delivery, State]"]
_claimer: Claimer | None = None


def claim(deliveries: Sequence["Delivery"]) -> "dict[Delivery, State]":
    """Inside `writing()`, before they are inserted: claim what there is room for; return these, each with its State.

    They are sent once this is committed, without a further call.
    """
    return _claimer(deliveries) if _claimer else {}


def lead(to: Claimer | None) -> None:
    """From now on `to` claims clicks; None: nobody does."""
    global _claimer
    _claimer = to
