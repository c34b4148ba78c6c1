"""An application below a path: its scopes have a ``root_path``, and the path that the client sent.

Servers differ here. Daphne leaves the path as it was sent; uvicorn's option ``--root-path`` also puts the
root before it, for proxies that take the root away.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Below"]


class Below:
    """Gives the scopes of ``application`` the ``root_path``.

    A path that does not begin with ``root_path`` stays as it is.
    """

    def __init__(self, application: ASGIApp, root_path: str) -> None:
        self.application = application
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.root_path and scope["type"] != "lifespan":
            scope = {**scope, "root_path": self.root_path}
        await self.application(scope, receive, send)
