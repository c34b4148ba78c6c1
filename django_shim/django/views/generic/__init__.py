"""Views as classes: the ones that need no models."""

from __future__ import annotations

from ...unserved import attribute_of
from .base import RedirectView, TemplateView, View

__all__ = ["RedirectView", "TemplateView", "View"]

__getattr__ = attribute_of(__name__)
