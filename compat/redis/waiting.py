"""Wait with a time limit, without losing a cancellation.

Before Python 3.12, ``asyncio.wait_for`` returns normally if it is cancelled at the moment at which its future
is done. A task that waits in a loop would then never end. The time limits use ``clock``, which tests cannot
freeze.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from compat.clock import Deadline, call_later, steady

__all__ = ["settle", "sleep", "wait_for_result", "wait_set", "within"]

T = TypeVar("T")


async def within(seconds: float, coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of ``coroutine``; after ``seconds`` cancel it and raise asyncio.TimeoutError."""
    task = asyncio.ensure_future(coroutine)
    began, late = steady(), False

    def over() -> None:
        nonlocal late
        late = True
        task.cancel()

    deadline = Deadline(asyncio.get_running_loop(), seconds, over, lambda: began)
    deadline.start()
    try:
        await asyncio.wait((task,))
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait((task,))
        raise
    finally:
        deadline.cancel()
    if late and task.cancelled():
        raise asyncio.TimeoutError
    return task.result()


async def wait_set(event: asyncio.Event, seconds: float) -> None:
    """Wait until ``event`` is set; after ``seconds`` this function sets it."""
    timer = call_later(asyncio.get_running_loop(), seconds, event.set)
    try:
        await event.wait()
    finally:
        timer.cancel()


async def wait_for_result(future: asyncio.Future[None], seconds: float) -> None:
    """Wait until ``future`` is done; after ``seconds`` this function sets its result."""
    timer = call_later(asyncio.get_running_loop(), seconds, settle, future)
    try:
        await asyncio.wait((future,))
    finally:
        timer.cancel()


async def sleep(seconds: float) -> None:
    """Wait for ``seconds``."""
    await wait_for_result(asyncio.get_running_loop().create_future(), seconds)


def settle(future: asyncio.Future[None]) -> None:
    """Set the result of ``future`` to None, unless it is done, which wakes the task that awaits it."""
    if not future.done():
        future.set_result(None)
