"""The callers of one event loop that wait for messages of plain channels."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from compat.types import Message

__all__ = ["Takeable", "Waiters"]


class Takeable(Protocol):
    """A message that a caller has taken: ``taken.Taken``, or ``jobs.Job``."""

    message: Message

    def acknowledge(self) -> None: ...

    def put_back(self) -> None: ...


T = TypeVar("T", bound=Takeable)


class Waiters(Generic[T]):
    """Gives each message to the caller that has waited longest for its channel.

    ``changed(channel)`` is called when a caller begins to wait for a channel, and when the last one ends.
    """

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._waiting: dict[str, deque[asyncio.Future[T]]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    async def wait(self, channel: str) -> T:
        """Wait for the next message of ``channel``; a cancelled call puts its message back."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(channel, deque())
        waiting.append(future)
        self._changed(channel)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().put_back()
            raise
        finally:
            if future in waiting:
                waiting.remove(future)
            if not waiting and self._waiting.get(channel) is waiting:
                del self._waiting[channel]
                self._changed(channel)

    def counts(self) -> dict[str, int]:
        """Return how many callers wait for each channel, without channels that have none."""
        counts = {
            channel: sum(not future.done() for future in waiting)
            for channel, waiting in self._waiting.items()
        }
        return {channel: count for channel, count in counts.items() if count}

    def give(self, channel: str, message: T) -> bool:
        """Give a message to a caller; return False if none waits."""
        for future in self._waiting.get(channel, ()):
            if not future.done():
                future.set_result(message)
                return True
        return False

    def fail(self, channels: Iterable[str], error: Callable[[], Exception]) -> None:
        """Raise a new error in all callers that wait for one of ``channels``."""
        for channel in channels:
            for future in self._waiting[channel]:
                if not future.done():
                    future.set_exception(error())
