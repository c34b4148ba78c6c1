"""Where managers of several servers meet: channel layers for messages, a registry for who is connected."""

from __future__ import annotations

from compat.manager.backends.base import BaseBackend, CleanupStats, OrphanedGroupMembersStats
from compat.manager.backends.memory import MemoryBackend
from compat.manager.backends.records import Record, Refusal, ServerInfo
from compat.manager.backends.redis import RedisBackend

__all__ = [
    "BaseBackend",
    "CleanupStats",
    "MemoryBackend",
    "OrphanedGroupMembersStats",
    "Record",
    "RedisBackend",
    "Refusal",
    "ServerInfo",
]
