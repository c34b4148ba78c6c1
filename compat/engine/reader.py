"""Read a client's messages from its socket, one ahead of the handler and no further.

A ``receive()`` may be anybody's: a middleware's, with time-outs or cancel scopes, which belong to a task. So
it runs in a task of its own.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Protocol

from compat.engine.inbox import Inbox
from compat.types import Message, Receive, Send

__all__ = ["LAST", "Interruptible", "SocketReader", "TaskReader", "holds_closes_back"]

LAST = frozenset(("websocket.disconnect", "http.disconnect"))
"""After one of these nothing comes."""

STOP_TIMEOUT_S = 2.0
"""How long a ``receive()`` may take to be cancelled."""


class SocketReader(Protocol):
    """What reads a socket until its last message, or until it is told to stop."""

    @property
    def last(self) -> Message | None:
        """The client's disconnect, once it has been read; it may not have been handled."""

    async def stop(self) -> None:
        """Read no more."""


class TaskReader:
    """Reads in a task of its own."""

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
        """See ``SocketReader``; a ``receive()`` that cannot be cancelled is not waited for."""
        if not self.task.done():
            self.task.cancel()
            await asyncio.wait((self.task,), timeout=STOP_TIMEOUT_S)


def holds_closes_back() -> bool:
    """Return True where the server sends no close while a ``receive()`` is pending, as granian 2.8."""
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
