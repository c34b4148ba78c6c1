"""Waking the readers of inboxes: those of one event loop together, when what comes at once has come.

A reader that runs once for eight messages costs one task switch instead of eight, and finds its socket in the
processor's caches. So readers are not woken by each message, but when no more have come for a turn of the
event loop, after ``MAX_TURNS``, or when an inbox is half full: nothing is lost to the waiting. Where a loop
has nothing else to do that is a few microseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

__all__ = ["WakeUps", "wakeups_of"]

QUIET_TURNS = 1
"""A client's next frame takes one turn, from the socket to its handler."""

MAX_TURNS = 8


class Reader(Protocol):
    """What is woken."""

    called: bool

    def wake(self) -> None:
        """Let it look, in a callback of the loop; nothing when it runs already."""


class WakeUps:
    """The readers of one event loop that have something to read and have not been told."""

    __slots__ = ("done", "due", "fresh", "loop", "quiet", "readers", "turns", "urgent")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.done: asyncio.Future[None] = loop.create_future()
        """A future that is done."""
        self.done.set_result(None)
        self.readers: list[Reader] = []
        self.due: list[Callable[[], None]] = []
        self.fresh = False
        """Something has come since the last turn."""
        self.urgent = False
        """A reader is not to be kept waiting any longer."""
        self.turns = self.quiet = 0

    def call(self, reader: Reader, urgent: bool = False) -> None:
        """Wake ``reader`` soon, or at the next turn; on the loop only."""
        self.fresh = True
        if urgent:
            self.urgent = True
        if not reader.called:
            reader.called = True
            if not self.readers:
                self.turns = self.quiet = 0
                self.loop.call_soon(self._turn)
            self.readers.append(reader)

    def at_next_turn(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` at the loop's next turn; what is due then shares one handle of the loop's."""
        if not self.due:
            self.loop.call_soon(self._call_due)
        self.due.append(callback)

    def _call_due(self) -> None:
        due, self.due = self.due, []
        for callback in due:
            callback()

    def _turn(self) -> None:
        self.turns += 1
        self.quiet = 0 if self.fresh else self.quiet + 1
        self.fresh = False
        if self.quiet < QUIET_TURNS and self.turns < MAX_TURNS and not self.urgent:
            self.loop.call_soon(self._turn)
            return
        self.urgent = False
        readers, self.readers = self.readers, []
        for reader in readers:
            reader.called = False
            reader.wake()


_wakeups: dict[asyncio.AbstractEventLoop, WakeUps] = {}


def wakeups_of(loop: asyncio.AbstractEventLoop) -> WakeUps:
    """The one of ``loop``; those of loops that have been closed are forgotten when a new one begins."""
    found = _wakeups.get(loop)
    if found is None:
        for other in [other for other in tuple(_wakeups) if other.is_closed()]:
            _wakeups.pop(other, None)
        found = _wakeups[loop] = WakeUps(loop)
    return found
