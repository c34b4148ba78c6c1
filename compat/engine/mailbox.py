"""The mailbox of a channel that no consumer of this process reads.

Any number of readers may take messages from it, on any event loop or thread. As in an inbox, each message has
a deadline, and cancelling a reader loses nothing.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from compat.clock import steady
from compat.exceptions import ChannelFull
from compat.redis.waiting import settle
from compat.tracing import TRACE_KEY
from compat.types import Message

__all__ = ["DropCounter", "Item", "Mailbox", "QueueOfItems", "Retired"]


Shared = tuple[float, Message, "Callable[[], Message] | None"]
"""A deadline, a message that others have too, and what makes a copy of it (``events.Event``)."""


Item = tuple[float, Message]
"""A message as the in-memory layer of Channels has it in its queues, with its expiry by ``time.time()``."""


class DropCounter(Protocol):
    """An object that counts lost messages, usually the layer."""

    def count_drop(self, channel: str, reason: str, count: int = 1) -> None: ...


class Retired(Exception):
    """The layer has dropped this mailbox; the channel now has another mailbox or an inbox."""


class QueueOfItems:
    """The methods of ``asyncio.Queue`` with which code written for Channels fills the in-memory layer."""

    __slots__ = ()

    channel: str
    capacity: int
    events: Any
    loop: Any
    push: Callable[[Message, float], bool]

    def put_nowait(self, item: Item) -> None:
        """Append a message; raise ``asyncio.QueueFull`` if it, or another one, is lost instead."""
        expiry, message = item
        deadline = steady() + expiry - time.time()
        if self.loop is None or self.loop is asyncio._get_running_loop():
            if not self.push(message, deadline):
                raise asyncio.QueueFull
        else:
            self.loop.call_soon_threadsafe(self.push, message, deadline)

    async def put(self, item: Item) -> None:
        """Append a message; raise ChannelFull, and do not wait, if there is no room."""
        try:
            self.put_nowait(item)
        except asyncio.QueueFull:
            raise ChannelFull(self.channel) from None

    def qsize(self) -> int:
        """Return the number of waiting messages, including expired ones."""
        return len(self.events)

    def empty(self) -> bool:
        """Return True if no message waits."""
        return not self.events

    def full(self) -> bool:
        """Return True if there is no room for another message."""
        return len(self.events) >= self.capacity


class Mailbox(QueueOfItems):
    """The messages of a channel that no consumer of this process reads; safe from any thread and loop."""

    __slots__ = ("capacity", "channel", "events", "lock", "owner", "retired", "room", "waiters")
    loop = None
    """A mailbox belongs to no event loop; compare ``Inbox.loop``."""

    def __init__(self, channel: str, owner: DropCounter | None = None, capacity: int = 100) -> None:
        self.channel = channel
        self.owner = owner
        self.capacity = self.room = capacity
        """The number of messages that may wait; more than ``room`` while earlier ones do."""
        self.events: deque[tuple[float, Message]] = deque()
        self.waiters: list[asyncio.Future[None]] = []
        self.lock = threading.Lock()
        self.retired = False
        """True if the mailbox stores no message any more."""

    def push(self, message: Message, deadline: float) -> bool:
        """Append a message; return False if it was not stored because the mailbox is full or ``retired``.

        ``deadline`` is in seconds of ``clock.steady()``.
        """
        with self.lock:
            expired = self._expire()
            stored = len(self.events) < self.capacity and not self.retired
            if stored:
                self.events.append((deadline, message))
            waiters = tuple(self.waiters)
        self._report(expired)
        # Wake every reader: one that finds no message waits again, and no wake-up is lost by a cancellation.
        for waiter in waiters:
            _wake(waiter)
        return stored

    def replay(self, events: Sequence[Shared]) -> bool:
        """Append a group's earlier messages, beside as many new ones as there is room for.

        Returns False if it is ``retired``; then nothing was stored.
        """
        with self.lock:
            if self.retired:
                return False
            self.capacity = max(self.capacity, len(self.events) + len(events) + self.room)
            for deadline, message, copy in events:
                self.events.append((deadline, message if copy is None else copy()))
            waiters = tuple(self.waiters)
        for waiter in waiters:
            _wake(waiter)
        return True

    async def next_message(self) -> Message:
        """Wait for the next message that has not expired and return it; cancelling the call loses nothing.

        Raises Retired if the mailbox has been retired.
        """
        message: Message = await self._next(self.take)
        return message

    async def _next(self, take: Callable[[], Any]) -> Any:
        loop = asyncio.get_running_loop()
        while True:
            waiter = loop.create_future()
            with self.lock:  # register before ``take``, so that no push from another thread is missed
                if self.retired:
                    raise Retired
                self.waiters.append(waiter)
            try:
                taken = take()
                if taken is not None:
                    return taken
                await waiter
            finally:
                with self.lock:
                    self.waiters.remove(waiter)

    def take(self) -> Message | None:
        """Return the next message that has not expired, or None."""
        with self.lock:
            expired = self._expire()
            message = self.events.popleft()[1] if self.events else None
            if message is not None:
                message.pop(TRACE_KEY, None)
            if not self.events:
                self.capacity = self.room
        self._report(expired)
        return message

    async def get(self) -> Item:
        """Wait for the next message as ``next_message()`` does, and return it with its expiry."""
        item: Item = await self._next(self._take_item)
        return item

    def get_nowait(self) -> Item:
        """Return the next message with its expiry; raise ``asyncio.QueueEmpty`` if none waits."""
        item = self._take_item()
        if item is None:
            raise asyncio.QueueEmpty
        return item

    def _take_item(self) -> Item | None:
        with self.lock:
            expired = self._expire()
            deadline = self.events[0][0] if self.events else 0.0
        self._report(expired)
        message = self.take()
        return None if message is None else (time.time() + deadline - steady(), message)

    def idle(self) -> bool:
        """Return True if no message and no reader waits here."""
        with self.lock:
            expired = self._expire()
            idle = not self.events and not self.waiters
        self._report(expired)
        return idle

    def retire(self) -> bool:
        """Retire the mailbox if it is idle; return whether it is retired now."""
        with self.lock:
            expired = self._expire()
            self.retired = self.retired or (not self.events and not self.waiters)
        self._report(expired)
        return self.retired

    def hand_over(self) -> deque[tuple[float, Message]]:
        """Retire the mailbox, and return the events that wait in it; its readers get Retired."""
        with self.lock:
            self.retired = True
            events, self.events = self.events, deque()
            waiters = tuple(self.waiters)
        for waiter in waiters:
            _wake(waiter)
        return events

    def drop(self) -> None:
        """Forget the events that wait."""
        with self.lock:
            self.events.clear()

    def _expire(self) -> int:
        now, expired = steady(), 0
        while self.events and self.events[0][0] <= now:
            self.events.popleft()
            expired += 1
        return expired

    def _report(self, expired: int) -> None:
        if expired and self.owner is not None:
            self.owner.count_drop(self.channel, "expired", expired)


def _wake(waiter: asyncio.Future[Any]) -> None:
    loop = waiter.get_loop()
    if asyncio._get_running_loop() is loop:
        settle(waiter)
        return
    try:
        loop.call_soon_threadsafe(settle, waiter)
    except RuntimeError:
        pass  # the loop is closed, and its reader has ended with it
