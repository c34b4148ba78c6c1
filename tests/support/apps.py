"""Applications and middleware that only say what reached them."""

from __future__ import annotations

from typing import Any

__all__ = ["App", "Middleware", "call"]


class App:
    """An application that keeps the scope of its last call, and returns its own name."""

    def __init__(self, name: str = "app") -> None:
        self.name = name
        self.scope: dict[str, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        self.scope = dict(scope)
        return self.name

    @property
    def url_route(self) -> Any:
        return self.scope["url_route"]


class Middleware:
    """Keeps what it wraps under `name`: "inner" in Channels' middleware, "app" in Starlette's."""

    def __init__(self, inner: Any, name: str = "inner") -> None:
        self.name = name
        setattr(self, name, inner)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        return await getattr(self, self.name)(dict(scope), receive, send)


async def call(app: Any, path: str, kind: str = "websocket", **scope: Any) -> Any:
    """What `app` returns for a scope that comes from no server, when nothing is received or sent."""
    return await app({"type": kind, "path": path, **scope}, None, None)
