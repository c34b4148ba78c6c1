"""URL patterns among the routes of a Starlette or FastAPI app.

``app.mount("/", URLRouter(...))`` takes every path there is, so that no route after it is ever reached. A
``PatternsRoute`` takes the paths that its patterns match and leaves the others to the routes that follow:

    app.router.routes.append(PatternsRoute(websocket_urlpatterns))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound

from compat.matching import path_to_route
from compat.routing import URLRouter
from compat.types import Receive, Scope, Send

__all__ = ["PatternsRoute"]


class PatternsRoute(BaseRoute):
    """A Starlette route that matches where one of ``routes`` does, for scopes of the type ``protocol``.

    ``routes``: what ``URLRouter`` takes. Works inside a ``Mount`` as well: what the mount took from the path
    is taken off, and its parameters are in ``scope["url_route"]["kwargs"]``.
    """

    def __init__(self, routes: Sequence[Any], protocol: str = "websocket") -> None:
        self.router = URLRouter(routes)
        self.protocol = protocol

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """``Match.FULL`` where a pattern takes the path, else ``Match.NONE``."""
        if scope["type"] != self.protocol:
            return Match.NONE, {}
        path = path_to_route(scope)
        added: dict[str, Any] = {"endpoint": self.router}
        if path is None and "app_root_path" not in scope:
            # Outside of mounts. A proxy has stripped root_path, and Starlette matches what is left as well.
            path = str(scope["path"]).lstrip("/")
            added["path_remaining"] = path
        if path is None or not self.router.serves(path, self.protocol):
            return Match.NONE, {}
        return Match.FULL, added

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application of the pattern that matches."""
        await self.router(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Raises ``NoMatchFound``: URLs of patterns are not made by Starlette."""
        raise NoMatchFound(name, path_params)

    def __repr__(self) -> str:
        return f"PatternsRoute({self.router.routes!r}, protocol={self.protocol!r})"
