"""Frames take a short cut to the server, unless a base class of the application's wants to see them."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from compat.consumer import AsyncConsumer

__all__ = ["ShortCut"]

_shipped_send = AsyncConsumer.send


class ShortCut(AsyncConsumer):
    """Closes the short cut of ``AsyncWebsocketConsumer.send()`` if its ``super().send()`` is not ours.

    That method may belong to a base class that comes later, or be a patch of ``AsyncConsumer.send``. Frames
    of a connection that begins meanwhile go through it, as the accept and the close do.
    """

    def _compat_conversation(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        conversation = super()._compat_conversation(scope, receive, send)
        if getattr(super().send, "__func__", None) is not _shipped_send:
            self._compat_own_send = None
        return conversation
