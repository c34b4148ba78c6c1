"""Handlers of one consumer that run at the same time, where its ``concurrency`` is more than 1."""

from __future__ import annotations

import asyncio
import contextlib

from compat.engine.connection import Connection
from compat.engine.reader import TaskReader
from compat.engine.scheduler import turn
from compat.engine.shielding import shield
from compat.exceptions import StopConsumer
from compat.types import Message

__all__ = ["converse_side_by_side"]

HANDLERS_TIMEOUT_S = 0.5
"""How long handlers side by side may go on after the client's disconnect before they are cancelled."""


class SideBySide:
    """The handlers of one consumer that run at the same time, each in a task of its own."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.running: set[asyncio.Task[None]] = set()

    async def start(self, message: Message) -> None:
        """Begin to handle ``message``; returns when one more may begin. Raises what a handler has raised."""
        running = self.running
        running.add(self.connection.inbox.loop.create_task(self._handled(message)))
        if len(running) >= self.connection.consumer.concurrency:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in [task for task in running if task.done()]:
            running.discard(task)
            task.result()

    async def _handled(self, message: Message) -> None:
        connection = self.connection
        try:
            await connection.dispatch(message)
        except Exception as error:
            if not connection.has_left(error):
                connection.inbox.fail(error)  # the one who waits for messages is told at once
                raise

    async def flush(self) -> None:
        """Nothing is queued."""

    async def idle(self, timeout_s: float = 0.0) -> None:
        """Return when none runs any more; they are cancelled after ``timeout_s`` seconds."""
        running = self.running
        if running and timeout_s:
            await asyncio.wait(running, timeout=timeout_s)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


async def converse_side_by_side(connection: Connection) -> None:
    """Like ``loop.converse``, with up to ``concurrency`` handlers at once.

    The first message (the connect) and the disconnect are handled by themselves. What still runs when the
    client leaves has ``HANDLERS_TIMEOUT_S``; then, and after an error, it is cancelled.
    """
    inbox, dispatch = connection.inbox, connection.dispatch
    handlers = SideBySide(connection)
    error: BaseException | None = None
    begun = False
    try:
        connection.begin(TaskReader, work=handlers)
        message: Message = await inbox.get()
        while True:
            if not begun or inbox.ended:
                begun = True
                await handlers.idle(HANDLERS_TIMEOUT_S)
                with shield() if inbox.ended else contextlib.nullcontext():
                    try:
                        await dispatch(message)
                    except Exception as raised:
                        if not connection.has_left(raised):
                            raise
            else:
                await handlers.start(message)
            await turn()
            message = await inbox.get()
            if inbox.failure is not None:
                raise inbox.failure
    except BaseException as raised:  # noqa: BLE001 - whatever a handler raises
        error = raised
    if isinstance(error, StopConsumer) and inbox.failure is not None:
        error = inbox.failure  # of a handler that still ran when the client left
    await connection.end(error)
