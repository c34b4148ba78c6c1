"""``staticfiles_urlpatterns()``: for a URLconf that serves static files by itself."""

from __future__ import annotations

from typing import Any

from ...conf import settings
from ...conf.urls.static import static
from .views import serve

__all__ = ["staticfiles_urlpatterns"]


def staticfiles_urlpatterns(prefix: str | None = None) -> list[Any]:
    """Return the pattern, when DEBUG is on. (The application serves static files then anyway.)"""
    return static(prefix or settings.STATIC_URL, view=serve)
