"""``MessageMiddleware``: the place for a request's messages."""

from __future__ import annotations

from typing import Any

from compat.exceptions import ImproperlyConfigured

from ...core.handlers.loop import LoopMiddleware
from .storage import Storage

__all__ = ["MessageMiddleware"]


class MessageMiddleware(LoopMiddleware):
    """Needs SessionMiddleware before it."""

    def process_request(self, request: Any) -> None:
        """Make the place."""
        if not hasattr(request, "session"):
            raise ImproperlyConfigured(
                "MessageMiddleware keeps messages in the session: put "
                "'django.contrib.sessions.middleware.SessionMiddleware' before it in MIDDLEWARE."
            )
        request._messages = Storage(request.session)

    def process_response(self, request: Any, response: Any) -> Any:
        """Return ``response``: the session has the messages already."""
        return response
