"""One log line for a websocket that no route of a Starlette or FastAPI app matches, as of a URLRouter."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from starlette.routing import Match, Router

from compat.engine.refusal import listed, shown
from compat.security.origin import parts
from compat.types import Receive, Scope, Send

__all__ = ["log_unrouted"]

logger = logging.getLogger("compat.routing")


def log_unrouted(application: Any) -> None:
    """Have the routers of ``application`` log the websockets that they refuse, because no route matches.

    Which route matches is theirs to say, as before. A router with a ``default`` of its own is left alone.
    """
    for part in parts(application):
        app = part.application
        # The router of an application; a router that is mounted is a part itself.
        router = app if isinstance(app, Router) else getattr(app, "router", None)
        if isinstance(router, Router):
            _log(router, part.path)


def _log(router: Router, path: str) -> None:
    if router.default == router.not_found:
        router.default = _Unrouted(router, path)


class _Unrouted:
    """A router's ``default``: logs a websocket, and answers as the router does by itself."""

    def __init__(self, router: Router, path: str) -> None:
        self._router = router
        self._path = path
        """The path at which the router is mounted."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            path, known = shown(scope.get("path", "")), dict.fromkeys(self._paths())
            slash = " There is a route for the path with a slash at its end." if self._slash(scope) else ""
            logger.warning(
                "websocket %s refused with 403: no route matches. Tried: %s.%s", path, listed(known), slash
            )
        await self._router.not_found(scope, receive, send)

    def _paths(self) -> Iterator[str]:
        """Yield the paths of the innermost applications."""
        for part in parts(self._router, self._path):
            itself, *inside = parts(part.application, depth=1)
            if not inside and not hasattr(itself.application, "methods"):  # of a route for HTTP
                yield part.path

    def _slash(self, scope: Scope) -> bool:
        longer = {**scope, "path": f"{scope.get('path', '')}/"}
        return any(route.matches(longer)[0] is not Match.NONE for route in self._router.routes)
