"""Lua scripts that run inside Redis."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError

from compat.redis.encoding import Argument

__all__ = ["Script", "publishes", "with_one_key"]

ONE_KEY = b"""
for kind in string.gmatch(table.remove(ARGV, 1), '.') do
  local key = table.remove(ARGV, 1)
  if kind == 'k' and type(redis.pcall('EXISTS', key)) ~= 'number' then
    return redis.error_reply('TRYAGAIN a key is on another node')
  end
  KEYS[#KEYS + 1] = key
end
"""
"""What a script begins with that names one key: before its arguments it gets a letter for each of its other
keys (t: a topic), and these keys."""

_known: dict[bytes, Script] = {}
"""The scripts by their digests."""


class Script:
    """One script: its text, from one or more files, and the digest under which Redis caches it.

    ``topics`` are the numbers of those of its keys, from 1, that are topics of pub/sub. Such a script should
    not remove a key and make it again: while a cluster moves the key, that fails in the middle.
    """

    __slots__ = ("digest", "name", "text", "topics")

    def __init__(
        self, folder: Path, name: str, shared: Sequence[str] = (), *, topics: Sequence[int] = ()
    ) -> None:
        self.name = name
        self.topics = frozenset(topics)
        self.text = b"".join((folder / f"{part}.lua").read_bytes() for part in (*shared, name))
        self.digest = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()
        _known[self.digest] = self

    async def run(self, call: Callable[..., Awaitable[Any]], keys: Sequence[str], *arguments: Any) -> Any:
        """Run the script with ``call``, which sends a command, and return the reply.

        The text is sent only if Redis does not have the script in its cache.
        """
        try:
            return await call(b"EVALSHA", self.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await call(b"EVAL", self.text, len(keys), *keys, *arguments)


def publishes(command: Sequence[Argument]) -> bool:
    """Return True for a call of a script that names a topic among its keys."""
    script = _called(command)
    return script is not None and bool(script.topics)


def with_one_key(command: tuple[Argument, ...]) -> tuple[Argument, ...]:
    """Return a call of a script with several keys as one that names the first key alone; others unchanged.

    The other keys follow as arguments. If one of them is on another node, the script does nothing (TRYAGAIN).
    """
    if command[0] not in (b"EVAL", b"EVALSHA") or int(command[2]) < 2:
        return command
    script = _called(command)
    topics = frozenset() if script is None else script.topics
    text = command[1] if script is None else script.text
    assert isinstance(text, bytes)
    kinds = "".join("t" if number in topics else "k" for number in range(2, int(command[2]) + 1))
    return (b"EVAL", ONE_KEY + text, 1, command[3], kinds, *command[4:])


def _called(command: Sequence[Argument]) -> Script | None:
    """Return the script that a command calls by its digest."""
    return _known.get(command[1]) if command[0] == b"EVALSHA" and isinstance(command[1], bytes) else None
