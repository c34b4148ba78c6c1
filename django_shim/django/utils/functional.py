"""Values that are made when they are first needed."""

from __future__ import annotations

from functools import cached_property

from compat.lazy import LazyObject, SimpleLazyObject, empty

__all__ = ["LazyObject", "SimpleLazyObject", "cached_property", "empty"]
