"""The attributes and methods that all mixins of ``ConnectionManager`` may use."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timezone
from typing import Any, TypeVar

from compat.manager.backends.base import BaseBackend
from compat.manager.backends.records import Record
from compat.manager.config import WSConfig
from compat.manager.connections.registry import ConnectionRegistry
from compat.manager.connections.state import Connection
from compat.manager.connections.switchboard import Switchboard
from compat.manager.serializers.base import BaseSerializer
from compat.manager.statistics import Statistics
from compat.manager.typed import ConnectionState

__all__ = ["ManagerParts", "connection_of", "id_of", "means"]

T = TypeVar("T")


class ManagerParts:
    """Base of the mixins that make up ``ConnectionManager``."""

    config: WSConfig
    serializer: BaseSerializer
    statistics: Statistics

    @property
    def backend(self) -> BaseBackend:
        """The backend; made at its first use."""
        raise NotImplementedError

    @property
    def registry(self) -> ConnectionRegistry:
        """The connections of this process."""
        raise NotImplementedError

    def switchboard(self) -> Switchboard:
        """Return the switchboard of the running event loop."""
        raise NotImplementedError

    @property
    def home(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of this manager's server while it runs, else None."""
        raise NotImplementedError

    def local(self, connection: Connection | str) -> Connection | None:
        """Return the connection of this process, given itself or its id; None if it is not connected here.

        A ``Connection`` that has ended is not connected, though another may have its id by now.
        """
        here = self.registry.get(id_of(connection))
        return here if here is not None and means(connection, here) else None

    async def record_of(self, connection: Connection | str) -> Record | None:
        """Return the backend's record of a connection that is not ``local``, or None if it has ended."""
        if not isinstance(connection, Connection):
            return await self.backend.registry_find(id_of(connection))
        if connection.state is ConnectionState.DISCONNECTED:
            return None
        record = await self.backend.registry_find(connection.channel_name)
        if record is None or record.address != connection.address:  # or another has its id by now
            return None
        own = connection.is_local and record.server == self.backend.server
        return None if own else record  # its own is about to be removed

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task that no caller awaits."""
        raise NotImplementedError

    async def _hold(self, work: Coroutine[Any, Any, Any]) -> None:
        """Finish ``work`` even if the current task is cancelled."""
        await asyncio.shield(self._start(work))

    @staticmethod
    async def on_loop_of(connection: Connection, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the event loop of the connection, and return its result."""
        loop = connection.loop
        if loop is None or loop is asyncio.get_running_loop():
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


def id_of(connection: Connection | str) -> str:
    """Return the id of a connection, or the id itself; raise TypeError for anything else."""
    if isinstance(connection, str):
        return connection
    name = getattr(connection, "channel_name", None)
    if not isinstance(name, str):
        raise TypeError(f"a Connection or its id is expected, not {connection!r}")
    return name


def means(given: Connection | str, one: Connection) -> bool:
    """Return True if ``given``, an id or a connection, is ``one``, and not another that has had its id."""
    if not isinstance(given, Connection):
        return id_of(given) == one.channel_name
    return given is one or (not given.is_local and given.address == one.address)


def connection_of(record: Record) -> Connection:
    """Return a connection of another server, with the fields that the registry has."""
    return Connection(
        websocket=None,
        channel_name=record.connection_id,
        user_id=record.user_id,
        connected_at=datetime.fromtimestamp(record.connected_at, timezone.utc),
        metadata={"server_instance_id": record.server_instance_id},
        state=ConnectionState.CONNECTED,
        address=record.address,
    )
