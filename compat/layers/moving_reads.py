"""What the moving layer reads on two layers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from compat.engine.events import One
from compat.engine.inbox import Inbox
from compat.layers.redis.waiters import Takeable
from compat.types import Message

__all__ = ["Job", "Received", "Twin", "found"]


class Job(Takeable, Protocol):
    """A message that a worker has taken."""

    def failed(self) -> None: ...


class Received:
    """A message that ``receive()`` has returned, so that its layer need not be told what becomes of it."""

    def __init__(self, message: Message, keep: Callable[[Received], None]) -> None:
        self.message = message
        self._keep = keep

    def acknowledge(self) -> None:
        """Do nothing."""

    def put_back(self) -> None:
        """Keep the message for the next caller."""
        self._keep(self)

    def failed(self) -> None:
        """Do nothing: the layer has no second try."""


def found(tasks: Sequence[asyncio.Future[Job]]) -> tuple[list[Job], list[BaseException]]:
    """End reads: return what was read and what failed. One that can still be cancelled has taken nothing."""
    done = [task for task in tasks if not task.cancel() and not task.cancelled()]
    failed = [task.exception() for task in done]
    messages = [task.result() for task, error in zip(done, failed, strict=True) if error is None]
    return messages, [error for error in failed if error is not None]


class Twin(Inbox):
    """Passes what comes from the other layer to a consumer's inbox."""

    __slots__ = ("target",)

    def __init__(self, target: Inbox) -> None:
        super().__init__(target.loop, target.scheduler)
        self.target = target

    def offer(self, one: One) -> bool:
        return self.target.offer(one)
