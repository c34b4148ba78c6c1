"""What asgiref keeps for a thread, set for the handler that the thread is about to run.

This relies on asgiref: ``SyncToAsync.threadlocal`` names the event loop that ``async_to_sync`` goes to, and
``_restore_context`` makes its ``Local`` values visible on another thread.
"""

from __future__ import annotations

import contextvars
import os
import threading
from typing import Any

from asgiref import sync as asgiref_sync
from asgiref.sync import SyncToAsync

from compat.engine.fast import leave_out

__all__ = ["enter"]

if not hasattr(SyncToAsync, "threadlocal"):
    leave_out("bridge", "asgiref keeps no event loop for the threads of SyncToAsync")

LOCAL = "asgiref.local"
"""The name of the context variables behind asgiref's ``Local``."""


def enter(loop: Any, last: int, context: contextvars.Context, nested: list[Any]) -> int:
    """Let this thread's ``async_to_sync`` find ``loop``, and its handler the ``Local`` values of ``context``.

    ``last`` is the thread that was entered last with this context; the one that is entered now is returned.
    ``nested`` gets the tasks that ``async_to_sync`` runs on the loop.
    """
    local: Any = SyncToAsync.threadlocal
    if getattr(local, "main_event_loop", None) is not loop:
        local.main_event_loop = loop
        local.main_event_loop_pid = os.getpid()
    thread = threading.get_ident()
    if thread != last and any(variable.name == LOCAL for variable in context):
        context.run(_rehome, context)
    local.task_context = nested  # each time: a nested sync_to_async leaves its own behind
    return thread


def _rehome(context: contextvars.Context) -> None:
    """Make asgiref's ``Local`` values of ``context`` visible on this thread, as asgiref itself does."""
    restore = getattr(asgiref_sync, "_restore_context", None)
    if restore is not None:
        restore(context)
