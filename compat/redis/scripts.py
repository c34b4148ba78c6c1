"""Lua scripts that run inside Redis."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError

__all__ = ["Script"]


class Script:
    """One script: its text, from one or more files, and the digest under which Redis caches it."""

    __slots__ = ("digest", "name", "text")

    def __init__(self, folder: Path, name: str, shared: Sequence[str] = ()) -> None:
        self.name = name
        self.text = b"".join((folder / f"{part}.lua").read_bytes() for part in (*shared, name))
        self.digest = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()

    async def run(self, call: Callable[..., Awaitable[Any]], keys: Sequence[str], *arguments: Any) -> Any:
        """Run the script with ``call``, which sends a command, and return the reply.

        The text is sent only if Redis does not have the script in its cache.
        """
        try:
            return await call(b"EVALSHA", self.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await call(b"EVAL", self.text, len(keys), *keys, *arguments)
