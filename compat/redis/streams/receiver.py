"""What a ``Follower`` finds in histories, and what it asks of those who get it."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple, Protocol

from compat.redis.streams.history import Part

__all__ = ["Entry", "Found", "Receiver"]


class Entry(Protocol):
    """A message of a history, as the receiver reads it."""

    @property
    def epoch(self) -> str:
        """The epoch of the history."""
        raise NotImplementedError

    @property
    def offset(self) -> int:
        """The place in that epoch."""
        raise NotImplementedError

    @property
    def mark(self) -> str:
        """What no other message has."""
        raise NotImplementedError


class Found(NamedTuple):
    """A part of a history that a receiver has read."""

    part: Part
    entries: Sequence[Any] = ()
    """Each an ``Entry``, of the same type as those of ``Follower.came``."""


class Receiver(Protocol):
    """Gets what a ``Follower`` finds; ``topic`` is what was given to ``begin``."""

    def follow_memory_s(self, topic: str, /) -> float:
        """Return how long Redis remembers a position after the last message (``Record.position_s``)."""
        raise NotImplementedError

    def follow_deliver(self, topic: str, entry: Any, /, *, late: bool) -> Awaitable[None] | None:
        """Deliver a message; return None, or an awaitable to wait for before the next one.

        ``late``: it was missing, and was read.
        """

    def follow_reset(self, topic: str, /, reason: str, lost: int | None) -> None:
        """Note that messages are missing for ever; ``lost``: how many, or None if that is unknown."""

    def follow_gone_back(self, topic: str, epoch: str, /) -> None:
        """The history in this epoch has lost its last messages: let it have another epoch."""

    async def follow_read(self, topic: str, /, most: int, first: int | None, *, whole: bool = False) -> Found:
        """Read a part of the history (``Record.read``)."""
        raise NotImplementedError
