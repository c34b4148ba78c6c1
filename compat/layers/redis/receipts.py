"""Count what a group message did to the members on the sender's own event loop.

The message comes back to this loop through Redis, in about the time of the command's reply. ``group_send``
waits for it, so that its result agrees with the metrics. It knows nothing about members elsewhere.
"""

from __future__ import annotations

import asyncio

from compat.clock import call_later
from compat.redis.waiting import settle

__all__ = ["Receipt", "Receipts"]

PATIENCE_S = 1.0
"""Seconds to wait for a message to come back; during an outage of the reader it may take longer."""


class Receipt:
    """How many members on this loop a message has reached, and how many of them lost it to a full inbox."""

    __slots__ = ("_future", "_wanted", "arrived", "came", "dropped", "gone")

    def __init__(self) -> None:
        self.arrived = self.dropped = self.gone = 0
        self.came = False
        self._wanted = 0
        self._future: asyncio.Future[None] | None = None

    def note(self, delivered: int, dropped: int, gone: int) -> None:
        """Record how many members the message has reached, and how many of these had lost it or had ended."""
        self.came = True
        self.arrived += delivered + dropped + gone
        self.dropped += dropped
        self.gone += gone
        future = self._future
        if future is not None and self.arrived >= self._wanted and not future.done():
            future.set_result(None)

    async def complete(self, wanted: int = 0) -> None:
        """Wait until the message has reached ``wanted`` members, for ``PATIENCE_S`` at most."""
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
    """The receipts that one event loop waits for, oldest first, by the bytes that identify their message."""

    __slots__ = ()

    def expect(self, mark: bytes) -> Receipt:
        """Return a new receipt for the message with this mark."""
        receipt = Receipt()
        self.setdefault(mark, []).append(receipt)
        return receipt

    def also(self, mark: bytes, receipt: Receipt) -> None:
        """Expect one more message, with another mark, for ``receipt``."""
        self.setdefault(mark, []).append(receipt)

    def forget(self, mark: bytes, receipt: Receipt) -> None:
        """Stop expecting the message with this mark."""
        waiting = self.get(mark, [])
        if receipt in waiting:
            waiting.remove(receipt)
            if not waiting:
                del self[mark]

    def find(self, mark: bytes) -> Receipt | None:
        """Return the receipt of a message that has come, and may come again for other members, or None."""
        waiting = self.get(mark)
        return waiting[0] if waiting else None

    def take(self, mark: bytes) -> Receipt | None:
        """Return and remove the receipt of a message that comes only once, or None."""
        waiting = self.get(mark)
        if not waiting:
            return None
        receipt = waiting.pop(0)
        if not waiting:
            del self[mark]
        return receipt
