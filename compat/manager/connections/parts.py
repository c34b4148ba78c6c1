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

__all__ = ["ManagerParts", "connection_of", "id_of"]

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
        """Return the connection of this process, given itself or its id; None if it is not connected here."""
        return self.registry.get(id_of(connection))

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
