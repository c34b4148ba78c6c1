"""The history of a topic: its keys, its script, and the form in which a message of it is published.

A history is a Redis Stream whose entries are numbered by offsets, 1, 2, 3, …, and a hash with its epoch and
its last offset. The hash outlives the stream. A history that Redis has lost begins again with another epoch.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from compat.redis.encoding import Argument
from compat.redis.scripts import Script
from compat.redis.shards import Commands

__all__ = ["APPEND", "READ", "Entry", "History", "Part", "entry_of"]

FOLDER = Path(__file__).parent
APPEND = Script(FOLDER, "append")
"""Append a message, and publish it."""
READ = Script(FOLDER, "read")
"""Read a part of a history, and its position."""

OFFSET_DIGITS = 16
EPOCH_BYTES = 16
FRAME_BYTES = OFFSET_DIGITS + EPOCH_BYTES


class Entry(NamedTuple):
    """A message with its position."""

    epoch: bytes
    offset: int
    body: bytes


class Part(NamedTuple):
    """A part of a history, and where the history ends now; the epoch is empty if there is none."""

    epoch: bytes = b""
    last: int = 0
    forgotten_s: float = 0
    """Seconds until Redis forgets the position, unless there are new messages."""
    entries: tuple[Entry, ...] = ()


class History:
    """The histories of one layer: ``count`` messages each, for ``seconds`` after the last one.

    The position of a history is kept for ``longer_s`` seconds more.
    """

    def __init__(self, count: int, seconds: int, longer_s: int) -> None:
        self.count = count
        self.seconds = seconds
        self.position_s = seconds + longer_s

    async def append(
        self, commands: Commands, shard: int, keys: list[str], topic: str, body: bytes, command: bytes
    ) -> int:
        """Append a message and publish it with ``command``; return how many connections have got it.

        ``keys``: the stream and its position. Raises LayerUnavailable.
        """
        limits: tuple[Argument, ...] = (self.count, self.seconds, self.position_s)
        fresh = os.urandom(EPOCH_BYTES // 2).hex()
        heard: int = await commands.run(shard, APPEND, [*keys, topic], body, *limits, fresh, command)
        return heard

    @staticmethod
    async def read(commands: Commands, shard: int, keys: list[str], first: int, most: int) -> Part:
        """Return up to ``most`` entries from the offset ``first`` on; raise LayerUnavailable."""
        epoch, last, ttl_ms, *flat = await commands.run(shard, READ, keys, first, most)
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return Part(epoch, last, ttl_ms / 1000, tuple(Entry(epoch, *pair) for pair in pairs))


def entry_of(published: Any) -> Entry:
    """Return the entry in a published message; raise ValueError if it has none."""
    if len(published) < FRAME_BYTES:
        raise ValueError("it has no position: it was not sent by a streams layer")
    epoch = bytes(published[OFFSET_DIGITS:FRAME_BYTES])
    return Entry(epoch, int(published[:OFFSET_DIGITS]), bytes(published[FRAME_BYTES:]))
