"""``static()``: a route that serves a folder while DEBUG is on."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from compat.exceptions import ImproperlyConfigured

from ...urls import re_path
from ...views.static import serve
from .. import settings

__all__ = ["static"]


def static(prefix: str, view: Callable[..., Any] = serve, **kwargs: Any) -> list[Any]:
    """``urlpatterns += static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT)``; [] without DEBUG."""
    if not prefix:
        raise ImproperlyConfigured("Empty static prefix not permitted")
    if not settings.DEBUG or urlsplit(prefix).netloc:
        return []
    return [re_path(rf"^{re.escape(prefix.lstrip('/'))}(?P<path>.*)$", view, kwargs=kwargs)]
