"""The inbox of a sync consumer, whose reader is a worker thread."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from compat.engine.inbox import Event, Inbox
from compat.engine.scheduler import Scheduler
from compat.types import Message

__all__ = ["SyncInbox"]


class Bridge(Protocol):
    """What this module needs of a ``fast.bridge.Bridge``."""

    def schedule(self) -> bool:
        """Let a worker look; return False where none is needed."""
        ...

    def wake(self) -> None:
        """Let the connection's task look."""
        ...


class SyncInbox(Inbox):
    """An inbox in which a push queues the connection for a worker, instead of waking a task."""

    __slots__ = ("bridge",)

    def __init__(self, loop: asyncio.AbstractEventLoop, scheduler: Scheduler, bridge: Bridge) -> None:
        # One and the same deque for the loop, which appends, and for the workers.
        super().__init__(loop, scheduler, deque())
        self.bridge = bridge

    def offer(self, event: Event) -> bool:
        """See ``Inbox.offer``."""
        waiting = len(self.events)
        if waiting >= self.capacity:
            return self._overflow(event)
        self.events.append(event)
        self.scheduler.call(self, 2 * waiting >= self.capacity)
        return True

    def wake(self) -> None:
        """Let a worker look."""
        self.bridge.schedule()

    def put_frame(self, frame: Message) -> bool:
        """See ``Inbox.put_frame``."""
        super().put_frame(frame)
        return self.bridge.schedule()

    def free_frame(self) -> None:
        """Let the reader of the socket go on, where the place for a frame is free; on the loop."""
        if self.frame is None:
            super().free_frame()

    def _freed(self) -> None:
        pass  # in a worker; the loop frees the place

    def _failed(self) -> None:
        self.bridge.wake()
