"""``static()``: the URL of a static file, for Python code."""

from __future__ import annotations

from urllib.parse import urljoin

from ..conf import settings
from ..utils.encoding import filepath_to_uri

__all__ = ["static"]


def static(path: str) -> str:
    """STATIC_URL and ``path``."""
    return urljoin(str(settings.STATIC_URL or "/"), str(filepath_to_uri(path)).lstrip("/"))
