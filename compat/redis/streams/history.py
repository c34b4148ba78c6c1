"""The histories of topics in Redis: their scripts, and where a message carries its position.

A history is a Redis Stream whose entries are numbered by offsets, 1, 2, 3, …, and a hash with its epoch and
its last offset. The hash outlives the stream. A history that Redis has lost begins again with another epoch.

The sender leaves room in a message for its position, which the script writes there: ``PLACE_LENGTH``
characters, of which the last ones are the mark of the message.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from compat.redis.commands import Commands, Share
from compat.redis.encoding import Argument
from compat.redis.scripts import Script

__all__ = [
    "APPEND",
    "BEGIN",
    "FORGET",
    "NOWHERE",
    "PLACE_LENGTH",
    "READ",
    "RECORD_PART",
    "RENEW_EPOCH",
    "TAINT",
    "UNPLACED",
    "Part",
    "Place",
    "Record",
    "Stored",
    "new_epoch",
]

FOLDER = Path(__file__).parent
RECORD_PART = str(FOLDER / "record")
"""What every script that writes to a history begins with (``Script``)."""
APPEND = Script(FOLDER, "append", (RECORD_PART,), topics=(3,))
"""Append messages, and publish each."""
READ = Script(FOLDER, "read", (RECORD_PART,))
"""Read a part of a history, and its position."""
BEGIN = Script(FOLDER, "begin")
"""Give a history its epoch before its first message."""
RENEW_EPOCH = Script(FOLDER, "renew_epoch")
"""Begin another epoch."""
TAINT = Script(FOLDER, "taint")
"""Note a message that is not in a history."""
FORGET = Script(FOLDER, "forget")
"""Delete entries."""

OFFSET_DIGITS = 16
EPOCH_LENGTH = 16
MARK_LENGTH = 16
PLACED_LENGTH = OFFSET_DIGITS + EPOCH_LENGTH
PLACE_LENGTH = PLACED_LENGTH + MARK_LENGTH
UNPLACED = "0" * PLACED_LENGTH
NOWHERE = -1
"""A message without room for its position, because it is encrypted."""


class Place(NamedTuple):
    """Where a message is in its history, and the mark by which its sender knows it."""

    epoch: str
    offset: int
    mark: str

    @classmethod
    def made(cls) -> str:
        """Return room for a position, with a new mark."""
        return UNPLACED + os.urandom(MARK_LENGTH // 2).hex()

    @classmethod
    def read(cls, text: str) -> Place:
        """Return the place in the first ``PLACE_LENGTH`` characters of a text; raise ValueError."""
        digits = text[:OFFSET_DIGITS]
        if len(text) < PLACE_LENGTH or not (digits.isascii() and digits.isdigit()):
            raise ValueError("it has no position in a history")
        return cls(text[OFFSET_DIGITS:PLACED_LENGTH], int(digits), text[PLACED_LENGTH:PLACE_LENGTH])

    def __str__(self) -> str:
        return f"{self.offset:0{OFFSET_DIGITS}d}{self.epoch}{self.mark}"


def new_epoch() -> str:
    """Return the epoch of a history that begins."""
    return os.urandom(EPOCH_LENGTH // 2).hex()


class Stored(NamedTuple):
    """An entry of a stream."""

    offset: int
    age_s: float
    body: bytes


class Part(NamedTuple):
    """A part of a history, and what is known of all of it; the epoch is empty if there is none."""

    epoch: str = ""
    last: int = 0
    forgotten_s: float = 0
    """Seconds until Redis forgets the position, unless there are new messages."""
    gone: int = 0
    """The entries up to this offset are there no more."""
    tainted: int = 0
    """Up to this offset, processes that know nothing of histories have sent messages in between."""
    forgets: int = 0
    """How often entries were deleted by hand."""
    before: tuple[str, ...] = ()
    """The epochs of which this one is the continuation, the newest first; each time, messages were lost."""
    entries: tuple[Stored, ...] = ()


class Record:
    """The histories of one kind: ``count`` messages each, for ``seconds``.

    The position of a history is kept for ``longer_s`` seconds more.
    """

    def __init__(self, count: int, seconds: int, longer_s: int) -> None:
        self.count = count
        self.seconds = seconds
        self.position_s = seconds + longer_s

    def limits(self) -> tuple[Argument, ...]:
        """Return the arguments of ``record`` in ``record.lua`` that say how much is kept, and a new epoch."""
        return (self.count, self.seconds, self.position_s, new_epoch())

    async def append(
        self,
        commands: Commands,
        shard: int,
        keys: list[str],
        body: bytes,
        at: int,
        topic: str = "",
        command: bytes = b"",
    ) -> tuple[int, str, int]:
        """Append a message, and publish it on ``topic`` with ``command`` if there is one.

        ``keys``: the stream and its position. ``at``: where its place is in the message, or NOWHERE. Returns
        its offset, its epoch, and how many connections have got it. Raises LayerUnavailable.
        """
        keys, limits = [*keys, topic] if topic else keys, (self.count, self.seconds, self.position_s)
        own = (body, b"") if at == NOWHERE else (body[:at], body[at + PLACED_LENGTH :])
        appended: tuple[int, str, int] = await commands.share(
            shard, Share(APPEND, keys, (command, *limits), new_epoch, own, _appended)
        )
        return appended

    async def read(
        self,
        commands: Commands,
        shard: int,
        keys: list[str],
        most: int,
        first: int | None = None,
        *,
        whole: bool = False,
    ) -> Part:
        """Return up to ``most`` entries from ``first`` on, or the newest; raise LayerUnavailable.

        From ``first`` on, fewer may be returned if they are long, but two if there are two, unless ``whole``.
        """
        part = await self._read(commands, shard, keys, most, first)
        while (whole or first is None) and part.entries and len(part.entries) < most:
            before, after = part.entries[0].offset - 1, part.entries[-1].offset + 1
            if before <= part.gone if first is None else after > part.last:
                break
            start, end = (None, before) if first is None else (after, None)
            more = await self._read(commands, shard, keys, most - len(part.entries), start, end)
            if more.epoch != part.epoch:  # the parts are not of one history
                return await self.read(commands, shard, keys, most, first, whole=whole)
            if not more.entries:
                break
            parts = (more, part) if first is None else (part, more)
            part = part._replace(entries=parts[0].entries + parts[1].entries)
        return part

    async def _read(
        self,
        commands: Commands,
        shard: int,
        keys: list[str],
        most: int,
        first: int | None,
        last: int | None = None,
    ) -> Part:
        """Return what one call of the script finds."""
        start = "" if first is None else max(first, 1)
        end = "" if last is None else last
        found = await commands.run(shard, READ, keys, most, self.seconds, start, end)
        epoch, last_offset, ttl_ms, gone, tainted, forgets, before, *flat = found
        entries = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        return Part(
            epoch.decode(),
            last_offset,
            ttl_ms / 1000,
            gone,
            tainted,
            forgets,
            tuple(before.decode().split()),
            tuple(Stored(offset, age_ms / 1000, body) for offset, age_ms, body in entries),
        )


def _appended(reply: list[Any]) -> list[tuple[int, str, int]]:
    """Return what ``Record.append`` returns, of each message of one run of its script."""
    first, epoch, *heard = reply
    name = epoch.decode()
    return [(offset, name, count) for offset, count in enumerate(heard, first)]
