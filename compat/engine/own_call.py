"""A consumer whose class overrides ``__call__``: its override sees what a handler raises, as with Channels.

The exception leaves our ``__call__`` while the connection is still open, so the override can send to the
client. After that the connection ends as usual: because of what the override raises, or with StopConsumer.
With Channels ``disconnect()`` would not run, so the override may call it; the engine does not call it again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from compat.engine.socket import says_gone
from compat.exceptions import StopConsumer
from compat.types import Receive, Scope, Send

if TYPE_CHECKING:
    from compat.engine.connection import Connection

__all__ = ["OwnCall"]


class OwnCall:
    """One call of such a consumer: one connection."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: Connection | None = None
        """The connection that is kept open while the override handles the exception."""

    def holds(self, connection: Connection, error: BaseException | None) -> bool:
        """Hold ``connection`` and return True if the override is to get ``error`` before it ends."""
        if self.held is not None or not isinstance(error, Exception) or isinstance(error, StopConsumer):
            return False
        socket, inbox = connection.socket, connection.inbox
        left = socket.gone and says_gone(error)
        if left or inbox.overflowed or connection.reader is None or not socket.websocket:
            return False
        inbox.ending()
        self.held = connection
        consumer: Any = connection.consumer
        if hasattr(consumer, "disconnect"):
            vars(consumer)["disconnect"] = _once(consumer.disconnect, sync=consumer._sync)
        return True

    async def run(self, consumer: Any, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the consumer, and end its connection if it is held."""
        error: BaseException = StopConsumer()
        try:
            try:
                await consumer(scope, receive, send)
            except BaseException as raised:
                if self.held is None or self.held.let_go_if_dropped(raised):
                    raise
                error = raised
            if self.held is not None:
                await self.held.end(error)
        finally:
            del error
            if self.held is not None:
                vars(consumer).pop("disconnect", None)  # it forms a reference cycle
            self.held = None


def _once(disconnect: Callable[..., Any], *, sync: bool) -> Callable[..., Any]:
    """Return ``disconnect`` so that only the first call has an effect."""
    first = [disconnect]

    @functools.wraps(disconnect)
    def called(*args: Any, **kwargs: Any) -> Any:
        if first:
            return first.pop()(*args, **kwargs)
        return None if sync else _nothing()

    return called


async def _nothing() -> None:
    pass
