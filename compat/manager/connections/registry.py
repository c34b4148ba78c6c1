"""``ConnectionRegistry``: the connections of this process and, through the backend, of every server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from compat.codes import TRY_AGAIN_LATER
from compat.engine.refusal import shown
from compat.manager.backends.base import BaseBackend
from compat.manager.backends.memory import MemoryBackend
from compat.manager.backends.records import Record, Refusal, require_connection_id
from compat.manager.connections.doubts import Doubts
from compat.manager.connections.state import Connection
from compat.manager.exceptions import ConnectionError, SystemError, create_error_context
from compat.manager.typed import ConnectionState
from compat.manager.utils.batching import batch_items

__all__ = ["ConnectionRegistry"]

GROUPS_AT_ONCE = 100
"""With how many groups a connection is told to the backend at a time."""


class ConnectionRegistry:
    """The connected clients; ``connections`` has those of this process, by id.

    ``max_connections``, ``max_per_user`` and ``max_groups`` are limits over all servers, which the backend
    enforces; None: no limit.
    """

    def __init__(
        self,
        max_connections: int | None = 10000,
        heartbeat_timeout: float = 60,
        backend: BaseBackend | None = None,
        *,
        max_per_user: int | None = None,
        max_groups: int | None = None,
    ) -> None:
        self.connections: dict[str, Connection] = {}
        self._pending: set[str] = set()
        """Ids whose registration is under way: the backend may have them already, or refuse them."""
        self.doubts = Doubts()
        """Memberships that only the backend may have, after a call has failed."""
        self.max_connections = max_connections
        self.max_per_user = max_per_user
        self.max_groups = max_groups
        self.heartbeat_timeout = heartbeat_timeout
        self.backend = backend or MemoryBackend()

    async def register(
        self,
        websocket: Any,
        connection_id: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        heartbeat_timeout: float | None = None,
        *,
        address: str | None = None,
        state: ConnectionState = ConnectionState.CONNECTED,
    ) -> Connection:
        """Add a connection of this process; raise ConnectionError if a limit is reached or its id is taken.

        ``address`` is the connection's channel in the layer, if that is not its id.
        """
        if connection_id is None:
            connection_id = address or await self.backend.new_channel("ws")
        connection = Connection(
            websocket=websocket,
            channel_name=require_connection_id(connection_id),
            user_id=user_id or "",
            metadata={"server_instance_id": self.backend.server_id, **(metadata or {})},
            heartbeat_timeout=self.heartbeat_timeout if heartbeat_timeout is None else heartbeat_timeout,
            state=state,
            address=address or connection_id,
        )
        if self.holds(connection_id):
            raise self._refused(connection, Refusal("exists", 0))
        self._pending.add(connection_id)
        try:
            refusal = await self.backend.registry_admit(
                self.record(connection), max_total=self.max_connections, max_user=self.max_per_user
            )
            if refusal is not None:
                raise self._refused(connection, refusal)
            self.connections[connection_id] = connection
        except ConnectionError:
            raise
        except BaseException:  # it may have been admitted or not
            self.backend.owe()
            raise
        finally:
            self._pending.discard(connection_id)
        return connection

    async def unregister(self, connection_id: str) -> None:
        """Remove a connection of this process, also for the other servers; do nothing if there is none."""
        connection = self.connections.pop(connection_id, None)
        if connection is not None:
            self.doubts.drop_all(connection_id)  # it leaves all groups
            try:
                await self.backend.registry_remove_connection(connection_id, connection.user_id)
            except BaseException:
                self.backend.owe()
                raise

    def _refused(self, connection: Connection, refusal: Refusal) -> ConnectionError:
        limits = {"total": self.max_connections, "user": self.max_per_user}
        context = create_error_context(
            user_id=connection.user_id or None,
            connection_id=connection.channel_name,
            component="connection_registry",
            current_connections=refusal.held,
        )
        if refusal.reason == "exists":
            return ConnectionError(
                f"Connection {connection.channel_name} already exists",
                error_code="CONNECTION_EXISTS",
                context=context,
            )
        limit = limits[refusal.reason]
        user = shown(connection.user_id or "", 60)
        who = f"User {user} has" if refusal.reason == "user" else "The servers have"
        return ConnectionError(
            f"{who} reached the limit of {limit} connections",
            error_code="CONNECTION_LIMIT_EXCEEDED",
            context=context,
            details={"limit": limit, "current": refusal.held, "of": refusal.reason},
            retryable=True,
            ws_code=TRY_AGAIN_LATER,
        )

    def record(self, connection: Connection) -> Record:
        """Return the backend's record of a connection of this process."""
        return self.backend.record(
            connection.channel_name,
            connection.user_id,
            connection.address,
            connection.connected_at.timestamp(),
        )

    def local(self) -> Iterator[tuple[Record, Sequence[str]]]:
        """Yield the connections of this process with their groups, so that the backend can be updated.

        Each one is read when it is yielded; connections that have ended meanwhile are left out. One with many
        groups comes several times, with some of them each.
        """
        for name, connection in tuple(self.connections.items()):
            for groups in tuple(batch_items(tuple(connection.groups), GROUPS_AT_ONCE)) or ((),):
                if self.connections.get(name) is connection:
                    yield self.record(connection), [one for one in groups if one in connection.groups]

    def holds(self, connection_id: str) -> bool:
        """Return True for a connection of this process, and for one whose registration is under way."""
        return connection_id in self.connections or connection_id in self._pending

    def get(self, connection_id: str) -> Connection | None:
        """Return the connection of this process with that id, or None."""
        return self.connections.get(connection_id)

    def get_all(self) -> list[Connection]:
        """Return the connections of this process."""
        return list(self.connections.values())

    async def iter_connections(self, batch_size: int = 100) -> AsyncIterator[tuple[Connection, ...]]:
        """Yield the current connections of this process in batches."""
        for batch in batch_items(self.get_all(), batch_size):
            yield batch

    async def count(self) -> int:
        """Return how many connections there are on all servers."""
        return await self.backend.registry_count_connections()

    async def add_to_group(self, connection_id: str, group: str) -> None:
        """Record that a connection is in a group; raise SystemError if there would be too many groups."""
        doubted = self.doubts.drop(connection_id, group)
        try:
            joined = await self.backend.registry_join(connection_id, group, self.max_groups)
        except BaseException:  # it may have joined or not
            self._owe_leave(connection_id, group)
            raise
        if joined == "full":
            raise SystemError(
                f"Group {shown(group, 60)} cannot be made: there are {self.max_groups} already "
                "(MAX_TOTAL_GROUPS)",
                error_code="GROUP_LIMIT_EXCEEDED",
                context=create_error_context(connection_id=connection_id, component="connection_registry"),
                details={"limit": self.max_groups},
                retryable=True,
            )
        connection = self.connections.get(connection_id)
        if connection is not None:
            connection.groups.add(group)
        if doubted:  # the backend may just be undoing an earlier attempt
            self.backend.owe()

    async def remove_from_group(self, connection_id: str, group: str) -> None:
        """Record that a connection has left a group."""
        connection = self.connections.get(connection_id)
        if connection is not None:
            connection.groups.discard(group)
        try:
            await self.backend.registry_leave(connection_id, group)
        except BaseException:
            self._owe_leave(connection_id, group)
            raise

    def _owe_leave(self, connection_id: str, group: str) -> None:
        self.doubts.add(connection_id, group)
        self.backend.owe()
