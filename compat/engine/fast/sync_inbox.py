"""The inbox of a sync consumer, whose reader is a worker thread."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from compat.engine.events import One
from compat.engine.fast.pool import Pool
from compat.engine.inbox import Inbox
from compat.engine.reader import LAST
from compat.engine.scheduler import Scheduler
from compat.types import Message

__all__ = ["SyncInbox"]


class Bridge(Protocol):
    """What this module uses of a ``fast.bridge.Bridge``."""

    pool: Pool

    def schedule(self) -> bool:
        """Queue the connection for a worker; return False if that is not needed."""
        ...

    def is_due(self) -> bool:
        """Return True if a worker is about to take a message, and in no handler that is known to be slow."""
        ...

    def wake(self) -> None:
        """Wake the connection's task."""
        ...

    def limit_stay(self) -> None:
        """Limit how long the consumer may stay after its client has left."""
        ...


class SyncInbox(Inbox):
    """An inbox in which a push queues the connection for a worker, instead of waking a task."""

    __slots__ = ("bridge",)

    def __init__(self, loop: asyncio.AbstractEventLoop, scheduler: Scheduler, bridge: Bridge) -> None:
        # One deque for the whole time, because the loop appends to it while workers take from it.
        super().__init__(loop, scheduler, deque())
        self.bridge = bridge

    def offer(self, one: One) -> bool:
        """Append an event as ``Inbox.offer`` does, and queue the connection for a worker."""
        waiting = len(self.events)
        half_full = 2 * waiting >= self.capacity
        if half_full:
            if waiting >= self.capacity:
                kept = self._overflow(one)
                self.scheduler.call(self, True)  # a worker may have taken the last one meanwhile, and be gone
                return kept
            self.scheduler.backlog.setdefault(self, waiting)
        self.own().extend(one)
        self.scheduler.call(self, half_full)
        return True

    def is_behind(self) -> bool:
        """Return True while the inbox is half full and a worker is about to take a message."""
        return self.is_half_full() and (self.scheduler.is_called(self) or self.bridge.is_due())

    def wake(self) -> None:
        """Queue the connection for a worker, unless one has taken the message already."""
        if self.events or self.frame is not None:
            self.bridge.schedule()

    def put_frame(self, frame: Message) -> bool:
        """Store a client frame as ``Inbox.put_frame`` does, and queue the connection for a worker."""
        super().put_frame(frame)
        if frame["type"] in LAST:  # nothing wakes the task if the handler neither sends nor stops
            self.bridge.limit_stay()
        return self.bridge.schedule()

    def free_frame(self) -> None:
        """Wake the reader of the socket if the place for a frame is free; called on the event loop."""
        if self.frame is None:
            super().free_frame()

    def shrink(self) -> None:
        """Have room for as many as usual, if nothing waits of a history; called on the event loop."""
        if not self.events:
            self.capacity = min(self.capacity, self.room)

    def _freed(self) -> None:
        self.bridge.pool.vacant.append(self)  # this runs in a worker; the loop wakes the reader

    def _failed(self) -> None:
        self.bridge.wake()
