"""``RateLimitMiddleware``: limits the messages per window, for each connection, user or address."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

from compat.engine.refusal import shown
from compat.manager.backends.records import bounded
from compat.manager.exceptions import RateLimitError, create_error_context
from compat.manager.middleware.base import Middleware, Step
from compat.manager.middleware.windows import LocalWindows, RedisWindows, Windows
from compat.manager.typed import Message
from compat.metrics import Throttle
from compat.names import client_key

if TYPE_CHECKING:
    from compat.manager.connections.state import Connection
    from compat.manager.consumer.base import BaseConsumer

__all__ = ["RateLimitMiddleware"]

log = logging.getLogger("compat.manager")

Per = Literal["connection", "user", "address"]


class RateLimitMiddleware(Middleware):
    """Refuses messages over a limit with RateLimitError; ``details["retry_after"]`` is in seconds.

    The limit is ``messages_per_window`` in any ``window_seconds``, and ``burst_size`` of them in any second.
    ``redis``: a ``redis.asyncio`` client; all servers with the same ``key_prefix`` then share the windows.
    Frames that are not messages (not JSON, without a type, too large, a pong that answers no ping) count too,
    and so do messages that earlier middleware has refused. ``excluded_message_types`` pass, and do not count.

    ``per`` says who shares a window. "connection", the default: each connection has its own, and a client
    that reconnects has a new one. "user": all connections of a user; use it only if users are authenticated,
    because otherwise a client can choose a new name. "address": all connections from one client address (with
    IPv6 from one /64); behind a proxy, the server must be configured to see the client's address. A function
    of message and connection returns a key. With "user", connections without a user count by address.
    """

    def __init__(
        self,
        next_middleware: Step | None = None,
        messages_per_window: int = 100,
        window_seconds: float = 60,
        burst_size: int = 100,
        redis: Any = None,
        key_prefix: str = "ratelimit:",
        excluded_message_types: Iterable[str] | None = None,
        *,
        per: Per | Callable[[Message, Connection], str] = "connection",
    ) -> None:
        super().__init__(next_middleware)
        given = {
            "messages_per_window": messages_per_window,
            "window_seconds": window_seconds,
            "burst_size": burst_size,
        }
        for name, value in given.items():
            if value <= 0:
                raise ValueError(f"{name} must be greater than 0, not {value!r}")
        if isinstance(excluded_message_types, str):
            raise TypeError(f"excluded_message_types is a set of types: write {{{excluded_message_types!r}}}")
        if not callable(per) and per not in ("connection", "user", "address"):
            raise ValueError(
                f"per must be 'connection', 'user', 'address' or a function that returns a key, not {per!r}"
            )
        self.messages_per_window = messages_per_window
        self.window_seconds = window_seconds
        self.burst_size = burst_size
        self.redis = redis
        self.key_prefix = key_prefix
        self.excluded_message_types = frozenset(excluded_message_types or ())
        self.per = per
        self._windows: Windows = (
            LocalWindows(messages_per_window, window_seconds, burst_size)
            if redis is None
            else RedisWindows(redis, messages_per_window, window_seconds, burst_size, key_prefix)
        )
        self._throttle = Throttle()

    def key(self, message: Message, connection: Connection) -> str:
        """Return the key of the window in which ``message`` counts."""
        if callable(self.per):
            return self.per(message, connection)
        if self.per == "user" and connection.user_id:
            return f"user:{bounded(connection.user_id)}"
        if self.per != "connection":
            address = client_key(getattr(connection.websocket, "scope", {}))
            if address is not None:
                return f"address:{address}"
        return f"connection:{connection.channel_name}"

    async def process(
        self, message: Message, connection: Connection, consumer: BaseConsumer
    ) -> Message | None:
        await self._count(message, connection)
        return message

    async def refused(self, message: Message, connection: Connection, consumer: BaseConsumer) -> None:
        await self._count(message, connection)

    async def _count(self, message: Message, connection: Connection) -> None:
        if message.type in self.excluded_message_types:
            return
        key = self.key(message, connection)
        verdict = await self._windows.enter(key)
        if verdict.allowed:
            return
        due = self._throttle.due(key)
        if due:
            log.warning(
                "rate limit: %s is over %d in %g s", shown(key), self.messages_per_window, self.window_seconds
            )
        # Round up, so that a client that waits as long as it is told is admitted.
        retry_after = math.ceil(verdict.retry_after_s * 1000) / 1000
        raise RateLimitError(
            f"Rate limit exceeded: {self.messages_per_window} messages in {self.window_seconds:g} s",
            context=create_error_context(
                user_id=connection.user_id or None,
                connection_id=connection.channel_name,
                message_type=message.type,
                component="rate_limit",
                key=key,
            ),
            details={
                "retry_after": retry_after,
                "limit": self.messages_per_window,
                "window_seconds": self.window_seconds,
            },
        )
