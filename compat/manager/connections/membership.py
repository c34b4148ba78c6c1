"""``Membership``: adds connections of this process to groups, and removes them."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from compat.engine.refusal import shown
from compat.manager.backends.messaging import require_group
from compat.manager.connections.parts import id_of
from compat.manager.connections.state import Connection
from compat.manager.exceptions import BaseError, ConnectionError
from compat.manager.typed import ConnectionState

if TYPE_CHECKING:
    from compat.manager.connections.lifecycle import Lifecycle

__all__ = ["Membership", "unknown"]


class Membership:
    """The groups of a manager's connections; call its coroutines on the event loop of the connection.

    ``hold`` finishes a coroutine even if the current task is cancelled.
    """

    def __init__(
        self, manager: Lifecycle, hold: Callable[[Coroutine[Any, Any, Any]], Awaitable[None]]
    ) -> None:
        self.manager = manager
        self._hold = hold

    async def join(self, connection: Connection, group: str) -> None:
        """Add a connection to a group; raise ConnectionError if it has ended."""
        require_group(group)
        manager, name = self.manager, connection.channel_name
        async with connection.changing:
            if not self.may_join(connection):  # it has ended meanwhile
                raise unknown(connection, group)
            if group in connection.groups:
                return
            await manager.registry.add_to_group(name, group)
            try:
                await manager.switchboard().join(group, connection)
            except BaseException:
                await self._hold(self._forget(name, group))
                raise

    async def _forget(self, name: str, group: str) -> None:
        with contextlib.suppress(BaseError):
            await self.manager.registry.remove_from_group(name, group)

    async def leave(self, connection: Connection, group: str) -> None:
        """Remove a connection from a group."""
        require_group(group)
        manager = self.manager
        async with connection.changing:
            if not self.may_join(connection):  # its end takes it out of every group
                return
            try:
                await manager.switchboard().leave(group, connection)
            finally:
                await manager.registry.remove_from_group(connection.channel_name, group)

    def may_join(self, connection: Connection) -> bool:
        """Return True if a connection is registered, and its end has not begun."""
        registered = self.manager.registry.get(connection.channel_name) is connection
        return registered and connection.state is not ConnectionState.DISCONNECTING


def unknown(connection: Connection | str, group: str) -> ConnectionError:
    """Return the error for a connection that is not there."""
    return ConnectionError(
        f"Connection {id_of(connection)} is not connected, and cannot join {shown(group, 60)}",
        error_code="UNKNOWN_CONNECTION",
    )
