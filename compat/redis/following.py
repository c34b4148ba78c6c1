"""The connections of one event loop that end when sentinels name another master."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from typing import Protocol, TypeVar

from redis.asyncio import ConnectionPool

from compat.redis.connection import Link
from compat.redis.loops import start_apart
from compat.redis.sentinels import follow_master

__all__ = ["Following"]

ELSEWHERE = "its sentinels name another master"


class Connected(Protocol):
    """A connection to a host: a ``Link`` or a direct line."""

    def end(self, reason: str) -> None:
        """Close the connection; waiting calls get LayerUnavailable."""


T = TypeVar("T", bound=Connected)


class Following:
    """Follows the masters of hosts by index; ``moved(index)`` is called when a host has another one.

    ``pool(index)`` returns the redis-py pool of a host. Without sentinels nothing is followed.
    """

    def __init__(self, pool: Callable[[int], ConnectionPool], moved: Callable[[int], None]) -> None:
        self._pool = pool
        self._on_move = moved
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._opening: dict[int, set[asyncio.Task[Link]]] = {}
        self._connected: dict[int, weakref.WeakSet[Connected]] = {}

    async def connect(self, index: int, open: Callable[[], Coroutine[None, None, Link]]) -> Link:
        """Return the connection that ``open`` opens, or raise what it raises.

        If the host gets another master meanwhile, it is called again; if later, the connection ends.
        """
        self._follow(index)
        opening = self._opening.setdefault(index, set())
        while True:
            attempt = self._loop.create_task(open())
            opening.add(attempt)
            attempt.add_done_callback(opening.discard)
            try:
                await asyncio.wait((attempt,))
            except asyncio.CancelledError:
                attempt.cancel()
                attempt.add_done_callback(_close_unwanted)
                raise
            if not attempt.cancelled():
                return self.add(index, attempt.result())

    def add(self, index: int, connection: T) -> T:
        """End an open connection when the host has another master; return it."""
        self._follow(index)
        self._connected.setdefault(index, weakref.WeakSet()).add(connection)
        return connection

    def _follow(self, index: int) -> None:
        if index not in self._tasks:
            following = follow_master(self._pool(index), lambda: self._moved(index))
            self._tasks[index] = start_apart(self._loop, following)

    def _moved(self, index: int) -> None:
        for opening in tuple(self._opening.get(index, ())):
            opening.cancel()
        for connection in tuple(self._connected.get(index, ())):
            connection.end(ELSEWHERE)
        self._on_move(index)

    def close(self) -> None:
        """Follow no more."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()


def _close_unwanted(opening: asyncio.Task[Link]) -> None:
    """Close a connection that was opened although nobody waits for it any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
