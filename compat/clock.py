"""A clock that tests cannot freeze or move, and timers that use it.

Tests replace ``time.monotonic`` by patching the attribute, or with freezegun, which replaces references in
every module. asyncio's timers depend on it. Also, after a handler has blocked the event loop, a timer fires
before the replies that have arrived are read. Deadlines and pauses use this clock, so messages are delivered
in such tests too.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from contextvars import Context
from functools import partial
from types import BuiltinFunctionType
from typing import Any, Protocol

__all__ = ["Deadline", "Timer", "call_later", "steady", "timers_run", "until", "wall"]

Clock = Callable[[], float]

POLL_S = 0.01
"""Seconds between two looks of ``until``."""

steady: Clock
if sys.platform == "win32":
    steady = time.monotonic
elif isinstance(time.monotonic, BuiltinFunctionType):
    steady = partial(time.monotonic)  # a partial, which freezegun does not replace
else:
    steady = partial(time.clock_gettime, time.CLOCK_MONOTONIC)  # imported under a frozen clock
"""The seconds of the original ``time.monotonic()``."""


if sys.platform == "win32":
    wall: Clock = time.time
else:  # freezegun does not replace clock_gettime
    wall: Clock = partial(time.clock_gettime, time.CLOCK_REALTIME)
    """Seconds since 1970, the same as in Redis and in other processes."""

TURNS = 4
"""The number of checks after a deadline has passed, before it is over.

The first is after a tenth of the time, the others in consecutive turns of the loop: uvloop runs timers before
it reads from sockets.
"""


def timers_run() -> bool:
    """Return False while ``time.monotonic`` is replaced, which the timers of asyncio depend on."""
    return isinstance(time.monotonic, BuiltinFunctionType)


async def until(condition: Callable[[], bool], within_s: float) -> bool:
    """Return True as soon as ``condition()`` is True, or False after ``within_s`` seconds of the loop."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while not condition():
        if loop.time() >= end:
            return False
        await asyncio.sleep(POLL_S)
    return True


class Timer(Protocol):
    """A timer of asyncio or of a thread."""

    def cancel(self) -> None: ...


def call_later(
    loop: asyncio.AbstractEventLoop, seconds: float, callback: Callable[..., object], *args: Any
) -> Timer:
    """Call ``callback(*args)`` on ``loop`` after ``seconds``. Call this function on that loop.

    The callback has a context of its own: that of a connection may end before. While ``time.monotonic`` is
    replaced, a thread waits instead of the loop.
    """
    if timers_run():
        return loop.call_later(seconds, callback, *args, context=Context())
    timer = _ThreadTimer(loop, callback, args)
    timer.start(seconds)
    return timer


class _ThreadTimer:
    """A timer that waits in a thread, and calls back on the loop."""

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
        if self._callback is not None:  # it may have been cancelled meanwhile
            self._callback(*self._args)


class Deadline:
    """Calls ``over()`` ``seconds`` after ``since()``, when the loop has read everything that arrived before.

    ``since`` returns a time of ``steady()``, which may be later each time. Use it on ``loop`` only.
    """

    __slots__ = ("_loop", "_over", "_seconds", "_since", "timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        over: Callable[[], object],
        since: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._over = over
        self._since = since
        self.timer: Timer | None = None
        """None: it does not look."""

    def start(self) -> None:
        """Begin to look at the time, where ``timer`` is None."""
        self.timer = call_later(self._loop, self._seconds, self._look)

    def cancel(self) -> None:
        """Stop for ever, and forget who is called, who may be the one that has this deadline."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        del self._over, self._since

    def _look(self, turns: int = TURNS) -> None:
        left = self._since() + self._seconds - steady()
        if left > 0:
            self.timer = call_later(self._loop, left, self._look)
        elif turns == TURNS:
            self.timer = call_later(self._loop, self._seconds / 10, self._look, turns - 1)
        elif turns:
            self.timer = self._loop.call_soon(self._look, turns - 1)
        else:
            self.timer = None
            self._over()
