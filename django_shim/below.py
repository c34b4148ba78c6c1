"""An application below a path: its scopes have a ``root_path``, and the path that the client sent.

Servers differ here. Daphne leaves the path as it was sent; uvicorn's option ``--root-path`` also puts the
root before it, for proxies that take the root away.
"""

from __future__ import annotations

from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Below"]

HEADER = b"daphne-root-path"
"""With it a proxy names the ``root_path`` of one connection, percent-encoded."""


class Below:
    """Gives the scopes of ``application`` the ``root_path``, or that of the header Daphne-Root-Path.

    The application does not see the header. A path that does not begin with ``root_path`` stays as it is.
    """

    def __init__(self, application: ASGIApp, root_path: str) -> None:
        self.application = application
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            scope = self._scope(scope)
        await self.application(scope, receive, send)

    def _scope(self, scope: Scope) -> Scope:
        headers = scope["headers"]
        named = [value for name, value in headers if name == HEADER]
        if not named:
            return {**scope, "root_path": self.root_path} if self.root_path else scope
        return {
            **scope,
            "root_path": unquote(named[-1].decode("latin1")),
            "headers": [(name, value) for name, value in headers if name != HEADER],
        }
