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

RELIEF = 2
"""By how many messages an inbox that is fuller becomes shorter before the sender goes on."""


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

    def qsize(self) -> int:
        """Return how many messages wait in it."""
        ...


class Scheduler:
    """Wake each reader of one event loop at once."""

    __slots__ = ("backlog", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.backlog: dict[Behind, int] = {}
        """The inboxes that were half full when a message came, oldest first, and how many waited in each."""

    def call(self, reader: Reader, urgent: bool = False) -> None:
        """Wake ``reader``, on the loop only; ``urgent`` is for schedulers that delay wake-ups."""
        reader.wake()

    def is_called(self, reader: Reader) -> bool:
        """Return True while a wake-up of ``reader`` is on its way."""
        return False

    async def relief(self) -> None:
        """Let readers whose inboxes are half full take from them before more is sent.

        Each inbox that is in the backlog now is waited for until it is no longer half full. If its client did
        not read for a time, hundreds of messages wait in it, and others should not wait for all of these: it
        only has to become ``RELIEF`` messages shorter than it was before the last one. So no sender fills it
        faster than it is read.

        Return when all have been relieved, or when one is still behind after ``RELIEF_TURNS``. Turns before
        its reader is woken do not count: a round wakes each of its readers, and takes many turns if there
        are thousands.
        """
        for inbox, waited in tuple(self.backlog.items()):
            left = RELIEF_TURNS
            while left and inbox in self.backlog and inbox.is_behind() and inbox.qsize() > waited - RELIEF:
                if not self.is_called(inbox):
                    left -= 1
                await turn()
            if inbox in self.backlog:
                if inbox.is_behind():
                    self.backlog[inbox] = inbox.qsize()
                else:
                    del self.backlog[inbox]
            if left == 0:
                return


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
