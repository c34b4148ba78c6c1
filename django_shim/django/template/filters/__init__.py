"""The filters, in one library. Their behaviour is Django's ("Built-in template tags and filters")."""

from __future__ import annotations

from ..library import Library
from . import dates, lists, markup, numbers, text

__all__ = ["BUILTIN_FILTERS"]

BUILTIN_FILTERS = Library()
for _module in (dates, lists, markup, numbers, text):
    BUILTIN_FILTERS.filters.update(_module.register.filters)
