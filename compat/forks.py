"""Locks and threads in a forked process, in which only the thread that forked exists.

A pre-forking server or a live test may fork while another thread holds a lock, or waits for work as part of a
pool. In the child nothing releases that lock, and nothing does the work. ``logging`` renews its locks in the
same way.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

__all__ = ["new_lock", "renew_in_child"]

_renewals: list[Callable[[], None]] = []
_locks: weakref.WeakSet[Any] = weakref.WeakSet()


def new_lock() -> threading.Lock:
    """Return a lock that a forked process finds free; it protects only what a child can use half-changed."""
    lock = threading.Lock()
    _locks.add(lock)
    return lock


def renew_in_child(renew: Callable[[], None]) -> None:
    """Call ``renew()`` in each process that this one forks, before its own code runs."""
    _renewals.append(renew)


def _renew_all() -> None:
    for lock in tuple(_locks):
        lock._at_fork_reinit()
    for renew in _renewals:
        renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
