"""``RedisBackend``: a registry in Redis that any number of servers share, and a Redis channel layer."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import Callable
from typing import Any

from compat.layers.redis.core import RedisChannelLayer
from compat.manager.backends.base import BaseBackend, CleanupStats, Local, OrphanedGroupMembersStats
from compat.manager.backends.lease import Lease
from compat.manager.backends.link import RegistryLink
from compat.manager.backends.messaging import backend_errors
from compat.manager.backends.records import (
    Admission,
    Joining,
    Record,
    Refusal,
    ServerInfo,
    Shortened,
    bounded,
)
from compat.manager.backends.scripts import (
    ADMIT,
    DEAD,
    ENTER,
    JOIN,
    LEAVE,
    MEMBERS,
    OVERVIEW,
    REMOVE,
    RENEW,
    SWEEP,
)
from compat.manager.utils.batching import batch_items
from compat.redis.hosts import host_of
from compat.redis.loops import is_throwaway

__all__ = ["RedisBackend"]

AT_ONCE = 200
"""How many connections one script adds or removes; Redis does nothing else meanwhile."""
KEPT_FOR_EVER = 10 * 365 * 86400


class RedisBackend(BaseBackend):
    """Connections, users and groups of all servers that have the same Redis and ``channel_prefix``.

    ``redis_url``: a URL, those of a cluster's nodes with commas between, or another form of an entry in a
    Redis layer's ``hosts``. ``registry_expiry`` and
    ``group_expiry``: seconds for which keys outlive the last server; None: without limit. ``lease``: seconds
    after which other servers clean up after a killed one. ``layer``: the channel layer to use; by default a
    new one on the same Redis. The backend connects at the first call.
    """

    kind = "redis"

    def __init__(
        self,
        redis_url: Any = "redis://localhost:6379/0",
        registry_expiry: int | None = 3600,
        group_expiry: int | None = 3600,
        *,
        channel_prefix: str = "ws:",
        layer: Any = None,
        lease: float = 60,
        server_id: str | None = None,
        reconnect_delay: float = 5,
        serializer_format: str = "msgpack",
    ) -> None:
        prefix, redis_url = channel_prefix.rstrip(":") or "ws", host_of(redis_url)
        self.makes_layer = layer is None
        super().__init__(
            RedisChannelLayer(
                hosts=[redis_url],
                prefix=prefix,
                group_expiry=group_expiry or KEPT_FOR_EVER,
                lease=max(1.0, lease),
                serializer_format=serializer_format,
            )
            if layer is None
            else layer,
            server_id=server_id,
        )
        self.registry_expiry = registry_expiry or 0
        self.group_expiry = group_expiry or 0
        self.lease_ms = round(lease * 1000)
        shortest = min(registry_expiry or KEPT_FOR_EVER, group_expiry or KEPT_FOR_EVER)
        self.lease = Lease(self, lease, shortest / 3, reconnect_delay)
        self.link = RegistryLink(redis_url, prefix, lost=self.lease.owe, closing=self.lease.leave_loop)
        self._server = ""
        self._pid = 0

    @property
    def server(self) -> str:
        if self._pid != os.getpid():  # made at first use: a forked worker is another server
            self._pid, self._server = os.getpid(), f"{self.server_id}.{uuid.uuid4().hex[:12]}"
        return self._server

    def tell(self, local: Local, holds: Callable[[str], bool], report: Callable[[], dict[str, Any]]) -> None:
        self.lease.tell(local, holds, report)

    async def open(self) -> None:
        await self.lease.renew()
        self.lease.start()

    def owe(self) -> None:
        self.lease.owe()
        if not is_throwaway(asyncio.get_running_loop()):
            self.lease.start()

    # Connections

    async def registry_admit(
        self, record: Record, *, max_total: int | None = None, max_user: int | None = None
    ) -> Admission:
        refusal = None
        for _ in range(2):
            reason, count, dead = await self.link.run(
                ADMIT,
                *(record.connection_id, _encoded(record), record.server, bounded(record.user_id)),
                *(max_total or 0, max_user or 0, self.lease_ms, self.registry_expiry),
            )
            if reason == b"ok":
                self.lease.start()
                return None
            refusal = Refusal(reason.decode(), int(count))
            if not dead:
                break
            await self.cleanup_stale_connections()  # after that the limit may no longer be reached
        return refusal

    async def registry_remove_connection(self, connection_id: str, user_id: str | None = None) -> None:
        await self.link.run(REMOVE, connection_id)

    async def registry_find(self, connection_id: str) -> Record | None:
        found = await self.link.call(b"HGET", f"{self.link.prefix}connections", connection_id)
        return None if found is None else _decoded(connection_id, found)

    async def registry_user_records(self, user_id: str) -> list[Record]:
        return await self._records(f"user:{bounded(user_id)}") if user_id else []

    async def registry_group_records(self, group: str) -> list[Record]:
        return await self._records(f"group:{bounded(group)}")

    async def _records(self, key: str) -> list[Record]:
        flat = await self.link.run(MEMBERS, key)
        return [_decoded(one.decode(), record) for one, record in zip(flat[::2], flat[1::2], strict=True)]

    async def registry_count_connections(self) -> int:
        await self.cleanup_stale_connections()
        return int(await self.link.call(b"HLEN", f"{self.link.prefix}connections"))

    async def registry_refresh_ttl(self, connection_id: str, user_id: str | None = None) -> None:
        if not self.registry_expiry:
            return
        keys = ["connections", "servers", "reports", "users", f"server:{self.server}"]
        if user_id:
            keys.append(f"user:{bounded(user_id)}")
        for key in keys:
            await self.link.call(b"EXPIRE", self.link.prefix + key, self.registry_expiry)

    # Groups

    async def registry_join(self, connection_id: str, group: str, max_groups: int | None = None) -> Joining:
        added = await self.link.run(JOIN, connection_id, bounded(group), max_groups or 0, self.group_expiry)
        return "joined" if added == 1 else "already" if added == 0 else "full"

    async def registry_leave(self, connection_id: str, group: str) -> None:
        await self.link.run(LEAVE, connection_id, bounded(group))

    async def group_channels(self, group: str) -> set[str]:
        return await self._set(f"group:{bounded(group)}")

    async def registry_get_connection_groups(self, connection_id: str) -> set[str]:
        return await self._set(f"in:{connection_id}")

    async def _set(self, key: str) -> set[str]:
        return {Shortened(one.decode()) for one in await self.link.call(b"SMEMBERS", self.link.prefix + key)}

    async def registry_users(self, limit: int | None = None) -> dict[str, int]:
        return await self._ranking("users", limit)

    async def registry_count_users(self) -> int:
        return await self._ranked("users")

    async def registry_groups(self, limit: int | None = None) -> dict[str, int]:
        return await self._ranking("groups", limit)

    async def registry_count_groups(self) -> int:
        return await self._ranked("groups")

    async def _ranked(self, key: str) -> int:
        await self.cleanup_stale_connections()
        return int(await self.link.call(b"ZCARD", self.link.prefix + key))

    async def _ranking(self, key: str, limit: int | None) -> dict[str, int]:
        await self.cleanup_stale_connections()
        last = -1 if limit is None else limit - 1
        flat = await self.link.call(b"ZREVRANGE", self.link.prefix + key, 0, last, b"WITHSCORES")
        ranked = zip(flat[::2], flat[1::2], strict=True)
        return {Shortened(name.decode()): int(count) for name, count in ranked}

    # Servers

    async def renew(self, report: str) -> list[Any]:
        """Renew this server's lease; renew.lua says what is returned."""
        reply: list[Any] = await self.link.run(
            RENEW, self.server, self.lease_ms, report, self.registry_expiry, self.group_expiry
        )
        return reply

    async def enter_all(self, local: Local, holds: Callable[[str], bool]) -> None:
        """Update the registry from ``local``: remove this server's other connections, add these.

        Connections begin and end meanwhile, so each one is read just before its command is sent; the commands
        run in order.
        """
        for batch in batch_items(sorted(await self._set(f"server:{self.server}")), AT_ONCE):
            gone = [name for name in batch if not holds(name)]
            if gone:
                await self.link.run(REMOVE, *gone)
        for entries in batch_items(local(), AT_ONCE):
            arguments: list[Any] = []
            for record, groups in entries:
                names = [bounded(group) for group in groups]
                arguments += [record.connection_id, _encoded(record), bounded(record.user_id)]
                arguments += [len(names), *names]
            await self.link.run(ENTER, self.server, self.registry_expiry, self.group_expiry, *arguments)

    async def sweep(self, server: str, *, force: bool = False) -> tuple[int, int]:
        """Remove a dead server's connections; return how many, and how many users have none left."""
        removed = users = 0
        while True:
            connections, last_of_users, left, _ = await self.link.run(
                SWEEP, server, AT_ONCE, b"1" if force else b"0"
            )
            removed, users = removed + connections, users + last_of_users
            if not left:
                return removed, users

    async def registry_servers(self) -> list[ServerInfo]:
        await self.cleanup_stale_connections()
        now, *flat = await self.link.run(OVERVIEW)
        servers = []
        for name, until, connections, report in zip(
            flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True
        ):
            told = json.loads(report) if report else {}
            instance = told.get("server_instance_id") or name.decode().rpartition(".")[0]
            lease_s = max(0.0, (float(until) - now) / 1000)
            at = float(told.get("at", 0.0))
            servers.append(ServerInfo(name.decode(), instance, int(connections), lease_s, at, told))
        return servers

    async def cleanup_stale_connections(
        self,
        server_instance_id: str | None = None,
        timeout: float | None = 30,
    ) -> CleanupStats:
        return await asyncio.wait_for(self._sweep_dead(), timeout)

    async def _sweep_dead(self) -> CleanupStats:
        removed = users = 0
        for server in await self.link.run(DEAD):
            connections, last_of_users = await self.sweep(server.decode())
            removed, users = removed + connections, users + last_of_users
        return CleanupStats(connections_removed=removed, user_mappings_cleaned=users)

    async def cleanup_orphaned_group_members(
        self,
        timeout: float | None = 30,
    ) -> OrphanedGroupMembersStats:
        return await asyncio.wait_for(self._remove_orphans(), timeout)

    async def _remove_orphans(self) -> OrphanedGroupMembersStats:
        removed = empty = 0
        for group in await self._ranking("groups", None):
            members = sorted(await self.group_channels(group))
            orphans = 0
            for start in range(0, len(members), AT_ONCE):
                some = members[start : start + AT_ONCE]
                known = await self.link.call(b"HMGET", f"{self.link.prefix}connections", *some)
                for one, record in zip(some, known, strict=True):
                    if record is None:
                        await self.registry_leave(one, group)
                        orphans += 1
            removed += orphans
            empty += orphans == len(members)
        return OrphanedGroupMembersStats(orphaned_members_removed=removed, empty_groups_removed=empty)

    async def flush(self) -> None:
        cursor: Any = b"0"
        while True:
            cursor, keys = await self.link.call(
                b"SCAN", cursor, b"MATCH", f"{self.link.prefix}*", b"COUNT", 1000
            )
            if keys:
                await self.link.call(b"UNLINK", *keys)
            if cursor in (b"0", 0):
                break
        with backend_errors("flushing the channel layer"):
            await self.layer.flush()

    async def cleanup(self) -> None:
        await self.lease.stop()
        try:
            await self.sweep(self.server, force=True)
        finally:
            await self.link.aclose()
            if self.makes_layer:
                await self.layer.close_pools()

    def supports_broadcast_channel(self) -> bool:
        return True

    def registry_get_prefix(self) -> str:
        return self.link.prefix


def _encoded(record: Record) -> str:
    return json.dumps(
        {
            "s": record.server,
            "i": record.server_instance_id,
            "k": bounded(record.user_id),
            "u": record.user_id,
            "a": record.address,
            "t": record.connected_at,
        }
    )


def _decoded(connection_id: str, encoded: bytes) -> Record:
    known = json.loads(encoded)
    return Record(connection_id, known["u"], known["a"], known["s"], known["i"], known["t"])
