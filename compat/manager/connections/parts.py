"""What the parts of a manager have of each other: the attributes and methods that any of them may use."""

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
        """Where servers meet; made at its first use."""
        raise NotImplementedError

    @property
    def registry(self) -> ConnectionRegistry:
        """Who is connected."""
        raise NotImplementedError

    def switchboard(self) -> Switchboard:
        """What there is on the running event loop."""
        raise NotImplementedError

    @property
    def home(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the server that this manager is in, while it runs."""
        raise NotImplementedError

    def local(self, connection: Connection | str) -> Connection | None:
        """The connection of this process that is meant, while it is connected."""
        return self.registry.get(id_of(connection))

    @staticmethod
    async def on_loop_of(connection: Connection, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``, done on the event loop that the connection belongs to."""
        loop = connection.loop
        if loop is None or loop is asyncio.get_running_loop():
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


def id_of(connection: Connection | str) -> str:
    """The id that is meant by a connection or an id; TypeError for anything else."""
    if isinstance(connection, str):
        return connection
    name = getattr(connection, "channel_name", None)
    if not isinstance(name, str):
        raise TypeError(f"a Connection or its id is expected, not {connection!r}")
    return name


def connection_of(record: Record) -> Connection:
    """A connection of another server, as far as it is known here."""
    return Connection(
        websocket=None,
        channel_name=record.connection_id,
        user_id=record.user_id,
        connected_at=datetime.fromtimestamp(record.connected_at, timezone.utc),
        metadata={"server_instance_id": record.server_instance_id},
        state=ConnectionState.CONNECTED,
        address=record.address,
    )
