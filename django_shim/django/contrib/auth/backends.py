"""``BaseBackend``: what a project's own authentication backend may derive from."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async

from ...unserved import NOT_A_PACKAGE, attribute_of

__all__ = ["BaseBackend"]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)


class BaseBackend:
    """Override ``authenticate`` and ``get_user``; the async forms call them in a thread."""

    def authenticate(self, request: Any, **kwargs: Any) -> Any:
        """The user, or None."""
        return None

    async def aauthenticate(self, request: Any, **kwargs: Any) -> Any:
        """As ``authenticate``."""
        return await sync_to_async(self.authenticate)(request, **kwargs)

    def get_user(self, user_id: Any) -> Any:
        """The user of that id, or None."""
        return None

    async def aget_user(self, user_id: Any) -> Any:
        """As ``get_user``."""
        return await sync_to_async(self.get_user)(user_id)
