"""Waking the readers of inboxes: those of one event loop together, when what comes at once has come.

A reader that runs once for eight messages costs one task switch and one write to its socket instead of
eight. So readers are not woken by each message, but when no more have come for two turns of the event loop
(a client's next frame takes two, from the socket to its handler) or after ``MAX_TURNS``. Where a loop has
nothing else to do that is a few microseconds.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Protocol

__all__ = ["WakeUps", "wakeups_of"]

QUIET_TURNS = 2
MAX_TURNS = 16


class Reader(Protocol):
    """What is woken."""

    called: bool

    def wake(self) -> None:
        """Let it look; nothing when it runs already."""


class WakeUps:
    """The readers of one event loop that have something to read and have not been told."""

    __slots__ = ("fresh", "loop", "quiet", "readers", "turns")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.readers: list[Reader] = []
        self.fresh = False
        """Something has come since the last turn."""
        self.turns = self.quiet = 0

    def call(self, reader: Reader) -> None:
        """Wake ``reader`` soon; on the loop only."""
        self.fresh = True
        if not reader.called:
            reader.called = True
            if not self.readers:
                self.turns = self.quiet = 0
                self.loop.call_soon(self._turn)
            self.readers.append(reader)

    def _turn(self) -> None:
        self.turns += 1
        self.quiet = 0 if self.fresh else self.quiet + 1
        self.fresh = False
        if self.quiet < QUIET_TURNS and self.turns < MAX_TURNS:
            self.loop.call_soon(self._turn)
            return
        readers, self.readers = self.readers, []
        for reader in readers:
            reader.called = False
            reader.wake()


_wakeups: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, WakeUps] = weakref.WeakKeyDictionary()


def wakeups_of(loop: asyncio.AbstractEventLoop) -> WakeUps:
    """The one of ``loop``."""
    found = _wakeups.get(loop)
    if found is None:
        found = _wakeups[loop] = WakeUps(loop)
    return found
