"""``LoggingMiddleware``: logs a line for each incoming message, and one for its result."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from compat.engine.refusal import shown
from compat.manager.middleware.base import Middleware, Step
from compat.manager.typed import Message

if TYPE_CHECKING:
    from compat.manager.connections.state import Connection
    from compat.manager.consumer.base import BaseConsumer

__all__ = ["LoggingMiddleware"]


class LoggingMiddleware(Middleware):
    """Logs a message's type, size, user and connection, and then its duration and result.

    It never logs the content. ``level`` applies to both lines; a failure is logged as a WARNING.
    """

    def __init__(
        self,
        next_middleware: Step | None = None,
        *,
        logger: logging.Logger | None = None,
        level: int = logging.INFO,
    ) -> None:
        super().__init__(next_middleware)
        self.logger = logger or logging.getLogger("compat.manager.messages")
        self.level = level

    async def process(
        self, message: Message, connection: Connection, consumer: BaseConsumer
    ) -> Message | None:
        self.logger.log(
            self.level,
            "request %s: %s bytes from user %s on %s",
            _on_one_line(message.type),
            "?" if message.size is None else message.size,
            _on_one_line(connection.user_id or "-"),
            connection.channel_name,
        )
        return message

    async def finished(
        self,
        message: Message,
        connection: Connection,
        consumer: BaseConsumer,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        if error is not None:
            self.logger.warning(
                "response %s: %s after %.1f ms on %s: %s",
                _on_one_line(message.type),
                getattr(error, "error_code", type(error).__name__),
                1000 * seconds,
                connection.channel_name,
                _on_one_line(str(error)),
            )
            return
        self.logger.log(
            self.level,
            "response %s: done in %.1f ms, %d frames sent to %s so far",
            _on_one_line(message.type),
            1000 * seconds,
            connection.message_count,
            connection.channel_name,
        )


def _on_one_line(text: str) -> str:
    """Return a client's ``text``, shortened and without line breaks."""
    return shown(text)[1:-1]
