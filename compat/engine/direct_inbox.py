"""An inbox for code that is not a consumer: it passes each message of a channel to a function at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from compat.engine.events import One
from compat.engine.inbox import Inbox
from compat.engine.subscription import Subscription
from compat.tracing import without_trace
from compat.types import Message

__all__ = ["DirectInbox", "attached"]

log = logging.getLogger("compat.layers")


class DirectInbox(Inbox):
    """An inbox that stores nothing, but passes each message to ``deliver`` at once.

    Other inboxes may have the same message, so ``deliver`` must not change it.
    """

    __slots__ = ("deliver", "on_failure")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[Message], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        super().__init__(loop)
        self.deliver = deliver
        self.on_failure = on_failure

    def offer(self, one: One) -> bool:
        self.deliver(without_trace(one[0][1]))
        return True

    def fail(self, error: BaseException) -> None:
        self.on_failure(error)

    def hand_on(self) -> None:
        """Deliver the messages that came before this inbox was attached."""
        while (message := self.take()) is not None:
            self.deliver(message)


def _report(error: BaseException) -> None:
    log.error("a channel is not read any more: the receive() of its layer has failed", exc_info=error)


async def attached(
    layer: Any,
    channel: str,
    deliver: Callable[[Message], None],
    on_failure: Callable[[BaseException], None] = _report,
) -> Subscription:
    """Pass every message for ``channel`` to ``deliver``, until ``end()`` of the returned subscription.

    ``on_failure(error)`` is called when the ``receive()`` of a layer that cannot push raises; after that no
    message comes. By default the error is logged.
    """
    inbox = DirectInbox(asyncio.get_running_loop(), deliver, on_failure)
    subscription = Subscription(layer, channel, inbox)
    inbox.hand_on()
    return subscription
