"""The threads that run the handlers of sync consumers, and the calls from and to them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import sync_to_async

from compat.db import close_old_connections, database_sync_to_async
from compat.engine.shielding import whole
from compat.engine.socket import Socket
from compat.exceptions import ImproperlyConfigured
from compat.settings import settings
from compat.timings import Timing
from compat.tracing import Tracing
from compat.types import Message

__all__ = ["blocking_send", "executor", "in_threads", "observed", "require_own_thread", "thread_limit"]

_executor: ThreadPoolExecutor | None = None
_executor_lock = threading.Lock()


def executor() -> ThreadPoolExecutor:
    """Return the thread pool that the sync consumers of all event loops of this process share."""
    global _executor
    with _executor_lock:
        if _executor is None:
            _executor = ThreadPoolExecutor(thread_limit(), thread_name_prefix="sync-consumer")
        return _executor


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
    """Return the ``send()`` of a sync consumer, which blocks until the server has taken the message."""

    def send(message: Message) -> None:
        require_own_thread()
        asyncio.run_coroutine_threadsafe(socket.send(message), socket.loop).result()

    return send


def observed(
    handle: Callable[[Message], None],
    timing: Timing | None,
    tracing: Tracing | None,
    context: contextvars.Context,
) -> Callable[[Message], None]:
    """Return ``handle``, measured and traced where it is to be; ``context`` is that in which it runs."""
    if timing is not None:
        handle = timing.around(handle)
    if tracing is not None:
        context.run(tracing.enter)
        handle = tracing.around(handle)
    return handle


def in_threads(
    dispatch: Callable[[Message], None], one_thread: bool, is_cancelled: Callable[[], bool]
) -> Callable[[Message], Awaitable[None]]:
    """Return ``dispatch`` for an event loop: it calls each handler through asgiref, in a thread.

    A cancelled call is abandoned, but not that of a disconnect: its handler runs, once and to its end.
    ``one_thread``: asgiref's single thread instead of the pool. ``is_cancelled()``: the task has been
    cancelled before.
    """
    threads = database_sync_to_async.single_thread_executor if one_thread else executor()

    options: Any = {"thread_sensitive": one_thread, "executor": None if one_thread else threads}
    handle = database_sync_to_async(dispatch, **options)

    async def in_thread(message: Message) -> None:
        if not str(message.get("type")).endswith(".disconnect"):
            await handle(message)
            return
        call, cancelled = _Once(dispatch, message), None
        if not is_cancelled():  # after a cancelled call, asgiref leaves a stopped executor in the context
            try:
                await sync_to_async(call, **options)()
                return
            except asyncio.CancelledError as error:
                cancelled = error
        threads.submit(contextvars.copy_context().run, call)
        await whole(asyncio.wrap_future(call.done))
        if cancelled is not None:
            raise cancelled

    return in_thread


class _Once:
    """A call of a handler that is asked of two threads, and made by the first one."""

    def __init__(self, handler: Callable[[Message], None], message: Message) -> None:
        self._handler = handler
        self._message = message
        self._begun = threading.Lock()
        """Taken for good by the thread that makes the call."""
        self.done: concurrent.futures.Future[None] = concurrent.futures.Future()

    def __call__(self) -> None:
        if not self._begun.acquire(blocking=False):
            return
        close_old_connections()
        try:
            self._handler(self._message)
        except BaseException as error:
            self.done.set_exception(error)
            raise
        else:
            self.done.set_result(None)
        finally:
            close_old_connections()
