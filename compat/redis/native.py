"""Threads of the system, also where gevent or eventlet has made those of Python greenlets of one thread.

An event loop in a greenlet would count as running in every other one, because Python notes it for the thread:
Django would refuse its ORM to them, and ``asyncio`` each other loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["are_greenlets", "result_on", "start_daemon", "wait_until"]

T = TypeVar("T")

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


def result_on(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T], within_s: float | None = None
) -> T:
    """Run ``coroutine`` on the loop of another thread, block, and return its result.

    Raises ``concurrent.futures.TimeoutError`` after ``within_s`` seconds; the coroutine goes on.
    """
    if not are_greenlets():
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(within_s)
    done: list[tuple[Any, BaseException | None]] = []

    async def run() -> None:
        try:
            done.append((await coroutine, None))
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            done.append((None, error))

    def start() -> None:
        task = loop.create_task(run())
        _running.add(task)
        task.add_done_callback(_running.discard)

    loop.call_soon_threadsafe(start)
    if not wait_until(done, float("inf") if within_s is None else within_s):
        raise concurrent.futures.TimeoutError
    result, error = done[0]
    if error is not None:
        raise error
    value: T = result
    return value


_running: set[asyncio.Task[None]] = set()


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
