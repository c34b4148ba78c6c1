"""Views as classes: the ones that need no models."""

from __future__ import annotations

from .base import RedirectView, TemplateView, View

__all__ = ["RedirectView", "TemplateView", "View"]
