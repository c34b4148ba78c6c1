"""``Endings``: how connections end, each in a task that outlives its callers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from starlette.websockets import WebSocketDisconnect, WebSocketState

from compat.codes import ABNORMAL, NO_STATUS
from compat.manager.connections.parts import means
from compat.manager.connections.state import Connection
from compat.manager.exceptions import BaseError
from compat.manager.typed import ConnectionState

if TYPE_CHECKING:
    from compat.manager.connections.lifecycle import Lifecycle

__all__ = ["Endings"]

log = logging.getLogger("compat.manager")

CLOSE_WITHIN_S = 2.0
"""Seconds that a client may take to read the waiting frames and the close."""
GONE = frozenset((NO_STATUS, ABNORMAL))
"""Close codes that mean that the client has left, so that no close frame is sent."""


class Endings:
    """The connections of a manager that are ending, each with the task that ends it."""

    def __init__(self, manager: Lifecycle) -> None:
        self.manager = manager
        self._tasks: dict[Connection, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def of(self, connection: Connection | str) -> asyncio.Task[None] | None:
        """Return the task that ends a connection, if there is one; for an id that of its last connection."""
        if isinstance(connection, Connection) and connection.is_local:
            return self._tasks.get(connection)
        tasks = reversed(tuple(self._tasks.items()))
        return next((task for one, task in tasks if means(connection, one)), None)

    def begin(self, connection: Connection, code: int) -> asyncio.Task[None]:
        """Start to end a connection of this event loop; return the task."""
        task = self._tasks[connection] = asyncio.get_running_loop().create_task(self._end(connection, code))
        return task

    def cancel(self) -> int:
        """Cancel those of the running event loop; return how many there are."""
        loop = asyncio.get_running_loop()
        own = [task for task in tuple(self._tasks.values()) if task.get_loop() is loop]
        for task in own:
            task.cancel()
        return len(own)

    async def _end(self, connection: Connection, code: int) -> None:
        gone = connection.close_code is not None or code in GONE
        was_open = connection.state is ConnectionState.CONNECTED
        connection.leave()
        connection.closed_with(code)
        try:
            leaving = asyncio.ensure_future(self._take_out(connection))
            await _close(connection, code, gone)
            if connection.gate is not None:
                connection.gate.interrupt()
            await leaving
        finally:
            connection.end()
            if was_open:
                self.manager.statistics.count_disconnected()
            self._tasks.pop(connection, None)

    async def undo(self, connection: Connection) -> None:
        """Remove a connection that could not be accepted, or was ended before it was open."""
        connection.end()
        await self._take_out(connection)
        code = connection.close_code
        if code is not None:  # it was not open yet when it was closed
            await _close(connection, code, code in GONE)

    async def _take_out(self, connection: Connection) -> None:
        """Remove it from its groups and the registry; without a backend, this is done later."""
        async with connection.changing:  # a join that is under way would add what is removed here
            outcomes = await asyncio.gather(
                self.manager.switchboard().unplug(connection),
                self._unregister(connection),
                return_exceptions=True,
            )
            connection.groups.clear()
        for outcome in outcomes:
            if isinstance(outcome, (BaseError, OSError, asyncio.TimeoutError)):
                log.warning(
                    "connection %s: the backend will be told later: %s", connection.channel_name, outcome
                )
            elif isinstance(outcome, BaseException):
                raise outcome

    async def _unregister(self, connection: Connection) -> None:
        """Remove it from the registry, unless another connection has its id by now."""
        registry = self.manager.registry
        if registry.get(connection.channel_name) is connection:
            await registry.unregister(connection.channel_name)


async def _close(connection: Connection, code: int, gone: bool) -> None:
    """Send the waiting frames and the close within ``CLOSE_WITHIN_S``; nothing if the client has left."""
    outbox, websocket = connection.outbox, connection.websocket
    if not gone and outbox is not None and not outbox.broken:
        with contextlib.suppress(asyncio.TimeoutError, WebSocketDisconnect):
            await asyncio.wait_for(outbox.drained(), CLOSE_WITHIN_S)
    if outbox is not None:
        outbox.discard()
    if gone or websocket.application_state != WebSocketState.CONNECTED:
        return
    with contextlib.suppress(asyncio.TimeoutError, RuntimeError, OSError, WebSocketDisconnect):
        await asyncio.wait_for(websocket.close(code), CLOSE_WITHIN_S)
