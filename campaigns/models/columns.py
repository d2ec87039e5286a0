"""Column shorthands: checks for enumerations, and keys between hot tables."""

from enum import StrEnum
from typing import Any

from django.db import models
from django.db.models import Q


def one_of(field: str, values: type[StrEnum], *, name: str) -> models.CheckConstraint:
    """Return the constraint that `field` holds one of the enumeration's values."""
    return models.CheckConstraint(
        condition=Q(**{f"{field}__in": [str(v) for v in values]}), name=name
    )


def choices(values: type[StrEnum]) -> list[tuple[str, str]]:
    """Return the enumeration as Django choices, in words for people."""
    return [(str(v), str(v).replace("_", " ").capitalize()) for v in values]


def hot_key(to: str, **options: Any) -> Any:
    """Return a foreign key that the database neither checks nor indexes.

    Hot tables pay for every constraint on each write; `check_sums` looks for
    dangling keys instead.
    """
    return models.ForeignKey(
        to,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        **options,
    )
