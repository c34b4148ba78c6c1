"""A place for the admin: URLs that say that it is not here, and names that ``admin.py`` files import."""

from __future__ import annotations

from ...unserved import attribute_of
from .decorators import action, display, register
from .options import ModelAdmin, StackedInline, TabularInline
from .sites import AdminSite, site

__all__ = [
    "AdminSite",
    "ModelAdmin",
    "StackedInline",
    "TabularInline",
    "action",
    "autodiscover",
    "display",
    "register",
    "site",
]

__getattr__ = attribute_of(__name__)


def autodiscover() -> None:
    """Imports nothing: what would be registered are models."""
