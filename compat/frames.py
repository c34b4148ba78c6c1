"""Taking a client's messages off its socket, one ahead of the handler and no further.

A ``receive()`` may be anybody's: a middleware's, with time-outs or cancel scopes, which belong to a task. So
``TaskReader`` runs it in one of its own. A server's own ``receive()`` waits for a queue and nothing else, and
``StepReader`` runs it inside the consumer's task, whenever that has nothing to handle: that is one task
switch less per message, and one task less per connection.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import Future
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol

from compat.inbox import Inbox
from compat.types import Message, Receive, Send

__all__ = [
    "FrameReader",
    "Interruptible",
    "StepReader",
    "TaskReader",
    "holds_closes_back",
    "read_frames",
]

LAST = frozenset(("websocket.disconnect", "http.disconnect"))
"""After one of these nothing comes."""

OWNERS = (asyncio.BaseProtocol, asyncio.Queue)
"""Whose methods wait for nothing but a queue: a protocol of uvicorn, and the queue of a communicator."""

STOP_TIMEOUT_S = 2.0
"""How long a ``receive()`` may take to be cancelled."""

_GET = asyncio.Queue.get.__code__

WAKEABLE = hasattr(asyncio.Future, "_callbacks")
"""What ``Inbox.wake`` needs; CPython's futures have it."""


class FrameReader(Protocol):
    """What reads a socket until its last message, or until it is told to stop."""

    @property
    def last(self) -> Message | None:
        """The client's disconnect, once it has been read; it may not have been handled."""

    async def stop(self) -> None:
        """Read no more."""


def read_frames(receive: Receive, inbox: Inbox) -> FrameReader:
    """Begin to fill the place for a frame in ``inbox``; from the task that reads the inbox."""
    if inbox.by_task and WAKEABLE and isinstance(getattr(receive, "__self__", None), OWNERS):
        return StepReader(receive, inbox)
    return TaskReader(receive, inbox)


class TaskReader:
    """Reads in a task."""

    __slots__ = ("last", "task")

    def __init__(self, receive: Receive, inbox: Inbox) -> None:
        self.last: Message | None = None
        self.task = inbox.loop.create_task(self._read(receive, inbox))

    async def _read(self, receive: Receive, inbox: Inbox) -> None:
        try:
            while True:
                message = await receive()
                if message["type"] in LAST:
                    self.last = message
                if inbox.frame is not None:
                    await inbox.vacancy()
                handled_next = inbox.put_frame(message)
                if self.last is not None:
                    return
                if not handled_next:
                    await inbox.vacancy()
        except Exception as error:  # noqa: BLE001 - a server's failure to read is the consumer's to report
            inbox.fail(error)

    async def stop(self) -> None:
        """See ``FrameReader``; a ``receive()`` that cannot be cancelled is not waited for."""
        if not self.task.done():
            self.task.cancel()
            await asyncio.wait((self.task,), timeout=STOP_TIMEOUT_S)


def holds_closes_back() -> bool:
    """Whether the server sends no close while a ``receive()`` is pending, as granian 2.8 does."""
    return "granian" in sys.modules


class Interruptible:
    """The ``receive`` and ``send`` of a server that ``holds_closes_back()``: a close interrupts receiving."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.pending: asyncio.Future[Message] | None = None
        self.closing: asyncio.Event | None = None
        """Set when the close that has interrupted ``pending`` is sent."""

    async def receive(self) -> Message:
        """The server's next message."""
        while True:
            pending = self.pending = asyncio.ensure_future(self._receive())
            try:
                await asyncio.wait((pending,))
            except asyncio.CancelledError:
                pending.cancel()
                raise
            if not pending.cancelled() or self.closing is None:
                return pending.result()
            await self.closing.wait()

    async def send(self, message: Message) -> None:
        """Send ``message``; a close while nothing is received."""
        pending = self.pending
        if message["type"] != "websocket.close" or pending is None or pending.done():
            await self._send(message)
            return
        closing = self.closing = asyncio.Event()
        pending.cancel()
        try:
            await asyncio.wait((pending,))
            await self._send(message)
        finally:
            closing.set()


class StepReader:
    """Runs ``receive()`` for an inbox, up to where it waits; the inbox looks whether that is over.

    The future that ``receive()`` waits for is what the consumer's task waits for. When something comes from a
    layer instead, ``Inbox.wake`` lets the task go on without it.
    """

    __slots__ = ("by_queue", "coroutine", "inbox", "receive")

    def __init__(self, receive: Receive, inbox: Inbox) -> None:
        self.receive = receive
        self.inbox = inbox
        self.coroutine: Coroutine[Any, Any, Message] | None = None
        self.by_queue: bool | None = None
        """``receive()`` waits for a queue, and after that no more. None: it has not waited yet."""
        inbox.reader = self
        inbox.awaited = inbox.wakeups.done

    def step(self) -> Message | None:
        """The client's next message, if it has come; else ``inbox.awaited`` is what it takes."""
        inbox, coroutine = self.inbox, self.coroutine
        if coroutine is None:
            receive: Callable[[], Any] = self.receive
            coroutine = self.coroutine = receive()
        try:
            awaited = coroutine.send(None)
        except StopIteration as returned:
            message: Message = returned.value
        except Exception as error:  # noqa: BLE001 - a server's failure to read is the consumer's to report
            inbox.awaited, inbox.failure = None, error
            return None
        else:
            inbox.awaited = awaited if isinstance(awaited, Future) else self._future_of(awaited)
            if self.by_queue is None:
                waits_in = getattr(getattr(coroutine, "cr_await", None), "cr_code", None)
                self.by_queue = waits_in is _GET
            return None
        self.coroutine = None
        inbox.awaited = None if message["type"] in LAST else inbox.wakeups.done
        return message

    def returned(self, message: Message) -> None:
        """``message`` is what the coroutine has returned to somebody who awaited it when that was over."""
        inbox = self.inbox
        self.coroutine = None
        inbox.turn = True
        if message["type"] in LAST:
            inbox.awaited = None
            inbox.ended = message["type"] == "websocket.disconnect"
        else:
            inbox.awaited = inbox.wakeups.done

    def _future_of(self, awaited: Any) -> asyncio.Future[None]:
        """A future that is done when ``awaited`` is: None (the next turn), or something like a future."""
        loop = self.inbox.loop
        future: asyncio.Future[None] = loop.create_future()
        if awaited is None:
            loop.call_soon(future.set_result, None)
        else:
            awaited._asyncio_future_blocking = False
            awaited.add_done_callback(lambda _: None if future.done() else future.set_result(None))
        return future

    def __await__(self) -> Generator[Any, Any, None]:
        inbox, awaited = self.inbox, self.inbox.awaited
        assert awaited is not None
        inbox.waiter = awaited
        awaited._asyncio_future_blocking = True  # what a task wants of a future that it is to wait for
        return iter((awaited,))  # type: ignore[return-value]  # a generator in C, for one wait

    @property
    def last(self) -> Message | None:
        """See ``FrameReader``."""
        frame = self.inbox.frame
        return frame if frame is not None and frame["type"] in LAST else None

    async def stop(self) -> None:
        """See ``FrameReader``."""
        coroutine, self.coroutine = self.coroutine, None
        self.inbox.awaited = self.inbox.reader = None  # no circle is left to the garbage collector
        if coroutine is not None:
            coroutine.close()
