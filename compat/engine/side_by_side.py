"""Run several handlers of one consumer at the same time, if its ``concurrency`` is more than 1."""

from __future__ import annotations

import asyncio
import contextlib

from compat.engine.connection import Connection
from compat.engine.contracts import concurrency_of
from compat.engine.cursors import Progress
from compat.engine.ending import DISCONNECTS
from compat.engine.events import BETWEEN
from compat.engine.inbox import Inbox
from compat.engine.reader import LAST, TaskReader
from compat.engine.scheduler import turn
from compat.engine.shielding import is_a_handlers_own, shield
from compat.engine.socket import handled
from compat.exceptions import StopConsumer
from compat.redis.waiting import settle
from compat.types import Message, Receive

__all__ = ["converse_side_by_side"]

HANDLERS_TIMEOUT_S = 0.5
"""Seconds that handlers may continue after the client's disconnect before they are cancelled."""


class SideBySide:
    """The handlers of one consumer that run at the same time, each in a separate task."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.most = concurrency_of(connection.consumer)
        self.running: dict[asyncio.Task[None], int] = {}
        """The handlers that may run, oldest first, with the numbers of their messages (0: a client's)."""
        self.taken = self.begun = 0
        """How many messages of the layer have been taken, and up to which one handlers have begun."""
        self.failed: Message = BETWEEN
        """The message whose handler was the first to fail."""
        self.told: asyncio.Task[None] | None = None
        """The handler of a disconnect that was told over the layer."""
        self.stays = False
        """True once a handler that called ``disconnect()`` has returned, and so suppressed StopConsumer."""
        self.left: asyncio.Future[None] = connection.inbox.loop.create_future()
        """Done when the client's disconnect has been read."""

    async def take(self) -> Message:
        """Wait for the next message and return it."""
        message = await self.connection.inbox.get()
        self.taken += not self.connection.inbox.turn
        return message

    async def start(self, message: Message) -> None:
        """Start the handler of ``message``; raise the error of an earlier one.

        Before that, wait for a handler that has called ``disconnect()``, because this ends the consumer.
        """
        running, inbox = self.running, self.connection.inbox
        await self._disconnected()
        self._raise_failure()
        self.begun = self.taken
        handler = inbox.loop.create_task(self._handled(message))
        running[handler] = 0 if inbox.turn else self.taken
        if message.get("type") in DISCONNECTS:
            self.told = handler

    async def wait_for_place(self, message: Message) -> None:
        """Wait until another handler may start after that of ``message``; raise a handler's error.

        The inbox counts as busy only while no handler returns: a sender waits until its reader takes more.
        """
        running, inbox = self.running, self.connection.inbox
        if len(running) >= self.most and not any(task.done() for task in running):
            inbox.pause(message)
            await asyncio.wait((*running, self.left), return_when=asyncio.FIRST_COMPLETED)
            if not any(task.done() for task in running):  # they may wait for a client that has left
                await self.idle(HANDLERS_TIMEOUT_S)
            self.pause()
        self._raise_failure()
        for task in [task for task in running if task.done()]:
            del running[task]

    def pause(self) -> None:
        """Record that the next message may be taken, unless a handler has called ``disconnect()``."""
        if not self.has_disconnected():
            self.connection.inbox.pause()

    def _raise_failure(self) -> None:
        failure = self.connection.inbox.failure
        if self.failed is not BETWEEN and failure is not None:
            raise failure

    def has_disconnected(self) -> bool:
        """Return True if a message of the layer, or another handler, has called ``disconnect()``."""
        return self.connection.socket.parted or not (self.told is None or _has_returned(self.told))

    async def _disconnected(self) -> None:
        """Wait while a handler runs that has called ``disconnect()``, or will do so."""
        while self.failed is BETWEEN and self.has_disconnected() and not self.stays:
            running = [task for task in self.running if not task.done()]
            if not running:
                break
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)

    async def _handled(self, message: Message) -> None:
        connection = self.connection
        handled.set(message)
        try:
            await connection.observed(connection.dispatch(message), message)
        except BaseException as error:
            if connection.goes_on_after(error):
                return
            if not isinstance(error, asyncio.CancelledError) or is_a_handlers_own(error):
                if self.failed is BETWEEN:
                    self.failed = message
                    connection.inbox.fail(error)  # wakes the task that waits for the next message
            raise
        self.stays = self.stays or connection.socket.parted_by is message

    def progress(self) -> Progress:
        """See ``contracts.Work``; all messages taken since the oldest running handler's count as running.

        So do those since the oldest one whose handler has failed, or has not begun.
        """
        running = [number for task, number in self.running.items() if not _has_returned(task)]
        oldest = next(filter(None, running), self.begun + 1)
        busy = bool(running) or self.connection.inbox.current is not BETWEEN
        return Progress(self.taken + 1 - oldest, busy=busy)

    async def flush(self) -> None:
        """Do nothing: these handlers send directly, and queue no frames."""

    def write_rest(self) -> None:
        """Do nothing, as ``flush``."""

    async def idle(self, timeout_s: float = 0.0) -> None:
        """Wait until no handler runs; cancel those that still run after ``timeout_s`` seconds.

        A handler that has called ``disconnect()`` has no time limit; it ends the consumer.
        """
        running = self.running
        if running and timeout_s:
            await asyncio.wait(running, timeout=timeout_s)
            await self._disconnected()
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for task in running:
            if not task.cancelled():
                task.exception()  # otherwise asyncio logs that it was never retrieved

    def reader(self, receive: Receive, inbox: Inbox) -> TaskReader:
        """Return a reader of the client's socket that also notes when the client has left."""

        async def read() -> Message:
            message = await receive()
            if message["type"] in LAST:
                settle(self.left)
            return message

        return TaskReader(read, inbox)


def _has_returned(handler: asyncio.Task[None]) -> bool:
    return handler.done() and not handler.cancelled() and handler.exception() is None


async def converse_side_by_side(connection: Connection) -> None:
    """Run a consumer like ``loop.converse``, with up to ``concurrency`` handlers at once.

    The handlers of the first message (the connect) and of the disconnect run alone. When the client leaves,
    the running handlers are cancelled after ``HANDLERS_TIMEOUT_S``; after an error they are cancelled at
    once. As in the plain loop, the disconnect is not read before the frames that came before it are taken.
    """
    inbox, dispatch = connection.inbox, connection.dispatch
    handlers = SideBySide(connection)
    error: BaseException | None = None
    begun = False
    try:
        connection.begin(handlers.reader, work=handlers)
        message = await handlers.take()
        while True:
            if not begun or inbox.ended:
                begun = True
                with shield() if inbox.ended else contextlib.nullcontext():
                    try:
                        await handlers.idle(HANDLERS_TIMEOUT_S)
                    except asyncio.CancelledError:
                        inbox.end(begun=False)  # so the end of the connection runs the disconnect handler
                        raise
                    if inbox.ended and handlers.has_disconnected():
                        raise StopConsumer
                    try:
                        await connection.observed(dispatch(message), message)
                    except Exception as raised:
                        if not connection.goes_on_after(raised):
                            raise
            else:
                await handlers.start(message)
            handlers.pause()
            connection.limit_stay()
            await turn()  # a handler that waits for nothing is over then
            await handlers.wait_for_place(message)
            message = await handlers.take()
            if inbox.failure is not None:
                inbox.end(begun=False)  # ``message`` may be the disconnect, which is not handled here
                raise inbox.failure
    except BaseException as raised:
        if connection.let_go_if_dropped(raised):
            raise
        error = raised
    if isinstance(error, StopConsumer) and inbox.failure is not None and not inbox.overflowed:
        error = inbox.failure  # the error of a handler that still ran when the client left
    if error is inbox.failure:
        inbox.pause(handlers.failed)  # what was taken last may not have been handled
    await connection.end(error)
