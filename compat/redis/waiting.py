"""Waiting with a time limit, and with a cancellation that is never lost.

``asyncio.wait_for`` before Python 3.12 returns normally when it is cancelled in the moment in which what it
waits for is done; a task that waits in a loop would then never end. Limits go by the machine's clock
(``clock``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from compat.clock import Deadline, call_later, steady

__all__ = ["settle", "sleep", "wait_for_result", "wait_set", "within"]

T = TypeVar("T")


async def within(seconds: float, coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of ``coroutine``; asyncio.TimeoutError, and it is cancelled, when it takes longer."""
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
    """Wait until ``event`` is set, which after ``seconds`` it is in any case."""
    timer = call_later(asyncio.get_running_loop(), seconds, event.set)
    try:
        await event.wait()
    finally:
        timer.cancel()


async def wait_for_result(future: asyncio.Future[None], seconds: float) -> None:
    """Wait until ``future`` is done, which after ``seconds`` it is in any case."""
    timer = call_later(asyncio.get_running_loop(), seconds, settle, future)
    try:
        await asyncio.wait((future,))
    finally:
        timer.cancel()


async def sleep(seconds: float) -> None:
    """Do nothing for so long."""
    await wait_for_result(asyncio.get_running_loop().create_future(), seconds)


def settle(future: asyncio.Future[None]) -> None:
    """Let the task that awaits ``future`` go on."""
    if not future.done():
        future.set_result(None)
