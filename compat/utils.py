"""The two public helpers of ``channels.utils``; compat itself does not use them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

__all__ = ["await_many_dispatch", "name_that_thing"]


def name_that_thing(thing: Any) -> str:
    """Return ``module.name`` of a class or function, ``module.Class.name`` of a method, else that of the
    class.
    """
    if inspect.ismethod(thing):
        return f"{name_that_thing(thing.__self__)}.{thing.__name__}"
    if inspect.isclass(thing) or inspect.isroutine(thing):
        return f"{thing.__module__}.{thing.__name__}"
    return name_that_thing(type(thing))


async def await_many_dispatch(
    consumer_callables: Sequence[Callable[[], Awaitable[Any]]], dispatch: Callable[[Any], Awaitable[Any]]
) -> None:
    """Await ``dispatch(message)`` for each result of the callables, one at a time, until one raises an error.

    A callable is called again after its message has been dispatched; if several messages are ready, they are
    dispatched in the order of the callables. At the end, all calls are cancelled. Upstream's consumers use
    this function; ours do not (see ``compat.engine.loop``).
    """
    waiting = [asyncio.ensure_future(source()) for source in consumer_callables]
    try:
        while True:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for index, source in enumerate(consumer_callables):
                if waiting[index].done():
                    await dispatch(waiting[index].result())
                    waiting[index] = asyncio.ensure_future(source())
    finally:
        for future in waiting:
            future.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
