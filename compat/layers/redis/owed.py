"""Removals from groups of which Redis may not know: it could not be told, or has lost them in a failover."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from compat.clock import steady

__all__ = ["Owed"]

KEPT_S = 15.0
"""For how long a removal is kept that Redis has confirmed; the last ones are not on the new master yet."""
KEPT = 10_000
MOST = 100_000
"""How many removals are kept in an outage, in which clients may try to join for hours. Redis has the others
until they expire; messages to them are counted as gone.
"""


class Owed:
    """The (group, channel) pairs that one process must still remove from Redis, or remove again."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, str], None] = {}
        self._telling: dict[str, list[str]] = {}
        """Those of which Redis is being told, by group."""
        self._told: deque[tuple[float, str, str]] = deque(maxlen=KEPT)
        """Those of which Redis is told, and when, by ``steady()``."""

    def __bool__(self) -> bool:
        """Return True until Redis has confirmed all of them."""
        return bool(self._pairs or self._telling)

    def add(self, group: str, channel: str) -> None:
        """Note a removal of which Redis must be told."""
        self._pairs[group, channel] = None
        self._forget_most()

    def told(self, group: str, channel: str) -> None:
        """Note a removal of which Redis is told now."""
        self._forget_old()
        self._told.append((steady(), group, channel))

    def again(self) -> bool:
        """Owe the last removals again, because Redis may have lost them; return True if any are owed."""
        self._forget_old()
        self._pairs.update(((group, channel), None) for _, group, channel in self._told)
        self._told.clear()
        return bool(self)

    @contextmanager
    def telling(self) -> Iterator[dict[str, list[str]]]:
        """Return the channels by group, for a block that tells Redis; it takes out what Redis has confirmed.

        If the block fails, the rest stays owed; otherwise none is.
        """
        taken = self._telling = {}
        for group, channel in self._pairs:
            taken.setdefault(group, []).append(channel)
        self._pairs = {}
        try:
            yield taken
        except BaseException:
            for group, channels in taken.items():
                self._pairs.update(((group, channel), None) for channel in channels)
            self._forget_most()
            raise
        finally:
            self._telling = {}

    def clear(self) -> None:
        """Forget all."""
        self._pairs.clear()
        self._told.clear()

    def _forget_most(self) -> None:
        while len(self._pairs) > MOST:
            del self._pairs[next(iter(self._pairs))]

    def _forget_old(self) -> None:
        before = steady() - KEPT_S
        while self._told and self._told[0][0] < before:
            self._told.popleft()
