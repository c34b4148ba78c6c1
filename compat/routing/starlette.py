"""URL patterns among the routes of a Starlette or FastAPI app.

``app.mount("/", URLRouter(...))`` matches every path, so no route after it is ever reached. A
``PatternsRoute`` matches only the paths of its patterns, and leaves others to the routes that follow:

    app.router.routes.append(PatternsRoute(websocket_urlpatterns))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound

from compat.routing import URLRouter
from compat.routing.matching import path_to_route
from compat.types import Receive, Scope, Send

__all__ = ["PatternsRoute"]


class PatternsRoute(BaseRoute):
    """A Starlette route that matches if one of ``routes`` does, for scopes of the type ``protocol``.

    ``routes``: the routes of a ``URLRouter``. Inside a ``Mount``, the rest of the path is matched, and the
    parameters of the mount are in ``scope["url_route"]["kwargs"]``.
    """

    def __init__(self, routes: Sequence[Any], protocol: str = "websocket") -> None:
        self.router = URLRouter(routes)
        self.protocol = protocol

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return ``Match.FULL`` if a pattern matches the path, else ``Match.NONE``."""
        if scope["type"] != self.protocol:
            return Match.NONE, {}
        path = path_to_route(scope)
        added: dict[str, Any] = {"endpoint": self.router}
        if path is None and "app_root_path" not in scope:
            # Outside of mounts: a proxy has stripped root_path, and Starlette matches the whole path.
            path = str(scope["path"]).lstrip("/")
            added["path_remaining"] = path
        if path is None or not self.router.serves(path, self.protocol):
            return Match.NONE, {}
        return Match.FULL, added

    def inner_applications(self, kind: str) -> Iterator[tuple[Any, str]]:
        """Yield the router, for connections of the type ``protocol``."""
        if kind == self.protocol:
            yield self.router, ""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application of the matching pattern."""
        await self.router(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Raise ``NoMatchFound``, because Starlette cannot make URLs of patterns."""
        raise NoMatchFound(name, path_params)

    def __repr__(self) -> str:
        return f"PatternsRoute({self.router.routes!r}, protocol={self.protocol!r})"
