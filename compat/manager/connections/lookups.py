"""Look up connections, users and groups on all servers, and count them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from compat.engine.refusal import shown
from compat.exceptions import ImproperlyConfigured
from compat.layers.history import History
from compat.layers.presence import Presence
from compat.manager.backends.messaging import require_group
from compat.manager.backends.records import Record, ServerInfo, require_user_id
from compat.manager.connections.parts import ManagerParts, connection_of, id_of
from compat.manager.connections.state import Connection

__all__ = ["Lookups"]

MAX_SHOWN = 50
"""The status names the people of groups of this size."""


class Lookups(ManagerParts):
    """The methods of a manager that look something up; ``limit`` is the longest list to return, None: all.

    Connections on other servers have ``websocket`` None (``is_local`` is False); every method of the manager
    accepts them. Names of users and groups with more than 120 characters are returned shortened.
    """

    async def get_connection(self, connection_id: Connection | str) -> Connection | None:
        """Return a connection on any server, or None if there is none with this id."""
        here = self.local(connection_id)
        if here is not None:
            return here
        record = await self.backend.registry_find(id_of(connection_id))
        return None if record is None else connection_of(record)

    async def get_user_connections(self, user_id: str) -> list[Connection]:
        """Return all connections of a user."""
        return self._resolved(await self.backend.registry_user_records(require_user_id(user_id)))

    async def get_group_connections(self, group: str) -> list[Connection]:
        """Return all connections in a group, without the consumers that have joined it."""
        return self._resolved(await self.backend.registry_group_records(require_group(group)))

    async def get_group_users(self, group: str) -> list[str]:
        """Return the users in a group, sorted and without repetition.

        If the layer tracks the users of the group (``CONFIG["presence"]`` with ``"key": "user"``), these are
        all of them, those of consumers too, and somebody who has left is among them for five seconds more.
        Else they are the users with a connection of a manager.
        """
        rule = self.backend.presence_rule(group)
        if rule is not None and rule.key == "user":
            return sorted(await self.backend.presence(group))
        return await self._registered(group)

    async def _registered(self, group: str) -> list[str]:
        records = await self.backend.registry_group_records(require_group(group))
        return sorted({record.user_id for record in records if record.user_id})

    async def presence(self, group: str) -> Presence:
        """Return who is in a group: see ``layer.presence()``.

        Raises BackendError without Redis, and ImproperlyConfigured if the layer does not track the group.
        """
        if self.backend.presence_rule(group) is None:
            raise ImproperlyConfigured(
                f"group {shown(group, 60)}: the layer does not track who is in it. Name it in its "
                'CONFIG["presence"], as {"room*": {"key": "user"}}; get_group_users() needs no such rule'
            )
        return await self.backend.presence(group)

    async def history(self, group: str, count: int | None = None, *, since: str | None = None) -> History:
        """Return the messages that the layer keeps of a group: see ``layer.history()``.

        Raises BackendError without Redis, and ImproperlyConfigured if the group has no history.
        """
        return await self.backend.history(group, count, since)

    async def get_connection_groups(self, connection_id: Connection | str) -> set[str]:
        """Return the groups that a connection is in."""
        here = self.local(connection_id)
        if here is not None:
            return set(here.groups)
        return await self.backend.registry_get_connection_groups(id_of(connection_id))

    async def count_connections(self) -> int:
        """Return how many connections there are."""
        return await self.backend.registry_count_connections()

    async def count_users(self) -> int:
        """Return how many users have connections."""
        return await self.backend.registry_count_users()

    async def count_groups(self) -> int:
        """Return how many groups have members."""
        return await self.backend.registry_count_groups()

    async def count_group(self, group: str) -> int:
        """Return how many connections are in a group."""
        return await self.backend.registry_count_group(require_group(group))

    async def list_users(self, limit: int | None = None) -> dict[str, int]:
        """Return each user's number of connections, largest first."""
        return await self.backend.registry_users(limit)

    async def list_groups(self, limit: int | None = None) -> dict[str, int]:
        """Return each group's number of connections, largest first."""
        return await self.backend.registry_groups(limit)

    async def list_servers(self) -> list[ServerInfo]:
        """Return the live servers with the statistics that they have reported."""
        return await self.backend.registry_servers()

    async def status(self, groups: int = 20) -> dict[str, Any]:
        """Return a summary for administrators as plain values, with the ``groups`` largest groups.

        ``people``: the users with a connection in those that have at most 50.
        """
        servers, largest = await self.list_servers(), await self.list_groups(groups)
        return {
            "backend": self.backend.kind,
            "server_instance_id": self.backend.server_id,
            "connections": await self.count_connections(),
            "local_connections": len(self.registry.connections),
            "users": await self.count_users(),
            "groups": await self.count_groups(),
            "largest_groups": largest,
            "people": await self._people(group for group, size in largest.items() if size <= MAX_SHOWN),
            "servers": [self._shown(server) for server in servers],
            "statistics": self.counters(),
        }

    async def _people(self, groups: Iterable[str]) -> dict[str, list[str]]:
        names = list(groups)
        users = await asyncio.gather(*map(self._registered, names))
        return dict(zip(names, users, strict=True))

    def _resolved(self, records: Iterable[Record]) -> list[Connection]:
        return [self.registry.get(record.connection_id) or connection_of(record) for record in records]

    def _shown(self, server: ServerInfo) -> dict[str, Any]:
        told, at = server.statistics, server.reported_at
        if server.server == self.backend.server:  # this server's own counters are current
            told, at = self.report(), time.time()
        return {
            "server": server.server,
            "server_instance_id": server.server_instance_id,
            "connections": server.connections,
            "lease": server.lease_s,
            "reported_at": at,
            "statistics": {name: told[name] for name in told if name not in ("server_instance_id", "at")},
        }
