"""``dispatch()`` of a sync consumer: it can be awaited, as in Channels, and called in a handler's thread.

In Channels it is wrapped in ``database_sync_to_async``, so subclasses await it or wrap it again. Here a
handler's thread calls it directly, without the event loop, unless a subclass awaits it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import MethodType
from typing import Any, NoReturn, cast

from asgiref.sync import AsyncToSync, async_to_sync, iscoroutinefunction, markcoroutinefunction

from compat.db import database_sync_to_async
from compat.engine.stepping import awaiting
from compat.types import Message

__all__ = ["HANDLED", "blocking_dispatch", "dispatches", "is_awaited"]

InThreads = Callable[[Message], Awaitable[None]]


class Handled(Coroutine[Any, Any, None]):
    """The result of a ``dispatch()`` that has run its handler already: awaiting it does nothing.

    It is a Coroutine, because ``asyncio.run()`` and tasks take nothing else.
    """

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        return cast("Generator[Any, Any, None]", iter(()))

    def send(self, value: Any) -> NoReturn:
        """Return, as a coroutine does."""
        raise StopIteration

    def throw(self, kind: Any, value: Any = None, traceback: Any = None, /) -> NoReturn:
        """Raise what a task is cancelled with."""
        raise kind if value is None else value

    def close(self) -> None:
        """Do nothing: it has ended."""


HANDLED = Handled()
_ours: set[Any] = set()
"""The methods that ``dispatches`` has returned."""


def dispatches(handle: Any) -> Any:
    """Decorate the ``dispatch`` of a sync consumer; ``func`` of the result is ``handle``, as in Channels.

    A call in the thread of an event loop returns a coroutine that calls ``handle`` in another thread. A call
    in any other thread calls it there.
    """

    @functools.wraps(handle)
    def dispatch(consumer: Any, message: Message) -> Any:
        if asyncio._get_running_loop() is not None:
            return _in_another_thread(handle, consumer, message)
        handle(consumer, message)
        return HANDLED

    vars(dispatch)["func"] = handle  # applications wrap it again
    _ours.add(dispatch)
    return markcoroutinefunction(dispatch)  # async_to_sync() warns of a function that is not marked


def _in_another_thread(
    handle: Callable[[Any, Message], None], consumer: Any, message: Message
) -> Awaitable[None]:
    threads: InThreads | None = consumer._compat_threads
    # A handler that waits for this in async_to_sync() lends its thread; another thread may not be free.
    if threads is None or getattr(AsyncToSync.executors, "current", None) is not None:
        return database_sync_to_async(handle)(consumer, message)
    return threads(message)


def is_awaited(dispatch: Callable[[Message], Any]) -> bool:
    """Return True if ``dispatch`` of a sync consumer is a coroutine function of the application's."""
    return getattr(dispatch, "__func__", None) not in _ours and iscoroutinefunction(dispatch)


def blocking_dispatch(dispatch: Callable[[Message], Any]) -> Callable[[Message], Any]:
    """Return ``dispatch`` of a sync consumer for a handler's thread: a function that blocks until it is done.

    An application's own ``dispatch`` may return something to await; this is awaited here.
    """
    function: Any = getattr(dispatch, "__func__", None)
    if function in _ours:
        return MethodType(function.func, dispatch.__self__)  # type: ignore[attr-defined]  # it is bound

    def handle(message: Message) -> None:
        result = dispatch(message)
        if result is not HANDLED and result is not None and inspect.isawaitable(result):
            async_to_sync(awaiting)(result)

    return handle
