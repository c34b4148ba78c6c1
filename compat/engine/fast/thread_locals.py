"""Set asgiref's thread-local values for the handler that a thread is about to run.

This relies on internals of asgiref: ``SyncToAsync.threadlocal`` holds the event loop that ``async_to_sync``
uses, and ``_restore_context`` makes the values of a ``Local`` visible on another thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from asgiref import sync as asgiref_sync
from asgiref.sync import SyncToAsync

from compat.engine.fast import leave_out
from compat.engine.shielding import begun

__all__ = ["LoopForThreads", "enter"]

if not hasattr(SyncToAsync, "threadlocal"):
    leave_out("bridge", "asgiref keeps no event loop for the threads of SyncToAsync")

LOCAL = "asgiref.local"
"""The name of the context variables behind asgiref's ``Local``."""


class LoopForThreads:
    """What asgiref's ``async_to_sync`` takes for the event loop in the thread of a handler.

    The thread waits until its task has ended, so ``create_task`` makes sure that the task begins. It calls
    ``used()`` each time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, used: Callable[[], None]) -> None:
        self._loop = loop
        self._used = used

    def create_task(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Create a task that begins even if ``asyncio.run()`` ends and cancels all tasks before."""
        self._used()
        begun(self._loop, coroutine)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


def enter(loop: Any, last: int, context: contextvars.Context, nested: list[Any]) -> int:
    """Make this thread's ``async_to_sync`` use ``loop``, and show it the ``Local`` values of ``context``.

    ``last`` identifies the thread that used ``context`` last. ``nested`` collects the tasks that
    ``async_to_sync`` runs on the loop. Returns the identifier of this thread.
    """
    local: Any = SyncToAsync.threadlocal
    if getattr(local, "main_event_loop", None) is not loop:
        local.main_event_loop = loop
        local.main_event_loop_pid = os.getpid()
    thread = threading.get_ident()
    if thread != last and any(variable.name == LOCAL for variable in context):
        context.run(_restore_locals, context)
    local.task_context = nested  # set it each time, because a nested sync_to_async overwrites it
    return thread


def _restore_locals(context: contextvars.Context) -> None:
    """Make the values of asgiref's ``Local`` in ``context`` visible on this thread, as asgiref does."""
    restore = getattr(asgiref_sync, "_restore_context", None)
    if restore is not None:
        restore(context)
