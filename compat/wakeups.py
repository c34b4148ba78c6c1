"""Waking the readers of inboxes: those of one event loop together, when what comes at once has come.

A reader that runs once for eight messages costs one task switch and one write instead of eight, and finds its
socket in the processor's caches. So readers are not woken by each message but in rounds: when no more have
come for a turn of the event loop, after ``MAX_TURNS``, or when an inbox is half full, so that nothing is lost
to the waiting. Where a loop has nothing else to do that is a few microseconds.

A long round lets the loop look after its sockets and timers every ``SLICE_S``. A loop that has spent much of
its time on rounds pauses before the next one, if that has lately made it deliver several messages at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import monotonic
from typing import Protocol

__all__ = ["WakeUps", "wakeups_of"]

QUIET_TURNS = 1
"""A client's next frame takes one turn, from the socket to its handler."""

MAX_TURNS = 8

SLICE_S = 0.005
"""How long readers are woken before the loop may do something else."""

PAUSE = 3.0
"""How long the pause after a round is, in lengths of the round ..."""

MAX_PAUSE_S = 0.003
"""... and at most. (The timers of uvloop count in milliseconds: less than half of one is none.)"""

MAX_SKIPPED = 63
"""Rounds without a pause after one that has gained nothing; fewer the first times."""


class Reader(Protocol):
    """What is woken."""

    called: bool

    def wake(self) -> None:
        """Let it look, in a callback of the loop; nothing when it runs already."""


class WakeUps:
    """The readers of one event loop that have something to read and have not been told."""

    __slots__ = (
        "calls",
        "done",
        "loop",
        "pause",
        "quiet",
        "readers",
        "round",
        "scheduled",
        "seen",
        "turns",
        "urgent",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.done: asyncio.Future[None] = loop.create_future()
        """A future that is done."""
        self.done.set_result(None)
        self.readers: list[Reader] = []
        """Those of the next round."""
        self.round: Iterator[Reader] = iter(())
        """Those of this round whose turn has not come."""
        self.scheduled = False
        """The loop has been asked to call ``_turn``."""
        self.calls = self.seen = 0
        """How many messages have come for the readers, and how many of them before the last turn."""
        self.urgent = False
        """A reader is not to be kept waiting any longer."""
        self.turns = self.quiet = 0
        self.pause = Pause()

    def call(self, reader: Reader, urgent: bool = False) -> None:
        """Wake ``reader`` soon, or at the next turn; on the loop only."""
        self.calls += 1
        if urgent:
            self.urgent = True
        if not reader.called:
            reader.called = True
            self.readers.append(reader)
            if not self.scheduled:
                self._schedule()

    def _schedule(self) -> None:
        self.scheduled = True
        self.turns = self.quiet = 0
        self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        """More may come, or a round begins."""
        self.turns += 1
        self.quiet = 0 if self.calls > self.seen else self.quiet + 1
        self.seen = self.calls
        if not self.urgent:
            if self.quiet < QUIET_TURNS and self.turns < MAX_TURNS:
                self.loop.call_soon(self._turn)
                return
            rest_s = self.pause.left_s(monotonic())
            if rest_s > 0:
                self.loop.call_later(rest_s, self._turn)
                return
        self.pause.begin_round(self.calls / len(self.readers))
        self.urgent = False
        self.calls = self.seen = 0
        readers, self.readers = self.readers, []
        self.round = iter(readers)
        self._go_on()

    def _go_on(self) -> None:
        """Wake the readers of this round, a slice of them; all when an inbox fills up."""
        now = began = monotonic()
        over = False
        try:
            for reader in self.round:
                reader.called = False
                reader.wake()
                now = monotonic()
                if now - began > SLICE_S and not self.urgent:
                    return
            over = True
        finally:  # also when one has raised SystemExit: the others are not forgotten
            self.pause.spent_s += now - began
            if not over:
                self.loop.call_soon(self._go_on)
        self.pause.end_round(now)
        self.scheduled = False
        if self.readers:
            self._schedule()


class Pause:
    """How long a loop waits between two rounds, learned from what waiting has gained."""

    __slots__ = ("in_vain", "skip", "spent_s", "until", "used")

    def __init__(self) -> None:
        self.until = self.spent_s = 0.0
        self.used = False
        """The next round has been waited for."""
        self.skip = self.in_vain = 0
        """How many rounds are not waited for, and how many were not the last time."""

    def left_s(self, now: float) -> float:
        """Seconds to wait before the next round; 0 or less for none. ``now`` is ``time.monotonic()``."""
        left = self.until - now
        if left > 0:
            self.used = True
        return left

    def begin_round(self, messages: float) -> None:
        """A round begins, with so many messages for each reader."""
        self.spent_s = 0.0
        if self.used:
            self.used = False
            self.in_vain = 0 if messages >= 1.5 else min(2 * self.in_vain + 1, MAX_SKIPPED)
            self.skip = self.in_vain

    def end_round(self, now: float) -> None:
        """The round is over: it has taken ``spent_s``."""
        if self.skip:
            self.skip -= 1
        else:
            self.until = now + min(PAUSE * self.spent_s, MAX_PAUSE_S)


_wakeups: dict[asyncio.AbstractEventLoop, WakeUps] = {}


def wakeups_of(loop: asyncio.AbstractEventLoop) -> WakeUps:
    """The one of ``loop``; those of loops that have been closed are forgotten when a new one begins."""
    found = _wakeups.get(loop)
    if found is None:
        for other in [other for other in tuple(_wakeups) if other.is_closed()]:
            _wakeups.pop(other, None)
        found = _wakeups[loop] = WakeUps(loop)
    return found
