"""Fields by name: they take any arguments and do nothing, so that the error is about their model."""

from __future__ import annotations

from typing import Any

__all__ = ["FIELDS", "Field"]


class Field:
    """Stands where a field would."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...


_NAMES = """
    AutoField BigAutoField BigIntegerField BinaryField BooleanField CharField CommaSeparatedIntegerField
    DateField DateTimeField DecimalField DurationField EmailField FileField FilePathField FloatField
    ForeignKey GenericIPAddressField ImageField IntegerField JSONField ManyToManyField OneToOneField
    PositiveBigIntegerField PositiveIntegerField PositiveSmallIntegerField SlugField SmallAutoField
    SmallIntegerField TextField TimeField URLField UUIDField GeneratedField CheckConstraint UniqueConstraint
    Index """.split()

FIELDS: dict[str, type[Field]] = {"Field": Field, **{name: type(name, (Field,), {}) for name in _NAMES}}
"""Every name of this kind in ``django.db.models``; constraints and indexes stand in models as well."""
