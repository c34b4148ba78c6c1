"""Stores of sessions: ``base``, to derive from. Django's own stores are answered by one in memory."""

from __future__ import annotations

__all__: list[str] = []
