"""``BaseBackend``: the interface of backends, which connect the managers of several servers.

Messages go over a channel layer (``Messaging``). The registry has the connections of all servers, with their
users and groups. The library has two backends, in memory and in Redis. A custom backend implements the
abstract methods of this class.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypedDict

from compat.engine.refusal import shown
from compat.manager.backends.messaging import Messaging, backend_errors, name_in_layer
from compat.manager.backends.records import Admission, Joining, Record, ServerInfo
from compat.manager.config import new_instance_id

__all__ = ["BaseBackend", "CleanupStats", "Left", "Local", "OrphanedGroupMembersStats"]

Local = Callable[[], Iterable[tuple[Record, Sequence[str]]]]
"""Yields the connections of this server, each with its groups, which the registry should contain.

A connection with many groups may come several times, with some of them each.
"""
Left = Callable[[], Iterable[tuple[str, str]]]
"""Yields ids of connections, each with a group that the registry should not contain it in.

Each is done with when the next is asked for.
"""


class CleanupStats(TypedDict):
    """The result of ``cleanup_stale_connections``."""

    connections_removed: int
    user_mappings_cleaned: int


class OrphanedGroupMembersStats(TypedDict):
    """The result of ``cleanup_orphaned_group_members``."""

    orphaned_members_removed: int
    empty_groups_removed: int


class BaseBackend(Messaging, abc.ABC):
    """A layer and a registry; any method raises BackendError if the server behind it cannot be reached."""

    kind: str = "custom"
    """The backend's name in ``status()``."""

    def __init__(self, layer: Any, *, server_id: str | None = None) -> None:
        super().__init__(layer)
        self.server_id = server_id or new_instance_id()
        """This server's name for people (``SERVER_INSTANCE_ID``)."""

    # The registry

    @property
    @abc.abstractmethod
    def server(self) -> str:
        """The unique name of this process in the registry, even if another has the same ``server_id``."""

    @abc.abstractmethod
    async def registry_admit(
        self, record: Record, *, max_total: int | None = None, max_user: int | None = None
    ) -> Admission:
        """Add a connection unless a limit is reached or its id is taken, atomically over all servers.

        Returns None if it has been added, else the reason for the refusal.
        """

    @abc.abstractmethod
    async def registry_remove_connection(self, connection_id: str, user_id: str | None = None) -> None:
        """Remove a connection, also from its groups; do nothing if it is unknown, or another server's."""

    @abc.abstractmethod
    async def registry_join(self, connection_id: str, group: str, max_groups: int | None = None) -> Joining:
        """Add it to a group; return "joined", "already" for a member, or "full" at ``max_groups``."""

    @abc.abstractmethod
    async def registry_leave(self, connection_id: str, group: str) -> None:
        """Remove it from a group; do nothing if it is not a member."""

    @abc.abstractmethod
    async def registry_find(self, connection_id: str) -> Record | None:
        """Return the record of a connection on any server, or None."""

    @abc.abstractmethod
    async def registry_user_records(self, user_id: str) -> list[Record]:
        """Return all connections of a user."""

    @abc.abstractmethod
    async def registry_group_records(self, group: str) -> list[Record]:
        """Return all connections in a group."""

    @abc.abstractmethod
    async def group_channels(self, group: str) -> set[str]:
        """Return a group's members: ids of connections, and channels that ``group_add`` has added."""

    async def registry_count_group(self, group: str) -> int:
        """Return how many members a group has."""
        return len(await self.group_channels(group))

    @abc.abstractmethod
    async def registry_get_connection_groups(self, connection_id: str) -> set[str]:
        """Return the groups that a connection is in."""

    @abc.abstractmethod
    async def registry_count_connections(self) -> int:
        """Return how many connections there are on all live servers."""

    @abc.abstractmethod
    async def registry_users(self, limit: int | None = None) -> dict[str, int]:
        """Return each user's number of connections, largest first; ``limit`` users at most."""

    @abc.abstractmethod
    async def registry_count_users(self) -> int:
        """Return how many users have connections."""

    @abc.abstractmethod
    async def registry_groups(self, limit: int | None = None) -> dict[str, int]:
        """Return each group's number of members, largest first; ``limit`` groups at most."""

    @abc.abstractmethod
    async def registry_count_groups(self) -> int:
        """Return how many groups have members."""

    @abc.abstractmethod
    async def registry_servers(self) -> list[ServerInfo]:
        """Return the servers that share this registry."""

    @abc.abstractmethod
    async def flush(self) -> None:
        """Delete all data, including messages; for tests and development."""

    @abc.abstractmethod
    def registry_get_prefix(self) -> str:
        """Return the prefix of the registry's keys."""

    def tell(self, local: Local, holds: Callable[[str], bool], report: Callable[[], dict[str, Any]]) -> None:
        """Store functions for this process's connections, for whether an id is one, and for statistics."""

    def tell_left(self, left: Left) -> None:
        """Store a function for memberships that a failed call may have left, to remove after ``owe()``."""

    async def open(self) -> None:
        """Connect to the server behind the registry, and start to renew this server's lease."""

    async def cleanup(self) -> None:
        """Remove this server from the registry, and close the connections of this event loop."""

    # Methods that use the registry

    async def group_add(self, group: str, channel: str) -> None:
        """Add a channel of the layer to a group; for connections of a manager use its ``join_group``."""
        with backend_errors(f"joining group {shown(group, 60)}"):
            await self.layer.group_add(name_in_layer(group), channel)
        await self.registry_join(channel, group)

    async def group_discard(self, group: str, channel: str) -> None:
        """Undo ``group_add``."""
        with backend_errors(f"leaving group {shown(group, 60)}"):
            await self.layer.group_discard(name_in_layer(group), channel)
        await self.registry_leave(channel, group)

    def record(
        self, connection_id: str, user_id: str | None, address: str | None = None, at: float | None = None
    ) -> Record:
        """Return a record for a connection of this server."""
        return Record(
            connection_id,
            user_id or "",
            address or connection_id,
            self.server,
            self.server_id,
            time.time() if at is None else at,
        )

    async def registry_add_connection(
        self,
        connection_id: str,
        user_id: str | None,
        metadata: dict[str, Any],
        groups: set[str],
        heartbeat_timeout: float,
    ) -> None:
        """Add a connection of this server without limits; the metadata is ignored."""
        if await self.registry_admit(self.record(connection_id, user_id)) is None:
            await self.registry_update_groups(connection_id, groups)

    async def registry_add_connection_if_under_limit(
        self,
        connection_id: str,
        user_id: str | None,
        metadata: dict[str, Any],
        groups: set[str],
        heartbeat_timeout: float,
        max_connections: int,
    ) -> bool:
        """Add a connection; return False, and do not add it, if there are ``max_connections`` already."""
        record = self.record(connection_id, user_id)
        if await self.registry_admit(record, max_total=max_connections) is not None:
            return False
        await self.registry_update_groups(connection_id, groups)
        return True

    async def registry_update_groups(self, connection_id: str, groups: set[str]) -> None:
        """Set the groups of a connection in the registry."""
        known = await self.registry_get_connection_groups(connection_id)
        for group in known - groups:
            await self.registry_leave(connection_id, group)
        for group in groups - known:
            await self.registry_join(connection_id, group)

    async def registry_get_user_connections(self, user_id: str) -> set[str]:
        """Return the ids of a user's connections on all servers."""
        return {record.connection_id for record in await self.registry_user_records(user_id)}

    async def registry_refresh_ttl(self, connection_id: str, user_id: str | None = None) -> None:
        """Renew a connection's entry now; normally its server does this by itself."""

    def owe(self) -> None:
        """Update the registry from ``local()`` later, on this loop, because a call has failed half-way."""

    def supports_broadcast_channel(self) -> bool:
        """Return True if a broadcast reaches other processes too."""
        return False

    async def cleanup_stale_connections(
        self,
        server_instance_id: str | None = None,
        timeout: float | None = 30,
    ) -> CleanupStats:
        """Remove the connections of dead servers."""
        return CleanupStats(connections_removed=0, user_mappings_cleaned=0)

    async def cleanup_orphaned_group_members(
        self,
        timeout: float | None = 30,
    ) -> OrphanedGroupMembersStats:
        """Remove group members that are not connections in the registry."""
        return OrphanedGroupMembersStats(orphaned_members_removed=0, empty_groups_removed=0)
