"""When the readers of an event loop are woken, and how long a sender waits for readers that are behind."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Generator
from typing import Protocol, TypeVar

__all__ = ["Behind", "Reader", "Scheduler", "made_for", "turn"]

T = TypeVar("T")

RELIEF_TURNS = 128
"""How many turns of the loop a sender waits for one reader: it takes a message every other turn, or each."""


class Reader(Protocol):
    """An object that can be woken: an inbox, or the outbox of a managed connection."""

    def wake(self) -> bool | None:
        """Wake the reader's task, unless it runs; call it from a callback of the loop.

        Returns True if the task has run already, and waits again.
        """


class Behind(Reader, Protocol):
    """An inbox that is half full."""

    def is_behind(self) -> bool:
        """Return True while it is half full and its reader is about to take from it."""
        ...


class Scheduler:
    """Wake each reader of one event loop at once."""

    __slots__ = ("backlog", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.backlog: dict[Behind, None] = {}
        """The inboxes that were half full when a message came, oldest first."""

    def call(self, reader: Reader, urgent: bool = False) -> None:
        """Wake ``reader``, on the loop only; ``urgent`` is for schedulers that delay wake-ups."""
        reader.wake()

    def is_called(self, reader: Reader) -> bool:
        """Return True while a wake-up of ``reader`` is on its way."""
        return False

    async def relief(self) -> None:
        """Let readers whose inboxes are half full take from them before more is sent.

        Return when all inboxes that are in the backlog now have been relieved, or when one is still behind
        after ``RELIEF_TURNS``. Turns before its reader is woken do not count: a round wakes each of its
        readers, and takes many turns if there are thousands.
        """
        for inbox in tuple(self.backlog):
            left = RELIEF_TURNS
            while inbox in self.backlog and inbox.is_behind():
                if not self.is_called(inbox):
                    left -= 1
                    if left == 0:
                        return
                await turn()
            self.backlog.pop(inbox, None)


def made_for(
    loop: asyncio.AbstractEventLoop,
    made: dict[asyncio.AbstractEventLoop, T],
    make: Callable[[asyncio.AbstractEventLoop], T],
) -> T:
    """Return ``make(loop)``, and keep it in ``made`` under ``loop``; forget the objects of closed loops."""
    for other in [other for other in tuple(made) if other.is_closed()]:
        made.pop(other, None)
    found = made[loop] = make(loop)
    return found


@types.coroutine
def turn() -> Generator[None, None, None]:
    """Give way for one turn of the event loop."""
    yield
