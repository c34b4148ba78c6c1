"""Add connections to groups, and remove them."""

from __future__ import annotations

import contextlib

from compat.engine.refusal import shown
from compat.manager.backends.messaging import require_group
from compat.manager.connections.parts import id_of
from compat.manager.connections.sending import Sending
from compat.manager.connections.state import Connection
from compat.manager.exceptions import BaseError, ConnectionError
from compat.manager.typed import ConnectionState

__all__ = ["Membership"]


class Membership(Sending):
    """The methods of a manager for the groups of a connection."""

    async def join_group(self, connection_id: Connection | str, group: str) -> None:
        """Add a connection to a group; it gets the messages that are sent to the group from now on.

        Raises SystemError if there are MAX_TOTAL_GROUPS already, ConnectionError for an unknown connection.
        """
        await self._in_group(connection_id, group, "join")

    async def leave_group(self, connection_id: Connection | str, group: str) -> None:
        """Remove a connection from a group; do nothing if it is not a member."""
        await self._in_group(connection_id, group, "leave")

    async def _in_group(self, connection: Connection | str, group: str, what: str) -> None:
        require_group(group)
        here = self.local(connection)
        if here is not None:
            change = self._join(here, group) if what == "join" else self._leave(here, group)
            await self.on_loop_of(here, change)
            return
        record = await self.record_of(connection)
        if record is not None and record.server != self.backend.server:
            await self.ask(record, what, group)
        elif what == "join":
            raise _unknown(connection, group)

    async def _join(self, connection: Connection, group: str) -> None:
        require_group(group)
        name = connection.channel_name
        async with connection.changing:
            if not self._stays(connection):  # it has ended meanwhile
                raise _unknown(connection, group)
            if group in connection.groups:
                return
            await self.registry.add_to_group(name, group)
            try:
                await self.switchboard().join(group, connection)
            except BaseException:
                await self._hold(self._forget_group(name, group))
                raise

    async def _forget_group(self, name: str, group: str) -> None:
        with contextlib.suppress(BaseError):
            await self.registry.remove_from_group(name, group)

    async def _leave(self, connection: Connection, group: str) -> None:
        require_group(group)
        async with connection.changing:
            if not self._stays(connection):  # its end takes it out of every group
                return
            try:
                await self.switchboard().leave(group, connection)
            finally:
                await self.registry.remove_from_group(connection.channel_name, group)

    def _stays(self, connection: Connection) -> bool:
        """Return True if a connection is registered, and its end has not begun."""
        registered = self.registry.get(connection.channel_name) is connection
        return registered and connection.state is not ConnectionState.DISCONNECTING


def _unknown(connection: Connection | str, group: str) -> ConnectionError:
    return ConnectionError(
        f"Connection {id_of(connection)} is not connected, and cannot join {shown(group, 60)}",
        error_code="UNKNOWN_CONNECTION",
    )
