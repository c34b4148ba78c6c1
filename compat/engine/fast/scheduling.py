"""Wake the readers of an event loop in rounds, instead of each at once.

A reader that runs once for eight messages costs one wake-up and one write instead of eight, and finds its
socket in the processor's caches. A round begins after a turn of the event loop without a new message, after
``MAX_TURNS`` turns, or when an inbox is half full, so that waiting loses no message. If the loop has nothing
else to do, the wait is a few microseconds.

A reader handles one message in a turn of the loop, or several if their handler only sends (``sending``). A
round wakes as many readers in each turn as keep ``WINDOW`` of them at work, and gives way after ``SLICE_S``
in any case, so that the loop can serve its sockets and timers. A loop that works all the time pauses before
the next round, if such pauses have lately made it deliver several messages at once.

This relies on public methods of event loops only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator

from compat.clock import Clock, steady, timers_run
from compat.engine.events import LongFrames
from compat.engine.fast import PARTS
from compat.engine.fast.write_batching import Bursts
from compat.engine.scheduler import Reader, Scheduler
from compat.engine.stepping import Stepper

__all__ = ["Pause", "Rounds"]

MAX_TURNS = 16

WINDOW = 16
"""How many readers with several messages are at work at a time: their sockets fit into the caches."""

SLICE_S = 0.001
"""Seconds for which readers are woken before the loop has a turn for other work."""

PAUSE = 3.0
"""How long the pause after a round is, in lengths of the round ..."""

MAX_PAUSE_S = 0.003
"""... and at most. (The timers of uvloop count in milliseconds: less than half of one is none.)"""

WINDOW_S = 0.05
"""Seconds after which it is decided again whether the loop pauses ..."""

BUSY = 0.95
"""... which it does if it has worked for at least this part of them."""

GAIN = 1.5
"""How many messages a reader must have had on the average, for pauses to have been worth it."""

MAX_SKIPPED = 127
"""Windows without a pause after one whose pauses were in vain; fewer the first times."""


class Rounds(Scheduler):
    """Wake the readers of one event loop in rounds."""

    __slots__ = (
        "at_work",
        "bursts",
        "called",
        "calls",
        "done",
        "due",
        "known",
        "long_frames",
        "parts",
        "pause",
        "readers",
        "round",
        "scheduled",
        "seen",
        "share",
        "stepper",
        "timer",
        "told",
        "turns",
        "urgent",
        "woken",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, parts: Collection[str] = PARTS) -> None:
        super().__init__(loop)
        self.parts = parts
        """The fast parts that the connections of this loop use."""
        self.done: asyncio.Future[None] = loop.create_future()
        """A future that is done."""
        self.done.set_result(None)
        self.stepper = Stepper()
        self.bursts = Bursts(loop, used="write_batching" in parts)
        """The frames of the readers' connections."""
        self.long_frames = LongFrames()
        self.called: set[Reader] = set()
        """Readers that have been called and not woken."""
        self.readers: list[Reader] = []
        """The readers of the next round."""
        self.known = 0
        """How many of them had been called when ``_turn`` was scheduled."""
        self.round: Iterator[Reader] = iter(())
        """The readers of this round that have not been woken yet."""
        self.woken = self.at_work = 0
        """How many readers this round wakes, and how many of them had more to do after that."""
        self.share: float = WINDOW
        """How many readers of this round are woken in one turn of the loop."""
        self.scheduled = False
        """The loop has been asked to call ``_turn``."""
        self.calls = self.seen = 0
        """How many messages have come since the last round began, and how many before the last turn."""
        self.told = 0
        """How many messages had come before that."""
        self.urgent = False
        """True if the next round has to begin at the next turn."""
        self.turns = 0
        """Turns of the loop since the last round."""
        self.pause = Pause()
        self.timer: asyncio.TimerHandle | None = None
        """The timer of a pause, which ends at ``due``; None while there is none."""
        self.due = 0.0

    def call(self, reader: Reader, urgent: bool = False) -> None:
        """Wake ``reader`` in the next round, or at the next turn if it is ``urgent``; on the loop only."""
        self.calls += 1
        if reader not in self.called:
            self.called.add(reader)
            self.readers.append(reader)
            if not self.scheduled:
                self._turn_soon()
        if urgent:
            self.urgent = True
        if self.timer is not None and (urgent or steady() >= self.due):  # or its timer stands still
            self.timer.cancel()
            self.timer = None
            self._turn_soon()

    def messages(self) -> int:
        """Return how many messages have come for readers so far; any thread may ask."""
        return self.told + self.calls

    def is_called(self, reader: Reader) -> bool:
        """Return True while a wake-up of ``reader`` is on its way."""
        return reader in self.called

    def _turn_soon(self) -> None:
        self.scheduled = True
        self.known = len(self.readers)
        self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Begin a round, or wait for more messages."""
        self.turns += 1
        quiet = self.calls == self.seen
        self.seen = self.calls
        if not self.urgent and self.timer is None:
            if not quiet and self.turns < MAX_TURNS:
                self._turn_soon()
                return
            now = steady()
            rest_s = self.pause.left_s(now)
            if rest_s > 0 and timers_run():
                self.due = now + rest_s
                self.timer = self.loop.call_later(rest_s, self._turn)
                return
        if self.timer is None:
            self._begin_round()
        else:
            self.timer = None
            self.known = len(self.readers)
            self.loop.call_soon(self._begin_round)

    def _begin_round(self) -> None:
        """Begin to wake the readers that were called before this was scheduled, one turn of the loop ago."""
        messages = self.calls / len(self.readers)
        self.share = WINDOW / (messages - 1) if messages > 1 else float("inf")
        self.pause.begin_round(messages)
        self.woken, self.at_work = self.known, 0
        self.urgent = False
        self.told += self.calls
        self.calls = self.seen = self.turns = 0
        self.round = iter(self.readers[: self.known])
        self.readers = self.readers[self.known :]
        self._go_on()

    def _go_on(self) -> None:
        """Wake the readers of this round that belong to this turn of the loop."""
        now = began = steady()
        # Messages that come during a round keep more readers at work than ``share`` was computed for.
        left = min(self.share, WINDOW - len(self.bursts.open))
        over = False
        try:
            while left > 0 and now - began <= SLICE_S:
                reader = next(self.round, None)
                if reader is None:
                    over = True
                    break
                self.called.discard(reader)
                if reader.wake() is not True:
                    left -= 1
                    self.at_work += 1
                now = steady()
        finally:  # even after a SystemExit the other readers have to be woken
            self.pause.spent_s += now - began
            if not over:
                self.loop.call_soon(self._go_on)
        if over:
            self.pause.end_round(now, self.at_work / self.woken)
            self.scheduled = False
            if self.readers:
                self._turn_soon()


class Pause:
    """How long a loop waits between two rounds: not at all, unless it is busy all the time and waiting helps.

    During a pause the loop reads its sockets and gathers messages. A loop that has nothing to read then would
    only deliver later. The processor time of the loop's thread shows which of the two is the case.
    """

    __slots__ = (
        *("began", "gathered", "in_vain", "messages", "pauses"),
        *("skip", "spent_s", "until", "used", "waited", "worked", "working_s"),
    )

    def __init__(self, working_s: Clock = time.thread_time) -> None:
        self.working_s = working_s
        """Returns the processor time of the loop's thread, in seconds; an argument for tests."""
        self.until = self.spent_s = 0.0
        self.messages = 1.0
        self.pauses = self.used = False
        """``pauses``: the loop pauses in this window. ``used``: there was a pause before the next round."""
        self.began = self.worked = 0.0
        """The beginning of the window, by ``steady()`` and by ``working_s()``."""
        self.waited, self.gathered = 0, 0.0
        """How many rounds of this window came after a pause, and the sum of their messages per reader."""
        self.skip = self.in_vain = 0
        """How many windows without a pause are left, and how many there were the last time."""

    def left_s(self, now: float) -> float:
        """Return the seconds to wait before the next round; 0 or less: none. ``now`` is of ``steady()``."""
        left = self.until - now
        if left > 2 * MAX_PAUSE_S:  # the clock has been turned back
            return 0.0
        if left > 0:
            self.used = True
        return left

    def begin_round(self, messages: float) -> None:
        """Note the beginning of a round, with ``messages`` for each reader on average."""
        self.spent_s = 0.0
        self.messages = messages
        if self.used:
            self.used = False
            self.waited += 1
            self.gathered += messages

    def end_round(self, now: float, at_work: float = 1.0) -> None:
        """Note that all readers have been woken, which has taken ``spent_s`` seconds.

        ``at_work`` is the part of the readers that had more to do. ``spent_s`` has only the first message of
        these, and all messages of the others.
        """
        self.messages = 1 + (self.messages - 1) * at_work
        if not 0 <= now - self.began < WINDOW_S:
            self._judge(now)
        if self.pauses:
            self.until = now + min(PAUSE * self.spent_s * self.messages, MAX_PAUSE_S)

    def _judge(self, now: float) -> None:
        """Decide whether the loop pauses in the next window."""
        worked = self.working_s()
        busy = worked - self.worked >= BUSY * (now - self.began)
        if self.pauses:
            gains = busy and self.gathered >= GAIN * self.waited
            self.skip = self.in_vain = 0 if gains else min(2 * self.in_vain + 1, MAX_SKIPPED)
        self.pauses = busy and not self.skip
        self.skip = max(0, self.skip - 1)
        self.began, self.worked = now, worked
        self.waited, self.gathered = 0, 0.0
