"""The base of middleware that puts something into the scope."""

from __future__ import annotations

from compat.endpoint import ASGISignature
from compat.handlers import require_application
from compat.types import ASGIApp, Receive, Scope, Send

__all__ = ["BaseMiddleware"]


class BaseMiddleware:
    """Calls ``inner`` with a copy of the scope, so that nothing outside sees what is put into it.

    Subclasses change the scope in ``__call__`` and end with ``return await super().__call__(scope, receive,
    send)``. One instance serves all connections: what belongs to a connection goes into its scope, never onto
    ``self``.
    """

    __signature__ = ASGISignature()

    def __init__(self, inner: ASGIApp) -> None:
        require_application(inner, type(self).__name__)
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        return await self.inner(dict(scope), receive, send)
