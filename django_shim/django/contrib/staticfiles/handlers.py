"""``ASGIStaticFilesHandler``: static files in front of an application."""

from __future__ import annotations

from typing import Any

from compat.types import Receive, Scope, Send

from ...core.handlers.asgi import ASGIRequest, get_script_prefix, read_body, send_response
from ...core.handlers.static import static_file_response
from ...unserved import NOT_A_PACKAGE, attribute_of
from ...urls import set_script_prefix

__all__ = ["ASGIStaticFilesHandler"]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)


class ASGIStaticFilesHandler:
    """Answers requests for static files while DEBUG is on; everything else goes to ``application``."""

    def __init__(self, application: Any) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            set_script_prefix(get_script_prefix(scope))
            request = ASGIRequest(scope, _NoBody())
            response = await static_file_response(request)
            if response is not None:
                (await read_body(receive)).close()
                try:
                    return await send_response(response, send, scope["method"])
                finally:
                    response.close()
        return await self.application(scope, receive, send)


class _NoBody:
    def read(self, *args: Any) -> bytes:
        return b""

    def close(self) -> None: ...
