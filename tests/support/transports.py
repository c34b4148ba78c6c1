"""Transports that a test cannot have otherwise."""

from __future__ import annotations

from typing import Any

__all__ = ["Failing"]


class Failing:
    """Stands for a transport whose writes raise ``error``; all else is its own."""

    def __init__(self, transport: Any, error: Exception) -> None:
        self.transport = transport
        self.error = error

    def write(self, data: bytes) -> None:
        raise self.error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)
