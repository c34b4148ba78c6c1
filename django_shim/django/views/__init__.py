"""Views that come with Django."""

from __future__ import annotations

from ..unserved import attribute_of
from .generic.base import View

__all__ = ["View"]

__getattr__ = attribute_of(__name__)
