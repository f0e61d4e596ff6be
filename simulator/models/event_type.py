"""Event types that users add to the four built-in ones."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import models
from django.utils import timezone

from .. import catalog
from ..ids import PublicId
from ..transaction import writing
from .activity import Activity


class CustomType(models.Model):
    """`example` is the `data` of an event of this type when none is given; `schema` describes it, or is null."""

    id = PublicId("typ")
    type = models.CharField(max_length=100, unique=True)
    description = models.TextField(blank=True)
    example = models.JSONField(default=dict)
    schema = models.JSONField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.type

    @classmethod
    def add(cls, *, actor: str = "api", **fields: Any) -> "CustomType":
        """Fields are already validated, and the type is not taken."""
        with writing():
            custom = cls.objects.create(**fields)
            Activity.note(actor, "added event type", detail=custom.type)
        return custom

    def change(self, *, actor: str = "api", **fields: Any) -> None:
        with writing():
            for name, value in fields.items():
                setattr(self, name, value)
            self.save(update_fields=list(fields))
            Activity.note(actor, "changed event type", detail=self.type)

    def remove(self, *, actor: str = "api") -> None:
        """Events of this type stay as they are."""
        with writing():
            self.delete()
            Activity.note(actor, "deleted event type", detail=self.type)


def known_types() -> list[str]:
    """Every type that can be sent and subscribed to, the built-in ones first."""
    return [*catalog.BUILT_IN, *CustomType.objects.order_by("id").values_list("type", flat=True)]


def sample_of(type: str) -> dict[str, Any]:
    """Fresh `data` for an event of this type. KeyError for an unknown type."""
    return sampler(type)()


def sampler(type: str) -> Callable[[], dict[str, Any]]:
    """A function that makes `data` for many events of this type without further queries. KeyError as above."""
    if type in catalog.BUILT_IN:
        return partial(catalog.sample, type)
    custom = CustomType.objects.filter(type=type).first()
    if custom is None:
        raise KeyError(type)
    return partial(dict, custom.example)
