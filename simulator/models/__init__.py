"""The nouns, one per file."""

from .activity import Activity
from .attempt import Attempt
from .batch import Batch
from .delivery import Delivery
from .endpoint import Endpoint
from .event import Event
from .event_type import CustomType
from .idempotency import IdempotencyKey
from .secret import Secret
from .seq import Seq

__all__ = [
    "Activity",
    "Attempt",
    "Batch",
    "CustomType",
    "Delivery",
    "Endpoint",
    "Event",
    "IdempotencyKey",
    "Secret",
    "Seq",
]
