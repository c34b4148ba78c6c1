"""What queries are made of: names that say what they need when they are used."""

from __future__ import annotations

from typing import Any

from ...core.exceptions import ObjectDoesNotExist
from ...unserved import needs_django

__all__ = ["QUERIES", "Manager", "ObjectDoesNotExist", "QuerySet"]


class Manager:
    """A base of managers; using one raises."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    @classmethod
    def from_queryset(cls, queryset_class: Any, class_name: str | None = None) -> Any:
        """Return a base class for managers."""
        return type(class_name or "ManagerFromQuerySet", (cls,), {})

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(needs_django(f"{type(self).__name__}.{name}"), name=name)


class QuerySet(Manager):
    """A base of querysets; using one raises."""

    @classmethod
    def as_manager(cls) -> Manager:
        """Return a manager."""
        return Manager()


class _Query:
    """A part of a query."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ImportError(needs_django(f"django.db.models.{type(self).__name__}()"), name="django")


_NAMES = """
    Aggregate Avg Case Count Exists Expression ExpressionWrapper F FilteredRelation Func Max Min OrderBy
    OuterRef Prefetch Q RowRange StdDev Subquery Sum Value ValueRange Variance When Window """.split()

QUERIES: dict[str, type[_Query]] = {name: type(name, (_Query,), {}) for name in _NAMES}
"""Every name of this kind in ``django.db.models``."""
