"""``AuthenticationMiddleware``: ``request.user``."""

from __future__ import annotations

import weakref
from types import SimpleNamespace
from typing import Any

from ...core.handlers.loop import LoopMiddleware
from ...utils.functional import SimpleLazyObject
from . import aget_user, get_user

__all__ = ["AuthenticationMiddleware"]


class AuthenticationMiddleware(LoopMiddleware):
    """Who it is, is looked up when ``request.user`` (in async views ``await request.auser()``) is used."""

    def process_request(self, request: Any) -> None:
        """Put the stand-in there."""
        # Not the request itself: it has the stand-in, and the garbage collector would have to find the two.
        asked, session = weakref.ref(request), getattr(request, "session", None)
        known: list[Any] = []

        def request_or_session() -> Any:
            return asked() or SimpleNamespace(session=session)

        def user() -> Any:
            if not known:
                known.append(get_user(request_or_session()))
            return known[0]

        async def auser() -> Any:
            if not known:
                known.append(await aget_user(request_or_session()))
            return known[0]

        request.user = SimpleLazyObject(user)
        request.auser = auser
