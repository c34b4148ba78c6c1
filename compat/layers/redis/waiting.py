"""Waiting with a time limit, and with a cancellation that is never lost.

``asyncio.wait_for`` before Python 3.12 returns normally when it is cancelled in the moment in which what it
waits for is done; a task that waits in a loop would then never end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["wait_set", "within"]

T = TypeVar("T")


async def within(seconds: float, coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of ``coroutine``; asyncio.TimeoutError, and it is cancelled, when it takes longer."""
    task = asyncio.ensure_future(coroutine)
    try:
        done, _ = await asyncio.wait((task,), timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait((task,))
        raise
    if not done:
        task.cancel()
        await asyncio.wait((task,))
        raise asyncio.TimeoutError
    return task.result()


async def wait_set(event: asyncio.Event, seconds: float) -> None:
    """Wait until ``event`` is set, which after ``seconds`` it is in any case."""
    timer = asyncio.get_running_loop().call_later(seconds, event.set)
    try:
        await event.wait()
    finally:
        timer.cancel()
