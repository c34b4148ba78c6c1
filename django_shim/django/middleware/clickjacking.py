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
        if not response.xframe_options_exempt:
            response.headers.setdefault("X-Frame-Options", str(settings.X_FRAME_OPTIONS).upper())
        return response
