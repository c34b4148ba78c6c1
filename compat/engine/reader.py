"""Read a client's messages from its socket, at most one ahead of the handler.

``receive()`` may belong to middleware that uses timeouts or cancel scopes, and these belong to one task. So
it runs in a separate task.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Protocol

from compat.codes import SERVICE_RESTART
from compat.engine.inbox import Inbox
from compat.engine.shielding import is_a_handlers_own
from compat.types import Message, Receive, Send

__all__ = [
    "LAST",
    "Interruptible",
    "SocketReader",
    "TaskReader",
    "cancels_late_calls",
    "holds_closes_back",
    "is_stop",
]

LAST = frozenset(("websocket.disconnect", "http.disconnect"))
"""The message types after which the server delivers nothing more."""

STOP_TIMEOUT_S = 2.0
"""Seconds to wait for a cancelled ``receive()`` to end."""


class SocketReader(Protocol):
    """Reads a socket until its last message, or until ``stop()``."""

    @property
    def last(self) -> Message | None:
        """The client's disconnect once it has been read, else None; it may not have been handled yet."""

    async def stop(self) -> None:
        """Stop reading."""


class TaskReader:
    """Reads the socket in a separate task."""

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
        except asyncio.CancelledError as error:
            if not is_a_handlers_own(error):
                raise
            inbox.fail(error)  # of something that the middleware around it awaits
        except Exception as error:  # noqa: BLE001 - a server's failure to read is the consumer's to report
            inbox.fail(error)

    async def stop(self) -> None:
        """Stop reading; wait for the cancelled ``receive()`` for ``STOP_TIMEOUT_S`` at most."""
        if not self.task.done():
            self.task.cancel()
            await asyncio.wait((self.task,), timeout=STOP_TIMEOUT_S)


def holds_closes_back() -> bool:
    """Return True if the server sends no close while ``receive()`` is pending, as granian 2.8 does."""
    return "granian" in sys.modules


def cancels_late_calls() -> bool:
    """Return True if the server cancels a call some seconds after its client has left, as daphne 4 does."""
    return "daphne.server" in sys.modules


def is_stop(disconnect: Message) -> bool:
    """Return True if the server has closed the socket with 1012 because it stops, as uvicorn does.

    A gateway that restarts closes with 1012 too. A client's code comes with its reason, even an empty one.
    daphne passes no reasons on, and never closes with 1012 by itself.
    """
    stops = disconnect.get("code") == SERVICE_RESTART and "reason" not in disconnect
    return stops and not cancels_late_calls()


class Interruptible:
    """Wraps ``receive`` and ``send`` of a server that ``holds_closes_back()``: a close cancels receiving."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.pending: asyncio.Future[Message] | None = None
        self.closing: asyncio.Event | None = None
        """Set when the close that has interrupted ``pending`` has been sent."""

    async def receive(self) -> Message:
        """Return the server's next message."""
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
        """Send ``message``; cancel a pending ``receive()`` first if it is a close."""
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
