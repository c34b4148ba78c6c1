"""The Redis client of the layers and the manager: hosts, connections, event loops, scripts."""

from __future__ import annotations

__all__: list[str] = []
