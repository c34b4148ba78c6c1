"""The threads that run the handlers of sync consumers, and the calls from and to them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from asgiref.sync import sync_to_async

from compat import db
from compat.db import database_sync_to_async
from compat.engine.reader import LAST
from compat.engine.shielding import whole
from compat.engine.socket import Socket
from compat.exceptions import ClientDisconnected, ImproperlyConfigured
from compat.forks import new_lock, renew_in_child
from compat.settings import settings
from compat.timings import Timing
from compat.tracing import Tracing
from compat.types import Message

__all__ = [
    "Threads",
    "blocking_send",
    "closing_old_connections",
    "dispatch_in_threads",
    "executor",
    "interrupted_by",
    "observed",
    "require_own_thread",
    "thread_limit",
]

T = TypeVar("T")


class Threads(ThreadPoolExecutor):
    """An executor of ``size`` threads, and one more for each call that waits for a client to read."""

    def __init__(self, size: int) -> None:
        super().__init__(size, thread_name_prefix="sync-consumer")
        self.short = False
        """True while there are more calls than threads, so a long call should end if it can."""
        self._size = size
        self._waiting: deque[tuple[concurrent.futures.Future[Any], Callable[[], Any]]] = deque()
        """The calls that no thread has taken. Each one wakes a thread, which takes the oldest."""
        self._calls = self._aside = self._more = 0
        """How many calls have not ended, wait for their clients, and are made by further threads."""
        self._counting = threading.Lock()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        """Call ``fn`` in one of the threads; see ``Executor.submit``."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        call = (future, functools.partial(fn, *args, **kwargs))
        self._waiting.append(call)
        try:
            if not (self._count(calls=1) and self._begin_another()):
                super().submit(self._take)
        except BaseException:  # noqa: BLE001 - the caller's, unless there is a thread for the call
            try:
                self._waiting.remove(call)
            except ValueError:
                pass  # a thread that was busy has taken it
            else:
                self._count(calls=-1)
                raise
        future.add_done_callback(lambda _: self._count(calls=-1))
        return future

    def _adjust_thread_count(self) -> None:
        """Begin a thread for a queued call; if the system gives none, a busy thread makes the call later."""
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                raise

    def step_aside(self, more: int) -> None:
        """Note that ``more`` further calls wait for clients (-1: one less); others get threads meanwhile."""
        if self._count(aside=more):
            self._begin_another()

    def _count(self, calls: int = 0, aside: int = 0) -> bool:
        """Change the counts; return True if a waiting call needs a further thread, which is counted here."""
        with self._counting:
            self._calls += calls
            self._aside += aside
            self.short = self._calls > self._size + self._aside
            wanted = calls + aside > 0 and self._more < self._aside and self._calls - self._more > self._size
            self._more += wanted
        return wanted

    def _begin_another(self) -> bool:
        """Begin the further thread that ``_count`` has counted; return False if the system gives none."""
        begun = False
        try:
            with contextlib.suppress(RuntimeError):
                threading.Thread(target=self._take_on, name="sync-consumer").start()
                begun = True
        finally:
            if not begun:
                with self._counting:
                    self._more -= 1
        return begun

    def _take(self) -> None:
        """Make the call that has waited longest, if one waits."""
        try:
            future, call = self._waiting.popleft()
        except IndexError:
            return
        try:
            if future.set_running_or_notify_cancel():
                future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where the call is awaited
            future.set_exception(error)
        finally:
            del future, call  # an exception has this frame, too

    def _take_on(self) -> None:
        """Make the waiting calls in this further thread, for as long as one is needed."""
        while True:
            self._take()
            with self._counting:
                if not self._waiting or self._more > self._aside:
                    self._more -= 1
                    return


_executor: Threads | None = None
_executor_lock = new_lock()


def executor() -> Threads:
    """Return the thread pool that the sync consumers of all event loops of this process share."""
    global _executor
    with _executor_lock:
        if _executor is None:
            _executor = Threads(thread_limit())
        return _executor


def _forget_executor() -> None:
    """Make a forked process create its own pool, because the threads of this one do not exist there."""
    global _executor
    _executor = None


renew_in_child(_forget_executor)


def thread_limit() -> int:
    """Return the setting ``CHANNEL_THREADS``: how many sync handlers may run at once in this process."""
    size = settings.get("CHANNEL_THREADS")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ImproperlyConfigured(
            f"CHANNEL_THREADS must be a whole number of threads (default 24), or 0 for Channels' one thread; "
            f"found {size!r}"
        )
    return size


def require_own_thread(name: str = "send") -> None:
    """Raise RuntimeError in a thread that runs an event loop, because the method would block that loop."""
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            f"{name}() of a sync consumer was called in the thread of an event loop, which it may block; "
            f"call it in a thread: await sync_to_async(consumer.{name})(...)"
        )


def blocking_send(socket: Socket) -> Callable[[Message], None]:
    """Return the ``send()`` of a sync consumer, which blocks until the server has taken the message.

    It raises ClientDisconnected in a handler whose call has been cancelled.
    """

    def send(message: Message) -> None:
        require_own_thread()
        call = _here.call
        if call is not None and call.cancelled:  # before it is begun: the loop may be faster than ``sends``
            raise ClientDisconnected("the connection has ended")
        sending = asyncio.run_coroutine_threadsafe(socket.send(message), socket.loop)
        if call is not None:
            call.sends(sending)
        try:
            sending.result()
        except concurrent.futures.CancelledError:
            raise ClientDisconnected("the connection has ended") from None

    return send


def closing_old_connections(dispatch: Callable[[Message], None], message: Message) -> None:
    """Call ``dispatch(message)``; close the old connections to databases before and after.

    Raises RuntimeError for an exception that would end the waiting task, or never reach it.
    """
    try:
        db.close_old_connections()  # a name that tests replace
    except Exception:
        if message["type"] in LAST:  # disconnect() runs once, whatever happens
            _call(dispatch, message)
        raise
    try:
        _call(dispatch, message)
    finally:
        db.close_old_connections()


def _call(dispatch: Callable[[Message], None], message: Message) -> None:
    try:
        dispatch(message)
    except (GeneratorExit, StopIteration) as error:  # asyncio's futures take no StopIteration
        raise interrupted_by(error) from error


def observed(
    handle: Callable[[Message], None],
    timing: Timing | None,
    tracing: Tracing | None,
    context: contextvars.Context,
) -> Callable[[Message], None]:
    """Return ``handle``, timed and traced if these are given; it runs in ``context``."""
    if timing is not None:
        handle = timing.around(handle)
    if tracing is not None:
        context.run(tracing.enter)
        handle = tracing.around(handle)
    return handle


def dispatch_in_threads(
    dispatch: Callable[[Message], None], one_thread: bool, is_cancelled: Callable[[], bool]
) -> Callable[[Message], Awaitable[None]]:
    """Return ``dispatch`` for an event loop: a coroutine function that calls each handler in a thread.

    The call goes through asgiref. A cancelled call waits for the end of its handler, because a thread cannot
    be interrupted, but the handler can send no more. A handler that has not begun is not called, except that
    of a disconnect, which runs once and to its end. ``one_thread``: use asgiref's single thread instead of
    the pool. ``is_cancelled()`` says whether the task has been cancelled before.
    """
    threads = database_sync_to_async.single_thread_executor if one_thread else executor()
    make = sync_to_async(
        _Once.__call__, thread_sensitive=one_thread, executor=None if one_thread else threads
    )

    async def call_in_thread(message: Message) -> None:
        call, cancelled = _Once(dispatch, message), None
        is_last = str(message.get("type")).endswith(".disconnect")
        if not (is_last and is_cancelled()):  # asgiref has left a stopped executor in the context
            try:
                await make(call)
                return
            except asyncio.CancelledError as error:
                cancelled = error
        if is_last:
            threads.submit(contextvars.copy_context().run, call)
        elif cancelled is not None and call.withdraw():
            raise cancelled
        try:
            await whole(asyncio.wrap_future(call.done))
        finally:
            if cancelled is not None:
                raise cancelled

    return call_in_thread


def interrupted_by(error: BaseException) -> RuntimeError:
    """Return a RuntimeError in place of ``error``, which would end the task that waits for the handler."""
    interrupted = RuntimeError(f"the handler was interrupted by {type(error).__name__}")
    interrupted.__cause__ = error
    return interrupted


class _Once:
    """A call of a handler that is given to two threads, and is made by the first one that begins."""

    def __init__(self, handler: Callable[[Message], None], message: Message) -> None:
        self._handler = handler
        self._message = message
        self._begun = threading.Lock()
        """Taken for good by the thread that makes the call."""
        self.cancelled = False
        """Its handler can send no more."""
        self._sending: concurrent.futures.Future[None] | None = None
        self.done: concurrent.futures.Future[None] = concurrent.futures.Future()

    def withdraw(self) -> bool:
        """Withdraw the call and return True; if a thread has begun it, let it send no more, return False."""
        if self._begun.acquire(blocking=False):
            return True
        self.cancelled = True
        self.sends(self._sending)
        return False

    def sends(self, sending: concurrent.futures.Future[None] | None) -> None:
        """Record what the handler waits for in ``send()``; cancel it if the call has been cancelled."""
        self._sending = sending
        if self.cancelled and sending is not None:
            sending.cancel()

    def __call__(self) -> None:
        if not self._begun.acquire(blocking=False):
            return
        _here.make(self)
        try:
            closing_old_connections(self._handler, self._message)
        except BaseException as error:
            self.done.set_exception(error)
            raise
        else:
            self.done.set_result(None)
        finally:
            _here.make(None)


class _Here(threading.local):
    """What the current thread does."""

    call: _Once | None = None
    """The call that it makes, or None."""

    def make(self, call: _Once | None) -> None:
        self.call = call


_here = _Here()
