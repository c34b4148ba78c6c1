"""The inbox of one consumer: a bounded queue that layers push into, with a place for a client's frame.

A message has a deadline; one whose deadline has passed is thrown away when it reaches the head, and counted
by the owner under "expired". Nothing waits between taking a message and returning it, so a reader that is
cancelled loses nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from compat.clock import steady
from compat.engine.mailbox import DropCounter, settle
from compat.engine.scheduler import Scheduler
from compat.types import Message

__all__ = ["BETWEEN", "HEARTBEAT", "Event", "Inbox", "Overflow"]

Overflow = Literal["drop", "drop_oldest", "close"]
"""What a full inbox does: refuse the newest, throw out the oldest, or have its client closed (1013)."""

HEARTBEAT = "compat.heartbeat"
"""Type of an event that the engine itself makes: it is not counted when it is lost."""

BETWEEN: Message = {"type": "between two messages"}
"""The current message while no handler runs, so that an idle consumer does not keep its last."""

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


class Inbox:
    """What one consumer reads: client frames and layer messages, alternating when both wait.

    Not thread-safe, but for ``push_threadsafe``. ``capacity`` bounds the layer's messages; a client frame has
    a place of its own, and the socket is not read again before that place is free (backpressure).
    """

    __slots__ = (
        "capacity",
        "channel",
        "current",
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
        "scheduler",
        "space",
        "task",
        "turn",
        "waiter",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        scheduler: Scheduler | None = None,
        events: deque[Event] = NOTHING,
    ) -> None:
        self.loop = loop
        self.scheduler: Any = scheduler or Scheduler(loop)
        self.channel = ""
        self.owner: DropCounter | None = None
        self.capacity: int = 100
        self.on_overflow: Overflow = "drop"
        self.events = events
        """A deque of its own only while something waits, since most connections are idle most of the time."""
        self.frame: Message | None = None
        self.turn = False
        """Whose turn it is when a frame and an event both wait: False the frame's."""
        self.current: Message | None = None
        """The message whose handler runs; None before the first, and ``BETWEEN`` between two."""
        self.waiter: asyncio.Future[Any] | None = None
        """What the reader waits for, while it does."""
        self.space: asyncio.Future[None] | None = None
        self.drained: asyncio.Future[None] | None = None
        self.failure: BaseException | None = None
        self.task: asyncio.Task[Any] | None = None
        """The reader's, which is cancelled when the inbox overflows and ``on_overflow`` is "close"."""
        self.overflowed = False
        self.ended = False
        """The client's disconnect has been taken."""
        self.groups: set[str] = set()
        """Groups that the owning layer has put this channel into."""

    # For the layer

    def belong_to(
        self,
        owner: DropCounter | None,
        channel: str,
        capacity: int = 100,
        on_overflow: Overflow = "drop",
    ) -> None:
        """Be the inbox of ``channel``; ``owner`` is told of what is lost."""
        self.owner, self.channel = owner, channel
        self.capacity, self.on_overflow = capacity, on_overflow

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
            self.scheduler.backlog[self] = None
        if events is NOTHING:
            events = self.events = deque()
        events.append(event)
        if self.waiter is not None:
            self.scheduler.call(self, half_full)
        return True

    def is_behind(self) -> bool:
        """Return True while this is half full and its reader is about to take from it."""
        if self.current is not BETWEEN or 2 * len(self.events) < self.capacity:
            return False
        return self.waiter is None or bool(self.scheduler.is_called(self))

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

    async def put(self, message: Message) -> None:
        """Append a message from a layer that is asked for one at a time; returns when it has been taken."""
        self.push(message, float("inf"))
        while self.events:
            self.drained = self.loop.create_future()
            await self.drained

    def _tell_drained(self) -> None:
        if self.drained is not None:
            settle(self.drained)
            self.drained = None

    # For the reader of the socket

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

    async def vacancy(self) -> None:
        """Wait until the place for a client frame is free."""
        while self.frame is not None:
            self.space = space = self.loop.create_future()
            # A sync consumer's worker takes at any moment, and then looks at ``space``.
            if self.frame is None:
                self.space = None
                return
            await space

    def free_frame(self) -> None:
        """Let the reader of the socket go on."""
        space = self.space
        if space is not None:
            self.space = None
            settle(space)

    def fail(self, error: BaseException) -> None:
        """Have the consumer's task get ``error`` once the messages are taken: nothing more can be read."""
        self.failure = error
        self._failed()

    def _failed(self) -> None:
        self.loop.call_soon(self.wake)

    # For the consumer's task

    def begin(self) -> None:
        """Note that the current task is the one that takes from here."""
        self.task = asyncio.current_task(self.loop)

    async def get(self) -> Message:
        """Return the next message; raise what ``fail`` was given when there is nothing else to come."""
        while (message := self.take()) is None:
            await self.waiting()
        return message

    def waiting(self) -> Awaitable[Any]:
        """Return what to await when ``take()`` found nothing; raise what ``fail`` was given."""
        if self.failure is not None:
            raise self.failure
        waiter: asyncio.Future[None] = self.loop.create_future()
        self.wait_for(waiter)
        return waiter

    def wait_for(self, future: asyncio.Future[Any]) -> None:
        """Note that the consumer's task waits for ``future`` now: nothing is left to be taken."""
        if not self.events:
            self.events = NOTHING
        self.current = BETWEEN
        self.waiter = future

    def pause(self) -> None:
        """Note that the handler of the current message has returned."""
        self.current = BETWEEN

    def wake(self) -> None:
        """Let the consumer's task look again; only from a callback of the loop, and not inside of a task."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            settle(waiter)

    def take(self) -> Message | None:
        """Return the next message, or None. A frame and events alternate, the frame first."""
        events = self.events
        frame = self.frame
        self.waiter = None
        if frame is not None and not (self.turn and events):
            self.frame, self.turn, self.current = None, True, frame
            if frame["type"] == "websocket.disconnect":
                self.ended = True
            if self.space is not None:
                self._freed()
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
                message = message if copy is None else copy()
                self.current = message
                return message
            if self.owner is not None:
                self.owner.count_drop(self.channel, "expired")
        return self.take() if frame is not None else None

    def took(self, frame: Message) -> None:
        """Note that ``frame`` is the current message, which has not been in its place."""
        self.waiter = None
        self.turn = True
        self.current = frame
        if frame["type"] == "websocket.disconnect":
            self.ended = True

    def _freed(self) -> None:
        self.free_frame()

    # At the end

    def end(self) -> None:
        """Note that the disconnect is being handled, though the client's own has not been taken."""
        self.ended = True

    def close(self) -> None:
        """Take no more. After an overflow, what waits and what still comes is counted as lost."""
        self.scheduler.backlog.pop(self, None)
        if not self.overflowed:
            return
        left, self.events, self.capacity = self.events, NOTHING, 0
        count = sum(map(_is_sent, left))
        if count and self.owner is not None:
            self.owner.count_drop(self.channel, "overflow", count)


def _is_sent(event: Event) -> bool:
    return event[1].get("type") != HEARTBEAT
