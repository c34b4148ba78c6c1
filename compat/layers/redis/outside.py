"""Sends from code without a lasting event loop: scripts, Celery tasks, WSGI views.

They are passed to the background loop until there is a direct line; then the caller itself sends on that
line. With several hosts, or if no line can be opened, they are always passed to the background loop.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from compat.redis.lines import Lines
from compat.redis.loops import background

if TYPE_CHECKING:
    from compat.layers.redis.layer import RedisLayer

__all__ = ["Outside", "SendBy"]

T = TypeVar("T")

SendBy = Callable[..., Coroutine[Any, Any, T]]
"""``by(commands, *arguments)``: a send that runs its Redis commands through ``commands``."""


class Outside:
    """The sends of one layer for callers without a lasting event loop."""

    def __init__(self, layer: RedisLayer[Any]) -> None:
        self._layer = layer
        self._lines = Lines(layer.redis_hosts, layer.explain, layer.in_background, layer.role_every_s)
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = (
            weakref.WeakKeyDictionary()
        )

    def blocking(self, by: SendBy[T], *arguments: Any) -> T:
        """Send from a thread without an event loop, block, and return the result."""
        line = self._lines.take()
        if line is None:
            result = background.call(self._carried(by, *arguments))
            self._lines.missed()
            return result
        try:
            return _finish(by(line, *arguments))
        finally:
            self._lines.give_back(line)

    async def awaited(self, by: SendBy[T], *arguments: Any) -> T:
        """Send from a loop that was made for one call, in order with its other sends; return the result."""
        loop = asyncio.get_running_loop()
        turns = self._turns(loop)
        if turns.lock.locked():
            turns.carry = True  # concurrent sends: the background loop writes them together
        async with turns.lock:
            line = None if turns.carry else self._lines.take(loop)
            if line is not None:
                try:
                    return await by(line, *arguments)
                finally:
                    self._lines.give_back(line)
            turns.carry = True
            carried = background.submit(self._carried(by, *arguments))
        result = await asyncio.wrap_future(carried)
        self._lines.missed()
        return result

    def carry(self, loop: asyncio.AbstractEventLoop) -> None:
        """Pass all sends of ``loop`` to the background loop, so that none overtakes another call there."""
        self._turns(loop).carry = True

    def close(self) -> None:
        """Close the lines that are not in use."""
        self._lines.close()

    async def _carried(self, by: SendBy[T], *arguments: Any) -> T:
        return await by(self._layer.in_background(), *arguments)

    def _turns(self, loop: asyncio.AbstractEventLoop) -> _Turns:
        turns = self._loops.get(loop)
        if turns is None:
            turns = self._loops[loop] = _Turns()
        return turns


class _Turns:
    """The order of one loop's sends: one after the other on a line, until ``carry`` is True."""

    __slots__ = ("carry", "lock")

    def __init__(self) -> None:
        self.carry = False
        self.lock = asyncio.Lock()


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that blocks and never waits for an event loop; return its result."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError(f"{coroutine!r} waited for an event loop, and this thread has none")
