"""The engine runs a consumer for one connection, from its first message to its last."""

from __future__ import annotations

__all__: list[str] = []
