"""The base class of middleware that changes the scope."""

from __future__ import annotations

from compat.advice.endpoint import ASGISignature
from compat.advice.handlers import require_application
from compat.types import ASGIApp, Receive, Scope, Send

__all__ = ["BaseMiddleware"]


class BaseMiddleware:
    """Calls ``inner`` with a copy of the scope, so that changes are not visible outside.

    Subclasses change the scope in ``__call__`` and end with ``return await super().__call__(scope, receive,
    send)``. One instance serves all connections, so the data of a connection belongs into its scope, not on
    ``self``.
    """

    __signature__ = ASGISignature()

    def __init__(self, inner: ASGIApp) -> None:
        require_application(inner, type(self).__name__)
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        return await self.inner(dict(scope), receive, send)
