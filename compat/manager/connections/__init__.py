"""Connections, their registry, and the manager that sends to them."""

from __future__ import annotations

from compat.manager.connections.heartbeat import HeartbeatMonitor
from compat.manager.connections.manager import ConnectionManager
from compat.manager.connections.registry import ConnectionRegistry
from compat.manager.connections.state import Connection
from compat.manager.current import get_manager

__all__ = ["Connection", "ConnectionManager", "ConnectionRegistry", "HeartbeatMonitor", "get_manager"]
