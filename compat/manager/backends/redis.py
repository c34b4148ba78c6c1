"""``RedisBackend``: a registry in Redis that any number of servers share, and a Redis channel layer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from compat.layers.redis.core import RedisChannelLayer
from compat.manager.backends.base import OrphanedGroupMembersStats
from compat.manager.backends.messaging import backend_errors
from compat.manager.backends.records import Admission, Joining, Record, Refusal, Shortened, bounded
from compat.manager.backends.scripts import ADMIT, JOIN, LEAVE
from compat.manager.backends.upkeep import AT_ONCE, KEPT_FOR_EVER, RegistryUpkeep, encoded
from compat.redis.hosts_option import host_of
from compat.redis.loops import is_throwaway

__all__ = ["RedisBackend"]


class RedisBackend(RegistryUpkeep):
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
            redis_url,
            prefix,
            registry_expiry=registry_expiry or 0,
            group_expiry=group_expiry or 0,
            lease=lease,
            reconnect_delay=reconnect_delay,
            server_id=server_id,
        )

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
            reason, count, dead, ended = await self.link.run(
                ADMIT,
                *(record.connection_id, encoded(record), record.server, bounded(record.user_id)),
                *(_limit(max_total), _limit(max_user), self.lease_ms, self.registry_expiry),
            )
            if reason == b"ok":
                if ended:  # the others may have removed the other connections, and renew.lua sees a lease now
                    self.lease.owe()
                self.lease.start()
                return None
            refusal = Refusal(reason.decode(), int(count))
            if not dead:
                break
            await self.cleanup_stale_connections()  # after that the limit may no longer be reached
        return refusal

    async def registry_remove_connection(self, connection_id: str, user_id: str | None = None) -> None:
        await self.forget([connection_id], self.server, force=True)

    async def registry_find(self, connection_id: str) -> Record | None:
        found = await self.link.call(b"HGET", f"{self.link.prefix}connections", connection_id)
        return None if found is None else _decoded(connection_id, found)

    async def registry_user_records(self, user_id: str) -> list[Record]:
        return await self._records(f"user:{bounded(user_id)}") if user_id else []

    async def registry_group_records(self, group: str) -> list[Record]:
        return await self._records(f"group:{bounded(group)}")

    async def _records(self, key: str) -> list[Record]:
        found: dict[bytes, bytes] = {}
        async for ids in self.pages(key):
            records = await self.link.call(b"HMGET", f"{self.link.prefix}connections", *ids)
            found.update((one, record) for one, record in zip(ids, records, strict=True) if record)
        return [_decoded(one.decode(), record) for one, record in found.items()]

    async def registry_count_connections(self) -> int:
        await self.cleanup_stale_connections()
        return int(await self.link.call(b"HLEN", f"{self.link.prefix}connections"))

    async def registry_refresh_ttl(self, connection_id: str, user_id: str | None = None) -> None:
        if not self.registry_expiry:
            return
        keys = ["connections", "servers", "reports", "users", f"server:{self.server}"]
        if user_id:
            keys.append(f"user:{bounded(user_id)}")
        await self.link.calls(*((b"EXPIRE", self.link.prefix + key, self.registry_expiry) for key in keys))

    # Groups

    async def registry_join(self, connection_id: str, group: str, max_groups: int | None = None) -> Joining:
        limits = _limit(max_groups), self.group_expiry
        added = await self.link.run(JOIN, connection_id, bounded(group), *limits)
        return "joined" if added == 1 else "already" if added == 0 else "full"

    async def registry_leave(self, connection_id: str, group: str) -> None:
        await self.link.run(LEAVE, connection_id, bounded(group))

    async def group_channels(self, group: str) -> set[str]:
        return await self._set(f"group:{bounded(group)}")

    async def registry_get_connection_groups(self, connection_id: str) -> set[str]:
        return await self._set(f"in:{connection_id}")

    async def _set(self, key: str) -> set[str]:
        return {Shortened(one.decode()) async for some in self.pages(key) for one in some}

    async def registry_count_group(self, group: str) -> int:
        return int(await self.link.call(b"SCARD", f"{self.link.prefix}group:{bounded(group)}"))

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
        if limit == 0:  # ZREVRANGE 0 -1 returns all
            return {}
        await self.cleanup_stale_connections()
        last = -1 if limit is None else limit - 1
        flat = await self.link.call(b"ZREVRANGE", self.link.prefix + key, 0, last, b"WITHSCORES")
        ranked = zip(flat[::2], flat[1::2], strict=True)
        return {Shortened(name.decode()): int(count) for name, count in ranked}

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


def _limit(most: int | None) -> int:
    """Return a limit as the scripts take it."""
    return -1 if most is None else most


def _decoded(connection_id: str, encoded: bytes) -> Record:
    known = json.loads(encoded)
    return Record(connection_id, known["u"], known["a"], known["s"], known["i"], known["t"])
