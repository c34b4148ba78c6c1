"""A key-value store beside a layer's messages, for example for sessions.

A layer offers it as ``key_values``. The interface is a part of redis-py's asyncio client, so such a client,
or any object with these three methods, can be used as well.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Any, Protocol

from compat.forks import new_lock

__all__ = ["KeyValues", "MemoryValues"]


class KeyValues(Protocol):
    """An async key-value store whose values expire."""

    def get(self, name: str, /) -> Awaitable[Any]:
        """Return the value (str or bytes), or None if there is none or it has expired."""
        ...

    def set(self, name: str, value: str, *, ex: int, xx: bool = False) -> Awaitable[Any]:
        """Store ``value`` for ``ex`` seconds; with ``xx`` only over an old value, else return a false one."""
        ...

    def delete(self, name: str, /) -> Awaitable[Any]:
        """Delete ``name``, if it exists."""
        ...


class MemoryValues:
    """Values in the memory of this process; safe from any thread and loop."""

    clock = staticmethod(time.monotonic)
    sweep_interval_s = 60.0

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, str]] = {}
        self._next_sweep = 0.0
        self._changing = new_lock()

    async def get(self, name: str) -> str | None:
        expires_at, value = self._kept.get(name, (0.0, ""))
        return value if expires_at > self.clock() else None

    async def set(self, name: str, value: str, *, ex: int, xx: bool = False) -> bool:
        now = self.clock()
        with self._changing:
            self._sweep(now)
            if xx and self._kept.get(name, (0.0, ""))[0] <= now:
                return False
            self._kept[name] = (now + ex, value)
        return True

    async def delete(self, name: str) -> None:
        with self._changing:
            self._kept.pop(name, None)

    def _sweep(self, now: float) -> None:
        """Delete expired values every ``sweep_interval_s``; at each write it would take quadratic time."""
        if now < self._next_sweep:
            return
        self._next_sweep = now + self.sweep_interval_s
        self._kept = {name: kept for name, kept in self._kept.items() if kept[0] > now}
