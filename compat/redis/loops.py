"""Event loops: one set of connections for each, and a background loop for callers without a lasting one.

A connection belongs to the loop that opened it. ``PerLoop`` keeps one object per loop and closes it when the
loop is closed. ``async_to_sync`` in a script, a Celery task or a WSGI thread makes a loop for a single call.
Such calls are passed to ``background``, a loop in a separate thread that lives as long as the process.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import contextvars
import logging
import math
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from asgiref.sync import AsyncToSync

from compat.forks import renew_in_child
from compat.redis.native import result_on, start_daemon, wait_until

__all__ = [
    "Background",
    "PerLoop",
    "at_close",
    "background",
    "is_throwaway",
    "require_no_loop",
    "start_apart",
]

T = TypeVar("T")
log = logging.getLogger("compat.layers")

STOP_WITHIN_S = 2.0


def is_throwaway(loop: asyncio.AbstractEventLoop) -> bool:
    """Return True for a loop that ``async_to_sync`` has made for one call."""
    return loop in AsyncToSync.loop_thread_executors


def start_apart(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start a task that outlasts its caller, in a context of its own: that of a request ends before it."""
    return contextvars.Context().run(loop.create_task, coroutine)


def require_no_loop(awaitable_form: str) -> None:
    """Raise RuntimeError in a thread that runs an event loop, because a blocking call would block it.

    ``awaitable_form`` is the call that the error suggests after ``await``.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            f"this blocks, and an event loop is running in this thread; write: await {awaitable_form}"
        )


class Closable(Protocol):
    """An object that ``PerLoop`` keeps."""

    async def aclose(self) -> None: ...


C = TypeVar("C", bound=Closable)


class PerLoop(Generic[C]):
    """One object per event loop, made at its first use there and closed with the loop.

    After a fork the child process starts without objects, and does not touch those of its parent.
    """

    def __init__(self, make: Callable[[asyncio.AbstractEventLoop], C]) -> None:
        self._make = make
        self._kept: dict[asyncio.AbstractEventLoop, C] = {}
        self._pid = os.getpid()

    def get(self, loop: asyncio.AbstractEventLoop) -> C:
        """Return the object of ``loop``, a new one if needed; call it only on that loop."""
        found = self._kept.get(loop)
        if found is None or self._pid != os.getpid():
            self._check_fork()
            found = self._kept[loop] = self._make(loop)
            at_close(loop, self._finish)
        return found

    def here(self) -> C | None:
        """Return the object of the running loop; None if ``async_to_sync`` has made the loop for one call."""
        loop = asyncio.get_running_loop()
        found = self._kept.get(loop)
        if found is not None and self._pid == os.getpid():
            return found
        return None if is_throwaway(loop) else self.get(loop)

    def all(self) -> list[C]:
        """Return the objects of all loops that are not closed, or were closed while another one ran."""
        self._check_fork()
        return list(self._kept.values())

    def drop(self, loop: asyncio.AbstractEventLoop) -> C | None:
        """Remove the object of ``loop`` without closing it, and return it, or None."""
        return self._kept.pop(loop, None)

    def _check_fork(self) -> None:
        if self._pid != os.getpid():
            _inherited.append(self._kept)
            self._kept = {}
            self._pid = os.getpid()

    async def _finish(self, loop: asyncio.AbstractEventLoop) -> None:
        kept = self._kept.pop(loop, None)
        if kept is not None:
            await kept.aclose()


_inherited: list[object] = []
"""Objects that a forked process got from its parent; they are kept, because closing them would affect it."""

Finish = Callable[[asyncio.AbstractEventLoop], Coroutine[Any, Any, None]]
_finishers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, list[Finish]] = weakref.WeakKeyDictionary()


def at_close(loop: asyncio.AbstractEventLoop, finish: Finish) -> None:
    """Run ``finish(loop)`` when ``loop.close()`` is called, before the loop is closed.

    Event loops have no hook for this. The cancellation of all tasks by ``asyncio.run`` cannot serve as one,
    because ``run_until_complete`` followed by ``close`` cancels no task.
    """
    finishers = _finishers.get(loop)
    if finishers is not None:
        finishers.append(finish)
        return
    _finishers[loop] = [finish]
    close = loop.close

    def finish_and_close() -> None:
        loop.close = close  # type: ignore[method-assign]
        can_run = not loop.is_closed() and not loop.is_running() and asyncio._get_running_loop() is None
        if can_run:
            loop.run_until_complete(_finish(loop))
        close()

    loop.close = finish_and_close  # type: ignore[method-assign]


async def _finish(loop: asyncio.AbstractEventLoop) -> None:
    for finish in _finishers.pop(loop, ()):
        try:
            await asyncio.wait_for(finish(loop), STOP_WITHIN_S)
        except asyncio.TimeoutError:
            log.warning("connections to Redis could not be closed in order within %g s", STOP_WITHIN_S)


class Background:
    """An event loop in a daemon thread, started at its first use; a forked process gets its own."""

    def __init__(self) -> None:
        self._reset()
        renew_in_child(self._reset_in_child)
        atexit.register(self.stop)

    def _reset_in_child(self) -> None:
        _inherited.append(self._loop)
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._join: Callable[[float], object] | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop; it is started if necessary."""
        return self._live() or self._start()

    @property
    def is_running(self) -> bool:
        """True if it has been started in this process, and not ended by a failure."""
        return self._live() is not None

    def _live(self) -> asyncio.AbstractEventLoop | None:
        loop = self._loop
        return None if loop is None or loop.is_closed() else loop

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run ``coroutine`` on the background loop, and return a future for its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def call(self, coroutine: Coroutine[Any, Any, T], within_s: float | None = None) -> T:
        """Run ``coroutine`` on the background loop, block, and return its result.

        Raises ``concurrent.futures.TimeoutError`` after ``within_s`` seconds; the coroutine goes on.
        """
        return result_on(self.loop, coroutine, within_s)

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` on the background loop and return its result; a cancellation is passed on."""
        return await asyncio.wrap_future(self.submit(coroutine))

    def stop(self) -> None:
        """Close the loop's connections, and end its thread; called at the end of the process."""
        loop, join = self._loop, self._join
        if loop is None or join is None:
            return
        self._reset()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(loop.stop)
        join(STOP_WITHIN_S)

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            live = self._live()
            if live is None:
                made: list[asyncio.AbstractEventLoop | BaseException] = []
                self._join = start_daemon(partial(self._serve, made), "compat-layers")
                wait_until(made, math.inf)
                if isinstance(made[0], BaseException):
                    raise made[0]
                self._loop = live = made[0]
            return live

    @staticmethod
    def _serve(made: list[asyncio.AbstractEventLoop | BaseException]) -> None:
        try:
            loop = _new_loop()  # in its own thread: that of gevent belongs to the one which makes it
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            made.append(error)
            return
        asyncio.set_event_loop(loop)
        made.append(loop)
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(_finish(loop))
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=STOP_WITHIN_S / 2))
            loop.close()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


background = Background()
