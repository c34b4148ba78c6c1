"""Work that a cancellation does not interrupt.

asyncio cancels a task once. anyio cancels it again at every await until the task has left the cancelled
scope; Starlette's ``TestClient`` ends every websocket like that. So the end of a connection runs in a
separate task, or inside a shielded scope.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
from collections.abc import Coroutine
from typing import Any, TypeGuard

__all__ = ["anyio_scope", "begun", "is_a_handlers_own", "shield", "uncancel", "whole"]

_NO_SHIELD = contextlib.nullcontext()

_going_on: set[asyncio.Future[Any]] = set()
"""Tasks that no other task awaits; the event loop itself keeps only weak references."""


def anyio_scope() -> Any:
    """Return the anyio cancel scope that the current task is in, or None."""
    backend = sys.modules.get("anyio._backends._asyncio")
    # anyio has no public name for this. If the name is gone, TestClient interrupts the end of a connection.
    state = getattr(backend, "_task_states", {}).get(asyncio.current_task()) if backend is not None else None
    return getattr(state, "cancel_scope", None)


def shield() -> contextlib.AbstractContextManager[Any]:
    """Return a context manager inside which no outer anyio cancel scope cancels the task."""
    if anyio_scope() is None:
        return _NO_SHIELD
    shielded: contextlib.AbstractContextManager[Any] = sys.modules["anyio"].CancelScope(shield=True)
    return shielded


async def whole(
    work: Coroutine[Any, Any, Any] | asyncio.Future[Any], timeout_s: float | None = None
) -> asyncio.Future[Any]:
    """Run a coroutine in a separate task and wait for it, even if the current task is cancelled meanwhile.

    A future is waited for in the same way. Returns the task or future, which may still run if ``timeout_s``
    seconds have passed. Raises the exception of ``work``, or else the cancellation of the current task.
    """
    loop = asyncio.get_running_loop()
    future = work if isinstance(work, asyncio.Future) else loop.create_task(_run(work))
    until = None if timeout_s is None else loop.time() + timeout_s
    cancelled: asyncio.CancelledError | None = None
    with shield():
        while not future.done():
            left_s = None if until is None else until - loop.time()
            if left_s is not None and left_s <= 0:
                _going_on.add(future)
                future.add_done_callback(_forget)
                break
            try:
                await asyncio.wait((future,), timeout=left_s)
            except asyncio.CancelledError as error:
                cancelled = error
            if future.done() and _has_not_begun(work):
                future = loop.create_task(_run(work))
    if future.done():
        future.result()
    if cancelled is not None:
        raise cancelled
    return future


def begun(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Make a task for ``coroutine``; if it is cancelled before it begins, run ``coroutine`` in a new task."""

    def again(task: asyncio.Task[Any]) -> None:
        if _has_not_begun(coroutine):
            begun(loop, coroutine)

    task = loop.create_task(_run(coroutine))
    task.add_done_callback(again)
    return task


async def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await coroutine


def _has_not_begun(work: Any) -> TypeGuard[Coroutine[Any, Any, Any]]:
    """Return True if a task was cancelled before it began, as tasks are when their event loop ends."""
    return inspect.iscoroutine(work) and inspect.getcoroutinestate(work) == inspect.CORO_CREATED


def _forget(task: asyncio.Future[Any]) -> None:
    _going_on.discard(task)
    if not task.cancelled():
        task.exception()  # otherwise asyncio logs that the exception was never retrieved


def uncancel() -> int:
    """Note that a cancellation of the current task has been handled; return how many others have not been.

    Python counts them from 3.11 on; before, the result is 0.
    """
    answered = getattr(asyncio.current_task(), "uncancel", None)
    return 0 if answered is None else int(answered())


def is_a_handlers_own(error: BaseException) -> bool:
    """Return True if a future that the handler awaited was cancelled, not its task (from Python 3.11 on)."""
    cancelling = getattr(asyncio.current_task(), "cancelling", None)
    return isinstance(error, asyncio.CancelledError) and cancelling is not None and not cancelling()
