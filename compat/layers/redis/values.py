"""``layer.key_values`` of the Redis layers: values under the layer's prefix, over its own connections.

With ``symmetric_encryption_keys`` they are encrypted like messages. A value's name is then stored as a
digest, because the name of a session is enough to use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from compat.layers.redis.serializers import decrypted

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

__all__ = ["RedisValues"]

Command = Callable[..., Awaitable[bytes | int | None]]
"""Sends a command to the host of a key; the arguments are the command's name, the key, and the rest."""


class RedisValues:
    """Values in the Redis of a layer, for any event loop; methods raise LayerUnavailable without Redis.

    ``prefix_for(name)``: the prefix of the key for a name.
    A value that no key can decrypt counts as absent; ``unreadable(error)`` is called for it.
    """

    def __init__(
        self,
        prefix_for: Callable[[str], str],
        command: Command,
        crypter: MultiFernet | None = None,
        unreadable: Callable[[Exception], None] | None = None,
    ) -> None:
        self._prefix_for = prefix_for
        self._command = command
        self._crypter = crypter
        self._unreadable = unreadable

    async def get(self, name: str) -> bytes | None:
        found = await self._command("GET", self._key(name))
        return decrypted(self._crypter, found, self._unreadable) if isinstance(found, bytes) else None

    async def set(self, name: str, value: str, *, ex: int, xx: bool = False) -> bool:
        only = ("XX",) if xx else ()
        kept = value.encode() if self._crypter is None else self._crypter.encrypt(value.encode())
        return await self._command("SET", self._key(name), kept, "EX", ex, *only) is not None

    async def delete(self, name: str) -> None:
        await self._command("DEL", self._key(name))

    def _key(self, name: str) -> str:
        if self._crypter is not None:
            name = hashlib.sha256(name.encode()).hexdigest()
        return f"{self._prefix_for(name)}:value:{name}"
