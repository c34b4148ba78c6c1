"""What consumers, and their applications, have of resumable connections."""

from __future__ import annotations

import functools
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from compat.layers import get_channel_layer
from compat.resume.app import is_offered, serve
from compat.resume.delivery import delivered, delivered_in_thread
from compat.resume.outliving import App
from compat.resume.rules import resume_seconds
from compat.resume.wire import hide_offer
from compat.types import Receive, Scope, Send

__all__ = ["AsyncDelivery", "Delivery", "Returning", "Returns"]


class Returning:
    """The part of a consumer's application that lets clients come back."""

    consumer_class: Any

    if TYPE_CHECKING:

        def fresh(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            """Return the awaitable that serves a new connection."""
            ...

        def origin_checked(self, run: App, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            """Return ``run(scope, receive, send)``, after the Origin check if it is due."""
            ...

    def connection(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the awaitable that serves a connection, for routers that await it themselves."""
        if not (scope.get("subprotocols") and is_offered(scope)):
            return self.fresh(scope, receive, send)
        consumer = self.consumer_class
        seconds = resume_seconds(consumer.resume_seconds, f"{consumer.__name__}.resume_seconds")
        if not seconds:
            hide_offer(scope)
            return self.fresh(scope, receive, send)
        try:
            layer = get_channel_layer(consumer.channel_layer_alias)
        except Exception:  # noqa: BLE001 - the engine reports it when the consumer asks for its layer
            layer = None
        serving = functools.partial(serve, consumer, seconds, layer, self.fresh)
        return self.origin_checked(serving, scope, receive, send)


class Returns:
    """What a consumer's class may say of clients that come back.

    ``resume_key(scope)``, a class method, names the principal of a connection where ``connect()``
    authenticates by itself; by default it is the user of ``scope["user"]``. Its ``repr()`` is compared, so it
    is a str, bytes, a number, or a tuple of these. ``resume_allowed(scope)``, a class method, is asked at
    each return; False refuses it. Both may be async.
    """

    resume_seconds: float | None = None
    """How long a connection waits for its client; 0: not at all; None: ``CHANNEL_RESUME_SECONDS``."""


class Delivery:
    """``delivered()`` of a sync consumer."""

    def delivered(self, timeout: float | None = None) -> bool:
        """Return True when the client has all that was sent so far, over cuts too.

        False after ``timeout`` seconds, when the client has left, and for a client that cannot say so.
        """
        return delivered_in_thread(self, timeout)


class AsyncDelivery:
    """``delivered()`` of an async consumer."""

    async def delivered(self, timeout: float | None = None) -> bool:
        """Return True when the client has all that was sent so far; see ``Delivery.delivered``."""
        return await delivered(self, timeout)
