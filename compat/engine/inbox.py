"""The inbox of one consumer: a bounded queue of the layer's messages, and a place for one client frame.

Each message has a deadline. A message that is taken after its deadline is discarded, and the layer counts it
as "expired". Taking a message involves no await, so cancelling the reader loses nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any

from compat.clock import steady
from compat.engine.events import BETWEEN, NOTHING, Event, One, Overflow, is_sent
from compat.engine.mailbox import DropCounter, QueueOfItems
from compat.engine.overflow import Overflowed, has_room
from compat.engine.scheduler import Scheduler
from compat.redis.waiting import settle
from compat.types import Message

if TYPE_CHECKING:
    from compat.engine.cursors import Cursors

__all__ = ["Inbox"]

REPLAYED = 10_000
"""While so many events wait, a history gets no additional room: a client may join its group over and over."""


class Inbox(QueueOfItems):
    """The messages of one consumer: client frames and layer messages, which alternate if both wait.

    Only ``push_threadsafe`` is thread-safe. ``capacity`` limits the layer's messages. There is a separate
    place for one client frame, and the socket is not read again before that place is free (backpressure).
    """

    __slots__ = (
        *("capacity", "channel", "current", "cursors", "drained", "due", "ended"),
        *("events", "failure", "frame", "groups", "loop", "on_overflow", "overflowed", "owner"),
        *("room", "scheduler", "space", "task", "turn", "waiter"),
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        scheduler: Scheduler | None = None,
        events: deque[Event] | None = None,
    ) -> None:
        self.loop = loop
        self.scheduler: Any = scheduler or Scheduler(loop)
        self.channel = ""
        self.owner: DropCounter | None = None
        self.capacity: int = 100
        self.room: int = 100  # the usual capacity; ``capacity`` is larger while a history's messages wait
        self.on_overflow: Overflow = "drop"
        self.events: deque[Event] | tuple[Event, ...] = NOTHING if events is None else events
        """The waiting events: a tuple of none or one, which inboxes share, or an own deque (``own``)."""
        self.frame: Message | None = None
        self.turn = False
        """Which is taken next if a frame and an event both wait: False for the frame, True for the event."""
        self.due = 0.0  # the deadline of the event that was taken last
        self.current: Message | None = None
        """The message whose handler runs; None before the first message, ``BETWEEN`` between two."""
        self.waiter: asyncio.Future[Any] | None = None
        """The future that the consumer's task waits for, or None while it does not wait."""
        self.space: asyncio.Future[None] | None = None
        self.drained: asyncio.Future[None] | None = None
        self.failure: BaseException | None = None
        self.task: asyncio.Task[Any] | None = None
        """The consumer's task; it is cancelled if the inbox overflows and ``on_overflow`` is "close"."""
        self.overflowed = self.ended = False
        """``ended``: a disconnect has been taken, or the engine has begun to handle one."""
        self.groups: set[str] = set()
        """The groups of this channel in the owning layer."""
        self.cursors: Cursors | None = None
        """Where the consumer is in the histories of its groups, if its client may come back."""

    def take_due(self) -> float:
        """Return the deadline of the event that was taken last, by ``steady()``; 0 after that."""
        due, self.due = self.due, 0.0
        return due

    # For the layer

    def belong_to(
        self,
        owner: DropCounter | None,
        channel: str,
        capacity: int = 100,
        on_overflow: Overflow = "drop",
    ) -> None:
        """Make this the inbox of ``channel``; ``owner``, usually the layer, counts lost messages."""
        self.owner, self.channel = owner, channel
        self.capacity, self.room, self.on_overflow = capacity, capacity, on_overflow

    def push(self, message: Message, deadline: float) -> bool:
        """Append a layer's message; call it on the inbox's own event loop.

        ``deadline`` is in seconds of ``clock.steady()``. Returns False if one message was lost: this one, or
        the oldest with "drop_oldest". Returns True otherwise.
        """
        return self.offer(((deadline, message, None),))

    def offer(self, one: One) -> bool:
        """Append an event, which other inboxes may share; return what ``push`` returns."""
        events, waiting = self.events, len(self.events)
        half_full = 2 * waiting >= self.capacity
        if half_full:
            if waiting >= self.capacity:
                return self._overflow(one)
            self.scheduler.backlog.setdefault(self, waiting)
        if events is NOTHING:
            self.events = one
        elif type(events) is deque:
            events.extend(one)
        else:
            self.own().extend(one)
        if self.waiter is not None:
            self.scheduler.call(self, half_full)
        return True

    def replay(self, events: Sequence[Event], *, more: bool = True) -> bool:
        """Append messages of a history as ``push`` does, with additional room for them; return True.

        The capacity grows by their number, and unless ``more`` is False, so that the usual capacity is left
        for new messages. It does not grow while ``REPLAYED`` events wait; messages that are lost are counted.
        """
        if (waiting := len(self.events)) < REPLAYED:
            self.capacity = max(self.capacity, len(events) + max(waiting + more * self.room, self.room))
        lost = [self.offer((event,)) for event in events].count(False)
        if lost and self.owner is not None:
            self.owner.count_drop(self.channel, "overflow", lost)
        return True

    def own(self) -> deque[Event]:
        """Return the waiting events in a deque that may be changed."""
        if type(self.events) is not deque:
            self.events = deque(self.events)
        return self.events

    def follow(self, cursors: Cursors | None) -> None:
        """Tell ``cursors`` of each message that is lost from now on; None: stop that."""
        self.cursors = cursors

    def is_half_full(self) -> bool:
        """Return True while the events take at least half of the capacity."""
        return 2 * len(self.events) >= self.capacity

    def is_behind(self) -> bool:
        """Return True while the inbox is half full and its reader is about to take a message."""
        if self.current is not BETWEEN or not self.is_half_full():
            return False
        return self.waiter is None or bool(self.scheduler.is_called(self))

    def push_threadsafe(self, message: Message, deadline: float) -> None:
        """Append a layer's message from another thread or event loop; a loss is counted later, on the loop.

        Raises RuntimeError if the inbox's loop is closed.
        """
        self.loop.call_soon_threadsafe(self._push_counted, message, deadline)

    def _push_counted(self, message: Message, deadline: float) -> None:
        if not self.push(message, deadline) and self.owner is not None:
            self.owner.count_drop(self.channel, "overflow")

    def _overflow(self, one: One) -> bool:
        if has_room(self):
            return self.offer(one)
        if self.cursors is not None:
            self.cursors.lose()
        if self.on_overflow == "drop_oldest":
            events = self.own()
            try:
                lost = is_sent(events.popleft())
            except IndexError:  # a sync consumer's worker has just taken the last one
                lost = False
            events.extend(one)
            return not lost
        if self.on_overflow == "close" and not self.overflowed:
            self.overflowed, self.capacity = True, 0
            if self.task is not None and not self.ended:  # otherwise the connection is ending already
                self.failure = self.failure or Overflowed()  # in case the handler swallows the cancellation
                self.task.cancel()
        return False

    async def pass_on(self, message: Message) -> None:
        """Append a message of a layer that is read with ``receive()``, and wait until it has been taken."""
        self.push(message, float("inf"))
        while self.events:
            self.drained = drained = self.loop.create_future()
            if not self.events:  # a sync consumer's worker has just taken the last one
                self.drained = None
                return
            await drained

    def _tell_drained(self) -> None:
        if self.drained is not None:
            settle(self.drained)
            self.drained = None

    # For the reader of the socket

    def put_frame(self, frame: Message) -> bool:
        """Store a client frame; the place must be free (``frame is None``).

        Returns True if the consumer's task was waiting, and so takes the frame next.
        """
        self.frame = frame
        waiter = self.waiter
        if waiter is None:
            return False
        self.waiter = None
        settle(waiter)
        return True

    async def vacancy(self) -> None:
        """Wait until the place for a client frame is free."""
        while self.frame is not None:
            self.space = space = self.loop.create_future()
            # A sync consumer's worker may take the frame at any moment, and looks at ``space`` after that.
            if self.frame is None:
                self.space = None
                return
            await space

    def free_frame(self) -> None:
        """Wake the reader that waits in ``vacancy``."""
        space = self.space
        if space is not None:
            self.space = None
            settle(space)

    def fail(self, error: BaseException) -> None:
        """Raise ``error`` in the consumer's task once the waiting messages are taken; nothing follows."""
        self.failure = error
        self._failed()

    def _failed(self) -> None:
        self.loop.call_soon(self.wake)

    # For the consumer's task

    def begin(self) -> None:
        """Record the current task as the consumer's task."""
        self.task = asyncio.current_task(self.loop)

    async def get(self) -> Message:
        """Wait for the next message and return it; raise the error of ``fail`` once no message is left."""
        while (message := self.take()) is None:
            await self.waiting()
        return message

    def waiting(self) -> Awaitable[Any]:
        """Return an awaitable to wait for after ``take()`` returned None; raise the error of ``fail``."""
        if self.failure is not None:
            raise self.failure
        waiter: asyncio.Future[None] = self.loop.create_future()
        self.wait_for(waiter)
        return waiter

    def wait_for(self, future: asyncio.Future[Any]) -> None:
        """Record that the consumer's task waits for ``future``, because no message is left."""
        if not self.events:
            self.events = NOTHING
            self.capacity = min(self.capacity, self.room)
        self.current = BETWEEN
        self.waiter = future

    def pause(self, failed: Message = BETWEEN) -> None:
        """Record that the handler of the current message has returned, or that of ``failed`` has failed."""
        self.current = failed

    def wake(self) -> bool | None:
        """Wake the consumer's task, from a callback of the loop; return True if it waits again by now."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            settle(waiter)
        return None

    def take(self) -> Message | None:
        """Return the next message, or None if none waits; frames and events alternate, the frame first."""
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
        self.turn, cursors = False, self.cursors
        while events:
            if cursors is not None:
                cursors.takes()
            if isinstance(events, tuple):
                (event,) = events
                events = self.events = NOTHING
            else:
                try:
                    event = events.popleft()
                except IndexError:  # "drop_oldest" has removed the last one while this worker thread looked
                    break
            deadline, message, copy = event if cursors is None else cursors.took(event)
            if self.drained is not None and not events:
                self.loop.call_soon_threadsafe(self._tell_drained)  # this may be a worker thread
            if deadline > steady():
                message = message if copy is None else copy()
                self.current, self.due = message, deadline
                return message
            if self.owner is not None:
                self.owner.count_drop(self.channel, "expired")
            if cursors is not None:
                cursors.lose()
        return self.take() if frame is not None else None

    def took(self, frame: Message) -> None:
        """Record ``frame`` as the current message; it was read directly and never stored."""
        self.waiter = None
        self.turn = True
        self.current = frame
        if frame["type"] == "websocket.disconnect":
            self.ended = True

    def _freed(self) -> None:
        self.free_frame()

    # At the end

    def ending(self) -> None:
        """Record that the connection is ending: from now on an overflow loses messages, and ends nothing."""
        if self.on_overflow == "close":
            self.on_overflow = "drop"

    def end(self, *, begun: bool = True) -> None:
        """Record that the disconnect handler runs; ``begun=False``: it does not, though one was taken."""
        self.ended = begun

    def close(self) -> None:
        """Close the inbox; after an overflow, count the waiting messages and all later ones as lost."""
        self.scheduler.backlog.pop(self, None)
        if not self.overflowed:
            return
        left, self.events, self.capacity = self.events, NOTHING, 0
        count = sum(map(is_sent, left))
        if count and self.owner is not None:
            self.owner.count_drop(self.channel, "overflow", count)
