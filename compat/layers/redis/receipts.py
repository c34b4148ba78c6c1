"""What became of a group message for the members of the sender's own event loop.

It comes back to them by way of Redis, so ``group_send`` waits for that, which is a matter of the same round
trip, and its result says what the metrics say. Members elsewhere are beyond its knowledge.
"""

from __future__ import annotations

import asyncio

from compat.layers.redis.clock import call_later
from compat.layers.redis.waiting import settle

__all__ = ["Receipt", "Receipts"]

PATIENCE_S = 1.0
"""How long a message may take to come back; during an outage of the reader it takes longer."""


class Receipt:
    """How many members of this loop a message has come to, and how many of them lost it to a full inbox."""

    __slots__ = ("_future", "_wanted", "arrived", "came", "dropped", "gone")

    def __init__(self) -> None:
        self.arrived = self.dropped = self.gone = 0
        self.came = False
        self._wanted = 0
        self._future: asyncio.Future[None] | None = None

    def note(self, delivered: int, dropped: int, gone: int) -> None:
        """The message has come, to so many."""
        self.came = True
        self.arrived += delivered + dropped + gone
        self.dropped += dropped
        self.gone += gone
        future = self._future
        if future is not None and self.arrived >= self._wanted and not future.done():
            future.set_result(None)

    async def complete(self, wanted: int = 0) -> None:
        """Wait until the message has come, to so many at least; for ``PATIENCE_S`` at most."""
        if not self.came or self.arrived < wanted:
            self._wanted = wanted
            loop = asyncio.get_running_loop()
            self._future = loop.create_future()
            timer = call_later(loop, PATIENCE_S, settle, self._future)
            try:
                await self._future
            finally:
                timer.cancel()


class Receipts:
    """The receipts that one event loop waits for, by what a message is known by when it comes."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[bytes, list[Receipt]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def expect(self, mark: bytes, receipt: Receipt) -> None:
        """Note what comes with this mark in the receipt, after those that expect the same."""
        self._waiting.setdefault(mark, []).append(receipt)

    def forget(self, mark: bytes, receipt: Receipt) -> None:
        """Undo ``expect``."""
        waiting = self._waiting.get(mark, [])
        if receipt in waiting:
            waiting.remove(receipt)
            if not waiting:
                del self._waiting[mark]

    def find(self, mark: bytes) -> Receipt | None:
        """The receipt of a message that has come; it may come again, to other members."""
        waiting = self._waiting.get(mark)
        return waiting[0] if waiting else None

    def take(self, mark: bytes) -> Receipt | None:
        """The receipt of a message that has come, and comes once."""
        receipt = self.find(mark)
        if receipt is not None:
            self.forget(mark, receipt)
        return receipt
