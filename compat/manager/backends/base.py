"""``BaseBackend``: what a manager needs of the place where servers meet.

Messages go over a channel layer (``Messaging``). The registry knows, for all servers, who is connected, whose
connections those are, and which groups they are in; two of them come with the library, in memory and in
Redis. A backend of one's own implements the abstract methods here.
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

__all__ = ["BaseBackend", "CleanupStats", "Local", "OrphanedGroupMembersStats"]

Local = Callable[[], Iterable[tuple[Record, Sequence[str]]]]
"""Yields the connections of this server, each with its groups: what the registry ought to know."""


class CleanupStats(TypedDict):
    """What ``cleanup_stale_connections`` has done."""

    connections_removed: int
    user_mappings_cleaned: int


class OrphanedGroupMembersStats(TypedDict):
    """What ``cleanup_orphaned_group_members`` has done."""

    orphaned_members_removed: int
    empty_groups_removed: int


class BaseBackend(Messaging, abc.ABC):
    """A layer and a registry. Any method raises BackendError when the server behind it cannot be reached."""

    kind: str = "custom"
    """What the status page calls it."""

    def __init__(self, layer: Any, *, server_id: str | None = None) -> None:
        super().__init__(layer)
        self.server_id = server_id or new_instance_id()
        """This server's name for people (``SERVER_INSTANCE_ID``)."""
        self._claimed: dict[str, float] = {}
        """What ``claim`` has given away, until when by the monotonic clock."""

    # What a registry does

    @property
    @abc.abstractmethod
    def server(self) -> str:
        """This process in the registry; unlike any other, even one with the same ``server_id``."""

    @abc.abstractmethod
    async def registry_admit(
        self, record: Record, *, max_total: int | None = None, max_user: int | None = None
    ) -> Admission:
        """Add a connection unless a limit or its id forbids it: atomically, over all servers.

        None when it has been added; otherwise the reason why not.
        """

    @abc.abstractmethod
    async def registry_remove_connection(self, connection_id: str, user_id: str | None = None) -> None:
        """Forget a connection, and take it out of its groups; nothing where it is not known."""

    @abc.abstractmethod
    async def registry_join(self, connection_id: str, group: str, max_groups: int | None = None) -> Joining:
        """Add to a group: "joined", "already" a member, or "full" when it would be one group too many."""

    @abc.abstractmethod
    async def registry_leave(self, connection_id: str, group: str) -> None:
        """Take out of a group; nothing where it is not a member."""

    @abc.abstractmethod
    async def registry_find(self, connection_id: str) -> Record | None:
        """What is known of a connection, on any server."""

    @abc.abstractmethod
    async def registry_user_records(self, user_id: str) -> list[Record]:
        """All connections of a user."""

    @abc.abstractmethod
    async def registry_group_records(self, group: str) -> list[Record]:
        """All connections in a group."""

    @abc.abstractmethod
    async def group_channels(self, group: str) -> set[str]:
        """Who is in a group: ids of connections, and channels that were added by ``group_add``."""

    @abc.abstractmethod
    async def registry_get_connection_groups(self, connection_id: str) -> set[str]:
        """The groups that a connection is in."""

    @abc.abstractmethod
    async def registry_count_connections(self) -> int:
        """How many connections there are on all servers that are alive."""

    @abc.abstractmethod
    async def registry_users(self, limit: int | None = None) -> dict[str, int]:
        """Users by how many connections they have, most first."""

    @abc.abstractmethod
    async def registry_count_users(self) -> int:
        """How many users have connections."""

    @abc.abstractmethod
    async def registry_groups(self, limit: int | None = None) -> dict[str, int]:
        """Groups by how many members they have, largest first."""

    @abc.abstractmethod
    async def registry_count_groups(self) -> int:
        """How many groups have members."""

    @abc.abstractmethod
    async def registry_servers(self) -> list[ServerInfo]:
        """The servers that share this registry."""

    @abc.abstractmethod
    async def flush(self) -> None:
        """Forget everything, messages included: for tests and development."""

    @abc.abstractmethod
    def registry_get_prefix(self) -> str:
        """What the registry's keys begin with."""

    def tell(self, local: Local, holds: Callable[[str], bool], report: Callable[[], dict[str, Any]]) -> None:
        """Learn whom to ask: for this process' connections, whether an id is one, and for its statistics."""

    async def open(self) -> None:
        """Reach the server behind the registry, and begin to tell it that this one is alive."""

    async def shared_secret(self) -> bytes:
        """The same random bytes on every server that shares this registry."""
        raise NotImplementedError

    async def claim(self, name: str, seconds: float) -> bool:
        """True for the first who asks for ``name`` within so many seconds, on any server of this registry."""
        now = time.monotonic()
        self._claimed = {one: until for one, until in self._claimed.items() if until > now}
        if name in self._claimed:
            return False
        self._claimed[name] = now + seconds
        return True

    async def cleanup(self) -> None:
        """Take this server out of the registry, and close what is open on this event loop."""

    # What follows from it

    async def group_add(self, group: str, channel: str) -> None:
        """Add a channel of the layer to a group; a connection of a manager is added by ``join_group``."""
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
        """The record of a connection of this server."""
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
        """Add a connection of this server whatever the limits; of the metadata nothing is kept."""
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
        """Add a connection unless there are ``max_connections``; False when there are."""
        record = self.record(connection_id, user_id)
        if await self.registry_admit(record, max_total=max_connections) is not None:
            return False
        await self.registry_update_groups(connection_id, groups)
        return True

    async def registry_update_groups(self, connection_id: str, groups: set[str]) -> None:
        """Make ``groups`` the groups of a connection, in the registry."""
        known = await self.registry_get_connection_groups(connection_id)
        for group in known - groups:
            await self.registry_leave(connection_id, group)
        for group in groups - known:
            await self.registry_join(connection_id, group)

    async def registry_get_user_connections(self, user_id: str) -> set[str]:
        """Ids of a user's connections on all servers."""
        return {record.connection_id for record in await self.registry_user_records(user_id)}

    async def registry_refresh_ttl(self, connection_id: str, user_id: str | None = None) -> None:
        """Renew a connection's entry now; it is renewed by itself while its server is alive."""

    def owe(self) -> None:
        """A call failed half way: see to it, on this loop, that the registry agrees with ``local()``."""

    def supports_broadcast_channel(self) -> bool:
        """True when a broadcast reaches more than this process."""
        return False

    async def cleanup_stale_connections(
        self,
        server_instance_id: str | None = None,
        timeout: float | None = 30,
    ) -> CleanupStats:
        """Forget the connections of servers that have died."""
        return CleanupStats(connections_removed=0, user_mappings_cleaned=0)

    async def cleanup_orphaned_group_members(
        self,
        timeout: float | None = 30,
    ) -> OrphanedGroupMembersStats:
        """Take out of the groups whom the registry does not know."""
        return OrphanedGroupMembersStats(orphaned_members_removed=0, empty_groups_removed=0)
