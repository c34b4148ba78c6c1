"""The view for static files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...conf import settings
from ...http import Http404, HttpRequest
from ...views.static import file_response
from . import finders

__all__ = ["serve"]


def serve(request: HttpRequest, path: str, insecure: bool = False, **kwargs: Any) -> Any:
    """Return the file; Http404 if there is none, and everywhere when DEBUG is off."""
    if not settings.DEBUG and not insecure:
        raise Http404
    file = finders.find(path.lstrip("/"))
    if file is None or Path(file).is_dir():
        raise Http404(f"'{path}' is not among the static files")
    return file_response(request, Path(file))
