"""Time limits and pauses by the machine's own clock, whatever a test or a blocked event loop does to another.

asyncio's timers go by ``time.monotonic``. Tests replace it (freezegun), so that it jumps by years, or stands
still. And after a handler has blocked the event loop, a timer fires before the replies that came meanwhile
are read.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType
from typing import Any, Protocol

from compat.clock import steady

__all__ = ["Deadline", "Timer", "call_later", "now", "wall"]

Clock = Callable[[], float]

now = steady
"""Seconds of a clock that always runs, and never backwards."""

if sys.platform == "win32":
    wall: Clock = time.time
else:  # what freezegun leaves alone
    wall: Clock = partial(time.clock_gettime, time.CLOCK_REALTIME)
    """Seconds since 1970, as Redis and the other processes have it."""

TURNS = 4
"""How often a deadline that has passed looks again before it is over.

Once after a tenth of the time, and then in consecutive turns of the loop: uvloop runs timers before it reads.
"""


class Timer(Protocol):
    """What can be cancelled: a handle of asyncio, or a thread."""

    def cancel(self) -> None: ...


def call_later(
    loop: asyncio.AbstractEventLoop, seconds: float, callback: Callable[..., object], *args: Any
) -> Timer:
    """Call ``callback(*args)`` on ``loop`` in so many seconds; at once when the loop's clock jumps meanwhile.

    Only on that loop. While ``time.monotonic`` is replaced, a thread waits in place of the loop.
    """
    if isinstance(time.monotonic, BuiltinFunctionType):
        return loop.call_later(seconds, callback, *args)
    timer = _ThreadTimer(loop, callback, args)
    timer.start(seconds)
    return timer


class _ThreadTimer:
    """A timer of the loop by a thread's clock."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        self._loop = loop
        self._callback: Callable[..., object] | None = callback
        self._args = args
        self._thread: threading.Timer | None = None

    def start(self, seconds: float) -> None:
        self._thread = threading.Timer(max(0.0, seconds), self._fire)
        self._thread.daemon = True
        self._thread.start()

    def cancel(self) -> None:
        self._callback = None
        if self._thread is not None:
            self._thread.cancel()

    def _fire(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._run)
        except RuntimeError:
            pass  # the loop is closed

    def _run(self) -> None:
        if self._callback is not None:  # it may have been cancelled on the way
            self._callback(*self._args)


class Deadline:
    """Calls ``over()`` when ``since`` is ``seconds`` ago, once the loop has read what has come until then.

    ``since``: a time of ``now()`` that its owner moves on whenever something has come. Only on ``loop``.
    """

    __slots__ = ("_loop", "_over", "_seconds", "_timer", "since")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, over: Callable[[], object]) -> None:
        self.since = 0.0
        self._loop = loop
        self._seconds = seconds
        self._over = over
        self._timer: Timer | None = None

    def start(self) -> None:
        """Count from now on."""
        self.since = now()
        if self._timer is None:
            self._timer = call_later(self._loop, self._seconds, self._look)

    def cancel(self) -> None:
        """Stop counting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, turns: int = TURNS) -> None:
        left = self.since + self._seconds - now()
        if left > 0:
            self._timer = call_later(self._loop, left, self._look)
        elif turns == TURNS:
            self._timer = call_later(self._loop, self._seconds / 10, self._look, turns - 1)
        elif turns:
            self._timer = self._loop.call_soon(self._look, turns - 1)
        else:
            self._timer = None
            self._over()
