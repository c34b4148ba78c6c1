"""Mailboxes: the bounded queues between a channel layer and whoever reads a channel.

``Inbox`` belongs to one consumer: one reader, one event loop, pushed into by a layer, and fed one client
frame at a time by the socket's reader. ``Mailbox`` belongs to a channel that no consumer of this process
owns: any number of readers, on any event loop or thread, one after another or side by side.

Both keep messages with their deadlines; a message whose deadline has passed is thrown away when it reaches
the head, counted by the owner under "expired". Neither ever suspends between taking a message and
returning it, so a cancelled reader loses nothing.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Literal, Protocol

from compat.clock import steady
from compat.types import Message
from compat.wakeups import wakeups_of

__all__ = ["HEARTBEAT", "DropCounter", "Event", "Inbox", "Mailbox", "Overflow", "Retired"]

Overflow = Literal["drop", "drop_oldest", "close"]
"""What a full inbox does: refuse the newest, throw out the oldest, or have its client closed (1013)."""


HEARTBEAT = "compat.heartbeat"
"""Type of an event that nobody has sent: it is not counted when it is lost."""

Event = tuple[float, Message, Callable[[], Message] | None]
"""(deadline, message, copy): a message for many is copied when it is taken, and until then they share it.

A copy for each at once would be a hundred thousand objects for the garbage collector, where ten thousand
members have ten messages waiting.
"""


class _Nothing(deque[Any]):
    """The events of an inbox in which nothing waits."""

    def append(self, event: Any) -> None:
        raise RuntimeError("nothing is kept here: see Inbox.offer")


NOTHING: deque[Event] = _Nothing(maxlen=0)


class DropCounter(Protocol):
    """Who is told of messages that are lost: the layer."""

    def count_drop(self, channel: str, reason: str, count: int = 1) -> None: ...


class Steps(Protocol):
    """A reader of the socket that runs inside the consumer's task, and is awaited when that is idle."""

    def step(self) -> Message | None:
        """What the client has said, if it has; sets ``Inbox.awaited``."""

    def __await__(self) -> Generator[Any, Any, None]: ...


class Inbox:
    """What one consumer reads: client frames and layer messages, alternating when both wait.

    Not thread-safe, but for ``push_threadsafe``. ``capacity`` bounds the layer's messages; a client frame has
    a place of its own, and the socket is not read again before that place is free (backpressure).
    """

    __slots__ = (
        "awaited",
        "between",
        "called",
        "capacity",
        "channel",
        "drained",
        "ended",
        "events",
        "failure",
        "frame",
        "groups",
        "loop",
        "on_overflow",
        "overflowed",
        "owner",
        "reader",
        "space",
        "task",
        "turn",
        "waiter",
        "wakeups",
    )

    by_task = True
    """The task that runs the consumer takes out of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.channel = ""
        self.owner: DropCounter | None = None
        self.capacity: int = 100
        self.on_overflow: Overflow = "drop"
        self.events: deque[Event] = NOTHING
        """A deque of its own only while something waits, since most connections are idle most of the time."""
        self.frame: Message | None = None
        self.turn = False
        """Whose turn it is when a frame and an event both wait: False the frame's."""
        self.waiter: asyncio.Future[None] | None = None
        self.reader: Steps | None = None
        self.awaited: asyncio.Future[Any] | None = None
        """What ``reader`` waits for: a step is worth while when it is done. None: it has no further step."""
        self.wakeups = wakeups_of(loop)
        self.called = False
        """A wake-up is on its way."""
        self.between = False
        """The reader gives way for a turn of the loop, between two messages."""
        self.space: asyncio.Future[None] | None = None
        self.drained: asyncio.Future[None] | None = None
        self.failure: BaseException | None = None
        self.task: asyncio.Task[Any] | None = None
        """The task to cancel when the inbox overflows and ``on_overflow`` is "close"."""
        self.overflowed = False
        self.ended = False
        """The client's disconnect has been taken."""
        self.groups: set[str] = set()
        """Groups that the owning layer has put this channel into."""

    def push(self, message: Message, deadline: float) -> bool:
        """Append a layer's message; only on the inbox's own loop.

        ``deadline`` is in seconds of ``clock.steady()``. Returns True when nothing was lost, False when
        exactly one message was: this one, or with "drop_oldest" the one at the head.
        """
        return self.offer((deadline, message, None))

    def offer(self, event: Event) -> bool:
        """``push`` for an event that may be in other inboxes too; returns what ``push`` does."""
        events, waiting = self.events, len(self.events)
        half_full = 2 * waiting >= self.capacity
        if half_full:
            if waiting >= self.capacity:
                return self._overflow(event)
            self.wakeups.crowd[self] = None
        if events is NOTHING:
            events = self.events = deque()
        events.append(event)
        if self.waiter is not None:
            self.wakeups.call(self, half_full)
        return True

    def relieves(self) -> bool:
        """Whether this is half full, and the reader is about to take from it (see ``WakeUps.relief``)."""
        return (self.called or self.between) and 2 * len(self.events) >= self.capacity

    def push_threadsafe(self, message: Message, deadline: float) -> None:
        """Append a layer's message from another thread or loop; a loss is counted when it happens.

        Raises RuntimeError when the inbox's loop is closed.
        """
        self.loop.call_soon_threadsafe(self._push_counted, message, deadline)

    def _push_counted(self, message: Message, deadline: float) -> None:
        if not self.push(message, deadline) and self.owner is not None:
            self.owner.count_drop(self.channel, "overflow")

    def _overflow(self, event: Event) -> bool:
        if self.on_overflow == "drop_oldest":
            try:
                lost = _is_sent(self.events.popleft())
            except IndexError:  # a sync consumer's worker has just taken the last one
                lost = False
            if self.events is NOTHING:
                self.events = deque()
            self.events.append(event)
            return not lost
        if self.on_overflow == "close" and not self.overflowed:
            self.overflowed = True
            if self.task is not None and not self.ended:  # else its end is under way
                self.task.cancel()
        return False

    def close(self) -> None:
        """Nobody takes any more. After an overflow, what waits and what still comes is counted as lost."""
        self.wakeups.crowd.pop(self, None)
        if not self.overflowed:
            return
        left, self.events, self.capacity = self.events, NOTHING, 0
        count = sum(map(_is_sent, left))
        if count and self.owner is not None:
            self.owner.count_drop(self.channel, "overflow", count)

    def put_frame(self, frame: Message) -> bool:
        """Hand over a client frame; the place must be free (``frame is None``). True: it is handled next."""
        self.frame = frame
        waiter = self.waiter
        if waiter is None:
            return False
        self.waiter = None
        if not waiter.done():
            waiter.set_result(None)
        return True

    def fail(self, error: BaseException) -> None:
        """The socket cannot be read any more: the reader gets ``error`` once the messages are taken."""
        self.failure = error
        self.loop.call_soon(self.wake)

    def wake(self) -> None:
        """Let the consumer's task look again; only from a callback of the loop, and not inside of a task."""
        waiter, self.waiter = self.waiter, None
        if waiter is None:
            return
        of_socket = waiter is self.awaited
        if not of_socket:
            _settle(waiter)
        elif not waiter.done():  # the task is to go on without it
            callbacks: list[Any] | None = waiter._callbacks
            for resume, context in callbacks or ():
                # There may be others: a future of asyncio.shield() has a plain function of its own.
                if getattr(resume, "__self__", None) is self.task:
                    waiter.remove_done_callback(resume)
                    context.run(resume, self.wakeups.done)
                    return

    async def vacancy(self) -> None:
        """Wait until the place for a client frame is free."""
        while self.frame is not None:
            self.space = space = self.loop.create_future()
            if (
                self.frame is None
            ):  # a sync consumer's worker takes at any moment, and then looks at ``space``
                self.space = None
                return
            await space

    async def put(self, message: Message) -> None:
        """Append a message from a layer that is asked for one at a time; returns when it has been taken."""
        self.push(message, float("inf"))
        while self.events:
            self.drained = self.loop.create_future()
            await self.drained

    def _tell_drained(self) -> None:
        if self.drained is not None:
            _settle(self.drained)
            self.drained = None

    async def get(self) -> Message:
        """The next message; raises what ``fail`` was given when there is nothing else to come."""
        while (message := self.take()) is None:
            await self.waiting()
        return message

    def waiting(self) -> Awaitable[None]:
        """What to await when ``take()`` found nothing. Raises what ``fail`` was given."""
        if self.failure is not None:
            raise self.failure
        if not self.events:
            self.events = NOTHING
        if self.reader is not None and self.awaited is not None:
            return self.reader
        self.waiter = waiter = self.loop.create_future()
        return waiter

    def take(self) -> Message | None:
        """The next message if one is waiting. A frame and events alternate, the frame first."""
        events = self.events
        frame = self.frame
        self.waiter = None
        if frame is None and self.awaited is not None and self.awaited.done():
            assert self.reader is not None
            frame = self.frame = self.reader.step()
        if frame is not None and not (self.turn and events):
            self.frame = None
            self.turn = True
            if frame["type"] == "websocket.disconnect":
                self.ended = True
            if self.space is not None:
                self._free()
            return frame
        self.turn = False
        while events:
            try:
                deadline, message, copy = events.popleft()
            except IndexError:  # dropped by "drop_oldest" while a worker thread looked
                break
            if self.drained is not None and not events:
                self.loop.call_soon_threadsafe(self._tell_drained)  # a sync consumer takes in a worker thread
            if deadline > steady():
                return message if copy is None else copy()
            if self.owner is not None:
                self.owner.count_drop(self.channel, "expired")
        return self.take() if frame is not None else None

    def _free(self) -> None:
        space = self.space
        if space is not None:
            self.space = None
            _settle(space)


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
        """True when nothing waits here and nobody waits for it."""
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


def _is_sent(event: Event) -> bool:
    return event[1].get("type") != HEARTBEAT


def _wake(waiter: asyncio.Future[Any]) -> None:
    loop = waiter.get_loop()
    if asyncio._get_running_loop() is loop:
        _settle(waiter)
        return
    try:
        loop.call_soon_threadsafe(_settle, waiter)
    except RuntimeError:
        pass  # that loop has ended, and its reader with it


def _settle(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_result(None)
