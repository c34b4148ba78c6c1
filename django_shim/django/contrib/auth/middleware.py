"""``AuthenticationMiddleware``: ``request.user``."""

from __future__ import annotations

from typing import Any

from ...core.handlers.loop import LoopMiddleware
from ...utils.functional import SimpleLazyObject
from . import aget_user, get_user

__all__ = ["AuthenticationMiddleware"]


class AuthenticationMiddleware(LoopMiddleware):
    """Who it is, is looked up when ``request.user`` (in async views ``await request.auser()``) is used."""

    def process_request(self, request: Any) -> None:
        """Put the stand-in there."""
        known: list[Any] = []

        def user() -> Any:
            if not known:
                known.append(get_user(request))
            return known[0]

        async def auser() -> Any:
            if not known:
                known.append(await aget_user(request))
            return known[0]

        request.user = SimpleLazyObject(user)
        request.auser = auser
