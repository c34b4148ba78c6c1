"""Views that come with Django."""

from __future__ import annotations

from .generic import View

__all__ = ["View"]
