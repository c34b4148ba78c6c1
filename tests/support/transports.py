"""Transports that a test cannot have otherwise."""

from __future__ import annotations

from typing import Any

__all__ = ["Failing", "Noting"]


class Failing:
    """Stands for a transport whose writes raise ``error``; all else is its own."""

    def __init__(self, transport: Any, error: Exception) -> None:
        self.transport = transport
        self.error = error

    def write(self, data: bytes) -> None:
        raise self.error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)


class Noting:
    """Stands for a transport, and counts the bytes that are written."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)
        self.transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)
