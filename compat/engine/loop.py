"""The engine's loop: take a message, await its handler, end in order.

A second task reads client frames from the socket, at most one ahead of the handler (``engine.reader``). The
layer pushes its messages into the same inbox. The consumer's task takes both out and awaits their handlers,
so everything that a consumer does happens in one task and one context.
"""

from __future__ import annotations

from compat.engine.connection import Connection
from compat.engine.contracts import concurrency_of
from compat.engine.reader import TaskReader
from compat.engine.scheduler import turn
from compat.engine.side_by_side import converse_side_by_side

__all__ = ["converse", "join"]


async def converse(connection: Connection) -> None:
    """Run a consumer until it stops, its client leaves, a handler raises, or the task is cancelled.

    The event loop has a turn between two handlers: it serves other sockets and timers, and starts the tasks
    that the first handler has created.
    """
    if not await join(connection):
        return
    if concurrency_of(connection.consumer) > 1:
        await converse_side_by_side(connection)
        return
    inbox = connection.inbox
    try:
        connection.begin(TaskReader)
        while True:
            await connection.handle(await inbox.get())
            inbox.pause()
            connection.limit_stay()
            await turn()
    except BaseException as error:
        if connection.let_go_if_dropped(error):
            raise
        await connection.end(error)


async def join(connection: Connection) -> bool:
    """Give the consumer a channel before its first message; return False if it was refused instead."""
    try:
        layer = connection.consumer._compat_find_layer()
        if layer is not None:
            connection.subscribe(layer, await layer.new_channel())
    except Exception as error:  # noqa: BLE001 - a wrong alias, a server that is away: any layer, any driver
        await connection.refuse(error)
        return False
    return True
