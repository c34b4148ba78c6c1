"""Wait with a time limit, without losing a cancellation.

Before Python 3.12, ``asyncio.wait_for`` returns normally if it is cancelled at the moment at which its future
is done. A task that waits in a loop would then never end. The time limits use ``clock``, which tests cannot
freeze.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from compat.clock import Deadline, call_later, steady
from compat.exceptions import LayerUnavailable

__all__ = [
    "CLOSED",
    "SharedAnswer",
    "done",
    "fail",
    "settle",
    "shared",
    "sleep",
    "wait_for_result",
    "wait_set",
    "within",
]

T = TypeVar("T")

CLOSED = "the connections of the channel layer were closed meanwhile; call it again to open new ones"


class SharedAnswer(Generic[T]):
    """The answer to a question that is asked once for all who ask while it is under way.

    ``question()`` is the coroutine that asks. An answer is given again until ``kept_s`` seconds after its
    question has begun; 0: never. Each event loop has answers of its own.
    """

    def __init__(self, question: Callable[[], Coroutine[Any, Any, T]], kept_s: float = 0.0) -> None:
        self._question = question
        self._kept_s = kept_s
        self._asking: asyncio.Task[T] | None = None
        self._began = 0.0

    async def get(self) -> T:
        """Return the answer, or raise what the question raises; cancelling one caller leaves it to others."""
        asking, loop = self._asking, asyncio.get_running_loop()
        kept = steady() - self._began < self._kept_s
        if asking is None or asking.get_loop() is not loop or (asking.done() and not kept):
            self._began = steady()
            asking = self._asking = loop.create_task(self._question())
        return await asyncio.shield(asking)


async def shared(task: asyncio.Future[T]) -> T:
    """Return the result of a task for which others wait too; cancelling one of them leaves it to the others.

    Raises LayerUnavailable if the task itself was cancelled, because the layer is being closed.
    """
    if task.done():
        await asyncio.sleep(0)  # who keeps the task has not noted its end yet, and would share it once more
    await done(task)
    if task.cancelled():
        raise LayerUnavailable(CLOSED)
    return task.result()


async def done(future: asyncio.Future[Any]) -> None:
    """Wait until ``future`` is done, as ``asyncio.wait`` does, for a third of its cost."""
    if future.done():
        return
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def over(_: asyncio.Future[Any]) -> None:
        settle(waiter)

    future.add_done_callback(over)
    try:
        await waiter
    finally:
        future.remove_done_callback(over)


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
        await done(task)
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
        await done(future)
    finally:
        timer.cancel()


async def sleep(seconds: float) -> None:
    """Wait for ``seconds``."""
    await wait_for_result(asyncio.get_running_loop().create_future(), seconds)


def fail(future: asyncio.Future[Any], error: BaseException) -> None:
    """Raise ``error`` in the task that awaits ``future``; if none does, nobody is told."""
    future.set_exception(error)
    future.exception()  # marks it as retrieved: of several calls, the caller may see the first error only


def settle(future: asyncio.Future[Any]) -> None:
    """Set the result of ``future`` to None, unless it is done, which wakes the task that awaits it."""
    if not future.done():
        future.set_result(None)
