"""``XFrameOptionsMiddleware``: who may show the pages in a frame."""

from __future__ import annotations

from typing import Any

from ..conf import settings
from ..core.handlers.loop import LoopMiddleware

__all__ = ["XFrameOptionsMiddleware"]


class XFrameOptionsMiddleware(LoopMiddleware):
    """``X-Frame-Options`` as X_FRAME_OPTIONS says (DENY), unless the view has set it or is exempt."""

    def process_response(self, request: Any, response: Any) -> Any:
        """Add the header."""
        if not response.xframe_options_exempt and not response.has_header("X-Frame-Options"):
            response.headers["X-Frame-Options"] = self.get_xframe_options_value(request, response)
        return response

    def get_xframe_options_value(self, request: Any, response: Any) -> str:
        """Return what the header says; a project's subclass may decide by the request."""
        return str(settings.X_FRAME_OPTIONS).upper()
