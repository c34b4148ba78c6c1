"""``staticfiles_storage``: the URL of a static file."""

from __future__ import annotations

from typing import Any

from ...templatetags.static import static
from . import finders

__all__ = ["StaticFilesStorage", "staticfiles_storage"]


class StaticFilesStorage:
    """Files as the finders find them."""

    def url(self, name: str) -> str:
        """Its URL."""
        return static(name)

    def path(self, name: str) -> Any:
        """Its place, or None."""
        return finders.find(name)

    def exists(self, name: str) -> bool:
        """Is it there?"""
        return finders.find(name) is not None


staticfiles_storage = StaticFilesStorage()
