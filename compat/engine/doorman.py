"""An inbox for code that is no consumer: it passes each message of a channel on at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from compat.engine.inbox import Event, Inbox
from compat.engine.subscription import Subscription
from compat.types import Message

__all__ = ["Doorman", "attached"]


class Doorman(Inbox):
    """An inbox that stores nothing, but passes each message to ``deliver`` at once.

    Other inboxes may have the same message, so ``deliver`` must not change it.
    """

    __slots__ = ("deliver",)

    def __init__(self, loop: asyncio.AbstractEventLoop, deliver: Callable[[Message], None]) -> None:
        super().__init__(loop)
        self.deliver = deliver

    def offer(self, event: Event) -> bool:
        self.deliver(event[1])
        return True

    def hand_on(self) -> None:
        """Deliver the messages that came before this inbox was attached."""
        while (message := self.take()) is not None:
            self.deliver(message)


async def attached(layer: Any, channel: str, deliver: Callable[[Message], None]) -> Subscription:
    """Pass every message for ``channel`` to ``deliver``, until ``end()`` of the returned subscription."""
    inbox = Doorman(asyncio.get_running_loop(), deliver)
    subscription = Subscription(layer, channel, inbox)
    inbox.hand_on()
    return subscription
