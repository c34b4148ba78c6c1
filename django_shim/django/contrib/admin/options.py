"""Classes that ``admin.py`` files derive from; nothing makes instances of them."""

from __future__ import annotations

__all__ = ["InlineModelAdmin", "ModelAdmin", "StackedInline", "TabularInline"]


class ModelAdmin:
    """Base of a project's admin classes."""


class InlineModelAdmin:
    """Base of a project's inlines."""


class StackedInline(InlineModelAdmin):
    """An inline, one field below the other."""


class TabularInline(InlineModelAdmin):
    """An inline, as a table."""
