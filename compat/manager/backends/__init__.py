"""Backends, which connect the managers of several servers: a channel layer and a registry of connections."""

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
