"""The short way of a click: claimed in the transaction that stores it, when the engine of this process has room.

Without it a click is what everything else is: pending, due, and claimed by the engine's next turn. Knows no engine.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .models import Delivery

Claimer = Callable[[Sequence["Delivery"]], bool]
_claimer: Claimer | None = None


def claim(deliveries: Sequence["Delivery"]) -> bool:
    """Inside `writing()`, right after they were inserted. True when all leave by themselves once this is committed."""
    return _claimer is not None and _claimer(deliveries)


def lead(to: Claimer | None) -> None:
    """From now on `to` claims them; None: nobody does."""
    global _claimer
    _claimer = to
