"""Locks that are free in a forked process, whoever held them in its parent.

A pre-forking server may fork while another thread holds a lock; in the child that thread does not exist, and
nobody would ever release it. ``logging`` renews its locks in the same way.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

__all__ = ["new_lock"]

_locks: weakref.WeakSet[Any] = weakref.WeakSet()


def new_lock() -> threading.Lock:
    """Return a lock that a forked process finds free; it protects only what a child can use half-changed."""
    lock = threading.Lock()
    _locks.add(lock)
    return lock


def _renew_all() -> None:
    for lock in tuple(_locks):
        lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
