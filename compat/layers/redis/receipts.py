"""What became of a group message for the members of the sender's own event loop.

It comes back to them by way of Redis, so ``group_send`` waits for that, which is a matter of the same round
trip, and its result says what the metrics say. Members elsewhere are beyond its knowledge.
"""

from __future__ import annotations

import asyncio

from compat.clock import call_later
from compat.redis.waiting import settle

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


class Receipts(dict[bytes, list[Receipt]]):
    """The receipts that one event loop waits for, by the mark of their message, the oldest first."""

    __slots__ = ()

    def expect(self, mark: bytes) -> Receipt:
        """Return a new receipt for the message that comes with this mark."""
        receipt = Receipt()
        self.setdefault(mark, []).append(receipt)
        return receipt

    def also(self, mark: bytes, receipt: Receipt) -> None:
        """Expect a message with another mark for a receipt."""
        self.setdefault(mark, []).append(receipt)

    def forget(self, mark: bytes, receipt: Receipt) -> None:
        """Expect the message with this mark no more."""
        waiting = self.get(mark, [])
        if receipt in waiting:
            waiting.remove(receipt)
            if not waiting:
                del self[mark]

    def find(self, mark: bytes) -> Receipt | None:
        """Return the receipt of a message that has come; it may come again, to other members."""
        waiting = self.get(mark)
        return waiting[0] if waiting else None

    def take(self, mark: bytes) -> Receipt | None:
        """Return the receipt of a message that has come, and comes once."""
        waiting = self.get(mark)
        if not waiting:
            return None
        receipt = waiting.pop(0)
        if not waiting:
            del self[mark]
        return receipt
