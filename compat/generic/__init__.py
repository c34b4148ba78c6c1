"""Consumers that know a protocol: ``compat.generic.websocket`` and ``compat.generic.http``."""

from __future__ import annotations

__all__: list[str] = []
