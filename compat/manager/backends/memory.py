"""``MemoryBackend``: a backend in memory, for development, tests and single servers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from compat.layers.memory import InMemoryChannelLayer
from compat.manager.backends.base import BaseBackend, Local, OrphanedGroupMembersStats
from compat.manager.backends.records import Admission, Joining, Record, Refusal, ServerInfo, bounded

__all__ = ["MemoryBackend"]


class MemoryBackend(BaseBackend):
    """A registry in dicts, safe from any thread, and an in-memory layer unless ``layer`` is given."""

    kind = "memory"

    def __init__(self, layer: Any = None, *, server_id: str | None = None) -> None:
        super().__init__(InMemoryChannelLayer() if layer is None else layer, server_id=server_id)
        self._lock = threading.RLock()
        self._records: dict[str, Record] = {}
        self._users: dict[str, dict[str, None]] = {}
        self._groups: dict[str, dict[str, None]] = {}
        self._joined: dict[str, dict[str, None]] = {}
        self._report: Callable[[], dict[str, Any]] = dict

    @property
    def server(self) -> str:
        return self.server_id

    def tell(self, local: Local, holds: Callable[[str], bool], report: Callable[[], dict[str, Any]]) -> None:
        self._report = report

    async def registry_admit(
        self, record: Record, *, max_total: int | None = None, max_user: int | None = None
    ) -> Admission:
        user = bounded(record.user_id)
        with self._lock:
            if record.connection_id in self._records:
                return Refusal("exists", 0)
            if max_total is not None and len(self._records) >= max_total:
                return Refusal("total", len(self._records))
            held = len(self._users.get(user, ()))
            if user and max_user is not None and held >= max_user:
                return Refusal("user", held)
            self._records[record.connection_id] = record
            if user:
                self._users.setdefault(user, {})[record.connection_id] = None
        return None

    async def registry_remove_connection(self, connection_id: str, user_id: str | None = None) -> None:
        with self._lock:
            record = self._records.pop(connection_id, None)
            if record is not None:
                _take_out(self._users, bounded(record.user_id), connection_id)
            for group in self._joined.pop(connection_id, {}):
                _take_out(self._groups, group, connection_id)

    async def registry_join(self, connection_id: str, group: str, max_groups: int | None = None) -> Joining:
        name = bounded(group)
        with self._lock:
            if connection_id in self._groups.get(name, ()):
                return "already"
            if max_groups is not None and name not in self._groups and len(self._groups) >= max_groups:
                return "full"
            self._groups.setdefault(name, {})[connection_id] = None
            self._joined.setdefault(connection_id, {})[name] = None
        return "joined"

    async def registry_leave(self, connection_id: str, group: str) -> None:
        name = bounded(group)
        with self._lock:
            _take_out(self._groups, name, connection_id)
            _take_out(self._joined, connection_id, name)

    async def registry_find(self, connection_id: str) -> Record | None:
        return self._records.get(connection_id)

    async def registry_user_records(self, user_id: str) -> list[Record]:
        with self._lock:
            return [self._records[one] for one in self._users.get(bounded(user_id), ())]

    async def registry_group_records(self, group: str) -> list[Record]:
        with self._lock:
            members = self._groups.get(bounded(group), ())
            return [self._records[one] for one in members if one in self._records]

    async def group_channels(self, group: str) -> set[str]:
        with self._lock:
            return set(self._groups.get(bounded(group), ()))

    async def registry_get_connection_groups(self, connection_id: str) -> set[str]:
        with self._lock:
            return set(self._joined.get(connection_id, ()))

    async def registry_count_connections(self) -> int:
        return len(self._records)

    async def registry_users(self, limit: int | None = None) -> dict[str, int]:
        return self._counts(self._users, limit)

    async def registry_count_users(self) -> int:
        return len(self._users)

    async def registry_groups(self, limit: int | None = None) -> dict[str, int]:
        return self._counts(self._groups, limit)

    async def registry_count_groups(self) -> int:
        return len(self._groups)

    def _counts(self, index: dict[str, dict[str, None]], limit: int | None) -> dict[str, int]:
        with self._lock:
            ranked = sorted(((len(ids), name) for name, ids in index.items()), reverse=True)
        return {name: count for count, name in ranked[:limit]}

    async def registry_servers(self) -> list[ServerInfo]:
        return [
            ServerInfo(
                self.server,
                self.server_id,
                len(self._records),
                None,
                time.time(),
                self._report(),
            )
        ]

    async def cleanup_orphaned_group_members(
        self,
        timeout: float | None = 30,
    ) -> OrphanedGroupMembersStats:
        with self._lock:
            before = len(self._groups)
            orphans = [one for one in self._joined if one not in self._records]
            removed = sum(len(self._joined[one]) for one in orphans)
            for one in orphans:
                for group in self._joined.pop(one):
                    _take_out(self._groups, group, one)
            return OrphanedGroupMembersStats(
                orphaned_members_removed=removed, empty_groups_removed=before - len(self._groups)
            )

    async def flush(self) -> None:
        with self._lock:
            for index in (self._records, self._users, self._groups, self._joined):
                index.clear()
        await self.layer.flush()

    def registry_get_prefix(self) -> str:
        return "memory:registry:"


def _take_out(index: dict[str, dict[str, None]], name: str, member: str) -> None:
    members = index.get(name)
    if members is not None:
        members.pop(member, None)
        if not members:
            del index[name]
