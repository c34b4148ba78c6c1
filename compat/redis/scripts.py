"""Lua scripts that run inside Redis: their text, their digest, and how they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError

__all__ = ["Script"]


class Script:
    """One script: the text of one or more files, and the digest under which Redis keeps it."""

    __slots__ = ("digest", "name", "text")

    def __init__(self, folder: Path, name: str, shared: Sequence[str] = ()) -> None:
        self.name = name
        self.text = b"".join((folder / f"{part}.lua").read_bytes() for part in (*shared, name))
        self.digest = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()

    async def run(self, call: Callable[..., Awaitable[Any]], keys: Sequence[str], *arguments: Any) -> Any:
        """Return the script's reply; ``call`` sends a command.

        The script's text is sent where Redis does not have the script, or not any more.
        """
        try:
            return await call(b"EVALSHA", self.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await call(b"EVAL", self.text, len(keys), *keys, *arguments)
