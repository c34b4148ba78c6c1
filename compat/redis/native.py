"""Threads of the system, also where gevent or eventlet has made those of Python greenlets of one thread.

An event loop in a greenlet would count as running in every other one, because Python notes it for the thread:
Django would refuse its ORM to them, and ``asyncio`` each other loop.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["are_greenlets", "start_daemon", "wait_until"]

POLL_S = 0.001


def are_greenlets() -> bool:
    """Return True if the threads of Python are greenlets of gevent or eventlet."""
    return _start_of_system() is not None


def _start_of_system() -> Callable[..., Any] | None:
    """Return what starts a thread of the system where threads are greenlets; None where they are threads."""
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    start: Callable[..., Any] | None = None
    if gevent is not None and gevent.is_module_patched("threading"):
        start = gevent.get_original("_thread", "start_new_thread")
    elif eventlet is not None and eventlet.is_monkey_patched("thread"):
        start = eventlet.original("_thread").start_new_thread
    return start


def start_daemon(target: Callable[[], None], name: str) -> Callable[[float], object]:
    """Run ``target()`` in a daemon thread, and return what waits for its end, so many seconds at most."""
    start = _start_of_system()
    if start is None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread.join
    ended: list[bool] = []

    def run() -> None:
        try:
            target()
        finally:
            ended.append(True)

    start(run, ())
    return lambda within_s: wait_until(ended, within_s)


def wait_until(done: list[Any], within_s: float) -> bool:
    """Return True when another thread has appended to ``done``; False after ``within_s`` seconds.

    Greenlets go on meanwhile, and none of their locks is used, which are no locks between threads.
    """
    end = time.monotonic() + within_s
    while not done:
        if time.monotonic() >= end:
            return False
        time.sleep(POLL_S)
    return True
