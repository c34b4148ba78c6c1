"""The mailbox of a channel that no consumer of this process owns.

Any number of readers take from it, on any event loop or thread. As in an inbox, a message has a deadline, and
a reader that is cancelled loses nothing.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Any, Protocol

from compat.clock import steady
from compat.types import Message

__all__ = ["DropCounter", "Mailbox", "Retired", "settle"]


class DropCounter(Protocol):
    """Counts messages that are lost: the layer."""

    def count_drop(self, channel: str, reason: str, count: int = 1) -> None: ...


class Retired(Exception):
    """The layer has forgotten this mailbox: the channel has another one, or an inbox."""


class Mailbox:
    """A channel's messages while no consumer of this process owns it; safe from any thread and loop."""

    __slots__ = ("capacity", "channel", "events", "lock", "owner", "retired", "waiters")
    loop = None
    """No loop owns a mailbox (see ``Inbox.loop``)."""

    def __init__(self, channel: str, owner: DropCounter | None = None, capacity: int = 100) -> None:
        self.channel = channel
        self.owner = owner
        self.capacity = capacity
        self.events: deque[tuple[float, Message]] = deque()
        self.waiters: list[asyncio.Future[None]] = []
        self.lock = threading.Lock()
        self.retired = False
        """Nothing is stored here any more, and nothing read."""

    def push(self, message: Message, deadline: float) -> bool:
        """Append a message; False when it was not stored: the mailbox is full, or ``retired``."""
        with self.lock:
            expired = self._expire()
            stored = len(self.events) < self.capacity and not self.retired
            if stored:
                self.events.append((deadline, message))
            waiters = tuple(self.waiters)
        self._report(expired)
        # Every reader is woken: the ones that find nothing wait again, and none can be forgotten.
        for waiter in waiters:
            _wake(waiter)
        return stored

    async def get(self) -> Message:
        """The next message that has not expired; waits for one. Cancelling it loses nothing.

        Raises Retired when the mailbox is.
        """
        loop = asyncio.get_running_loop()
        while True:
            waiter = loop.create_future()
            with self.lock:  # before the look, or a push from another thread could go unseen
                if self.retired:
                    raise Retired
                self.waiters.append(waiter)
            try:
                message = self.take()
                if message is not None:
                    return message
                await waiter
            finally:
                with self.lock:
                    self.waiters.remove(waiter)

    def take(self) -> Message | None:
        """The next message that has not expired, if there is one."""
        with self.lock:
            expired = self._expire()
            message = self.events.popleft()[1] if self.events else None
        self._report(expired)
        return message

    def idle(self) -> bool:
        """Return True when no message and no reader waits here."""
        with self.lock:
            expired = self._expire()
            idle = not self.events and not self.waiters
        self._report(expired)
        return idle

    def retire(self) -> bool:
        """Store nothing any more, if this is idle; False when it is not."""
        with self.lock:
            expired = self._expire()
            self.retired = self.retired or (not self.events and not self.waiters)
        self._report(expired)
        return self.retired

    def hand_over(self) -> deque[tuple[float, Message]]:
        """Retire, whatever waits here, and return that."""
        with self.lock:
            self.retired = True
            events, self.events = self.events, deque()
        return events

    def _expire(self) -> int:
        now, expired = steady(), 0
        while self.events and self.events[0][0] <= now:
            self.events.popleft()
            expired += 1
        return expired

    def _report(self, expired: int) -> None:
        if expired and self.owner is not None:
            self.owner.count_drop(self.channel, "expired", expired)

    def qsize(self) -> int:
        """How many messages wait, expired ones included (as ``asyncio.Queue.qsize``)."""
        return len(self.events)

    def empty(self) -> bool:
        """True when no message waits (as ``asyncio.Queue.empty``)."""
        return not self.events


def _wake(waiter: asyncio.Future[Any]) -> None:
    loop = waiter.get_loop()
    if asyncio._get_running_loop() is loop:
        settle(waiter)
        return
    try:
        loop.call_soon_threadsafe(settle, waiter)
    except RuntimeError:
        pass  # that loop has ended, and its reader with it


def settle(waiter: asyncio.Future[Any]) -> None:
    """Let the task that awaits ``waiter`` go on."""
    if not waiter.done():
        waiter.set_result(None)
