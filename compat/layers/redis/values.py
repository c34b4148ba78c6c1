"""``layer.key_values`` of the Redis layers: values under the layer's prefix, by its own connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

__all__ = ["RedisValues"]

Command = Callable[..., Awaitable[bytes | int | None]]
"""Sends a command about a key, which is its second argument, to the host that has the key."""


class RedisValues:
    """Values in the Redis of a layer; for any event loop. Methods raise LayerUnavailable."""

    def __init__(self, prefix: str, command: Command) -> None:
        self.prefix = prefix
        self._command = command

    async def get(self, name: str) -> bytes | int | None:
        return await self._command("GET", self._key(name))

    async def set(self, name: str, value: str, *, ex: int, xx: bool = False) -> bool:
        only = ("XX",) if xx else ()
        return await self._command("SET", self._key(name), value, "EX", ex, *only) is not None

    async def delete(self, name: str) -> None:
        await self._command("DEL", self._key(name))

    def _key(self, name: str) -> str:
        return f"{self.prefix}:value:{name}"
