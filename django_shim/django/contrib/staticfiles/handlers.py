"""``ASGIStaticFilesHandler``: static files in front of an application."""

from __future__ import annotations

import io
from typing import Any

from compat.types import Receive, Scope, Send

from ...core.handlers.asgi import ASGIRequest, get_script_prefix, send_response
from ...core.handlers.static import static_file_response
from ...urls import set_script_prefix

__all__ = ["ASGIStaticFilesHandler"]


class ASGIStaticFilesHandler:
    """Answers requests for static files while DEBUG is on; everything else goes to ``application``."""

    def __init__(self, application: Any) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            set_script_prefix(get_script_prefix(scope))
            try:
                request = ASGIRequest(scope, io.BytesIO())
            except ValueError:  # a query string that is not UTF-8
                return await self.application(scope, receive, send)
            response = await static_file_response(request)
            if response is not None:
                try:
                    return await send_response(response, scope, send)
                finally:
                    response.close()
        return await self.application(scope, receive, send)
