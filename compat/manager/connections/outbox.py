"""``Outbox``: the queue of frames to one client. It keeps their order, and a slow client delays no other.

``push`` is for messages to many clients, and never waits. ``send`` is for the connection's own endpoint, and
returns when the frame has been passed to the server, so an endpoint is no faster than its client reads. While
a frame is being written, others wait in the queue. One task per connection, made when it is first needed,
writes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocketDisconnect

from compat.codes import ABNORMAL, INTERNAL_ERROR, TRY_AGAIN_LATER
from compat.engine.events import Overflow
from compat.engine.parts import scheduler_of
from compat.engine.shielding import uncancel
from compat.manager.frames import Frame
from compat.manager.statistics import Statistics
from compat.redis.waiting import settle

if TYPE_CHECKING:
    from compat.manager.connections.state import Connection

__all__ = ["Limits", "Outbox"]

log = logging.getLogger("compat.manager")


class Limits:
    """How much may wait for one client, and what happens beyond that."""

    __slots__ = ("frames", "overflow", "size")

    def __init__(self, frames: int, size: int, overflow: Overflow = "drop") -> None:
        self.frames = frames
        self.size = size
        """The limit in bytes."""
        self.overflow: Overflow = overflow


class Outbox:
    """The frames that wait for one client; only ``push_soon`` may be called outside its event loop.

    ``on_broken(connection, code)`` is called once: with 1006 if the client is gone, with 1013 if the limits
    are exceeded and ``overflow`` is "close".
    """

    __slots__ = (
        "_appended",
        "_broken",
        "_busy",
        "_code",
        "_limits",
        "_loop",
        "_on_broken",
        "_queue",
        "_scheduler",
        "_sender",
        "_size",
        "_statistics",
        "_task",
        "_waiter",
        "_waiting",
        "connection",
    )

    def __init__(
        self,
        connection: Connection,
        limits: Limits,
        statistics: Statistics,
        on_broken: Callable[[Connection, int], Any],
    ) -> None:
        self.connection = connection
        self._limits = limits
        self._statistics = statistics
        self._on_broken = on_broken
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Frame] = deque()
        self._size = 0
        self._appended = 0
        """How many frames have been queued so far."""
        self._busy = False
        """True while a frame is being written."""
        self._broken = False
        self._code = ABNORMAL
        """The code with which the outbox has broken, for senders that notice before the connection ends."""
        self._sender: asyncio.Task[Any] | None = None
        """The task that writes a frame of its own, or None; ``discard`` cancels it."""
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        """The future that the writing task waits for while the queue is empty, else None."""
        self._scheduler = scheduler_of(self._loop)
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        """(number of a frame, future of its sender), in order."""

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def broken(self) -> bool:
        """True if nothing can be sent any more."""
        return self._broken

    def push(self, frame: Frame) -> bool:
        """Queue ``frame``; return False if a frame was lost, this one or an older one."""
        if self._queue:
            if not self._has_room(frame):
                return self._overflow(frame)
        elif self._broken:
            self._statistics.lose("gone")
            return False
        self._append(frame)
        return True

    def push_soon(self, frame: Frame) -> None:
        """Call ``push`` from another thread or event loop."""
        try:
            self._loop.call_soon_threadsafe(self.push, frame)
        except RuntimeError:  # the loop is closed, and so is the connection
            self._statistics.lose("gone")

    async def send(self, frame: Frame) -> None:
        """Send ``frame`` after the waiting ones, and return when it has been passed to the server.

        Raises WebSocketDisconnect if the client is gone, also if the connection is ended meanwhile.
        """
        if self._broken:
            raise self._gone()
        if self._busy or self._queue:
            self._append(frame)
            await self.drained()
            return
        self._busy, self._sender = True, asyncio.current_task(self._loop)
        try:
            await self._write(frame)
        except asyncio.CancelledError:
            if self._sender is not None or uncancel():  # another than ``discard`` has cancelled the task, too
                raise
            raise self._gone() from None
        finally:
            self._busy, self._sender = False, None
            if self._queue:
                self.wake()
            else:  # one that was cancelled has not told who waits for it
                self._settle(self._appended)

    async def drained(self) -> None:
        """Wait until all waiting frames are written; raise WebSocketDisconnect if the client is gone."""
        if self._queue or self._busy:
            written: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append((self._appended, written))
            await written
        if self._broken:
            raise self._gone()

    def discard(self) -> None:
        """Drop the waiting frames, accept no more, and end a ``send`` that the client does not read."""
        self._broken = True
        if self._queue:
            self._statistics.lose("gone", len(self._queue))
        self._queue.clear()
        self._size = 0
        self._settle()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        sender, self._sender = self._sender, None
        if sender is not None and sender is not asyncio.current_task():
            sender.cancel()

    def _append(self, frame: Frame) -> None:
        self._queue.append(frame)
        self._size += frame.size
        self._appended += 1
        if self._waiter is not None:
            self._scheduler.call(self)
        elif self._task is None:
            self._task = self._loop.create_task(self._write_all())

    def wake(self) -> None:
        """Wake the writing task."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            settle(waiter)

    def _has_room(self, frame: Frame) -> bool:
        limits = self._limits
        return len(self._queue) < limits.frames and self._size + frame.size <= limits.size

    def _overflow(self, frame: Frame) -> bool:
        queue, overflow = self._queue, self._limits.overflow
        self._statistics.drop(self.connection, len(queue))
        if overflow == "drop_oldest":
            self._size -= queue.popleft().size
            while queue and not self._has_room(frame):  # it may be as large as several of them
                self._statistics.drop(self.connection, len(queue))
                self._size -= queue.popleft().size
            self._append(frame)
        elif overflow == "close":
            self._break(TRY_AGAIN_LATER)
        return False

    async def _write_all(self) -> None:
        queue, write, create_future = self._queue, self._write, self._loop.create_future
        while True:
            while not queue or self._busy:
                self._waiter = waiter = create_future()
                await waiter
            self._busy = True
            try:
                while queue:
                    frame = queue.popleft()
                    self._size -= frame.size
                    await write(frame)
            except WebSocketDisconnect:
                self._statistics.lose("gone")
                return
            finally:
                self._busy = False

    async def _write(self, frame: Frame) -> None:
        """Pass a frame to the server; raise WebSocketDisconnect if that fails."""
        connection = self.connection
        text, data, size = frame
        try:
            if text is not None:
                await connection.websocket.send_text(text)
            else:
                await connection.websocket.send_bytes(data)
        except (WebSocketDisconnect, RuntimeError, OSError):
            self._break(ABNORMAL)
            raise self._gone() from None
        except Exception as error:
            log.exception("connection %s: the websocket cannot send", connection.channel_name)
            self._break(INTERNAL_ERROR)
            raise self._gone() from error
        connection.told(size)
        self._statistics.count_sent(size)
        if self._waiting:
            self._settle(self._appended - len(self._queue))

    def _break(self, code: int) -> None:
        if not self._broken:
            self._code = code
            self.discard()
            self._on_broken(self.connection, code)

    def _gone(self) -> WebSocketDisconnect:
        return WebSocketDisconnect(self.connection.close_code or self._code)

    def _settle(self, number: float = float("inf")) -> None:
        """Wake the senders of the frames up to ``number``."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= number:
            _, written = waiting.popleft()
            settle(written)
