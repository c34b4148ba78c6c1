"""Work that a cancellation does not cut short.

asyncio cancels a task once; anyio cancels again whenever the task waits, until it has left the cancelled
scope (Starlette's ``TestClient`` ends every websocket like that). What has to be done at the end of a
connection is therefore done in a task of its own, or inside a scope that is shielded.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from typing import Any

__all__ = ["anyio_scope", "shield", "whole"]

_NO_SHIELD = contextlib.nullcontext()

_going_on: set[asyncio.Task[Any]] = set()
"""Tasks that nobody waits for any more: the event loop itself has weak references only."""


def anyio_scope() -> Any:
    """The anyio cancel scope that the current task is in; None where there is none."""
    backend = sys.modules.get("anyio._backends._asyncio")
    # anyio has no public name for this. Without it, TestClient cuts ends short as with any application.
    state = getattr(backend, "_task_states", {}).get(asyncio.current_task()) if backend is not None else None
    return getattr(state, "cancel_scope", None)


def shield() -> contextlib.AbstractContextManager[Any]:
    """A context inside of which the task is not cancelled by an anyio scope further out."""
    if anyio_scope() is None:
        return _NO_SHIELD
    shielded: contextlib.AbstractContextManager[Any] = sys.modules["anyio"].CancelScope(shield=True)
    return shielded


async def whole(coroutine: Coroutine[Any, Any, Any], timeout_s: float | None = None) -> asyncio.Task[Any]:
    """Run ``coroutine`` in a task of its own, and wait for it whatever cancels the current task meanwhile.

    Returns the task, which still runs after ``timeout_s`` seconds. Raises what it has raised, else the
    cancellation that has come meanwhile.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(coroutine)
    until = None if timeout_s is None else loop.time() + timeout_s
    cancelled: asyncio.CancelledError | None = None
    with shield():
        while not task.done():
            left_s = None if until is None else until - loop.time()
            if left_s is not None and left_s <= 0:
                _going_on.add(task)
                task.add_done_callback(_forget)
                break
            try:
                await asyncio.wait((task,), timeout=left_s)
            except asyncio.CancelledError as error:
                cancelled = error
    if task.done():
        task.result()
    if cancelled is not None:
        raise cancelled
    return task


def _forget(task: asyncio.Task[Any]) -> None:
    _going_on.discard(task)
    if not task.cancelled():
        task.exception()  # or asyncio logs that nobody has asked for it
