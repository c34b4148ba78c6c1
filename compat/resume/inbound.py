"""What a client has sent: it waits for the application, and is acknowledged from time to time."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from compat.engine.mailbox import settle
from compat.resume.journal import payload_of, size_of
from compat.types import Message

__all__ = ["Inbound"]

MAX_FRAMES, MAX_BYTES = 64, 64 * 1024
"""What waits for the application; beyond that the client's socket is not read."""
WIDE_FRAMES, WIDE_BYTES = 4096, 2**20
"""The same while the application waits for an acknowledgement, which comes after the client's frames."""
LIFE_S = 15.0
"""A client whose socket is not read hears of its server this often: its pings are not read either."""
ACK_FRAMES, ACK_BYTES, ACK_S = 128, 64 * 1024, 2.0
"""The client's frames are acknowledged after so many, so many bytes, or so long."""


class Acknowledging(Protocol):
    """What sends acknowledgements."""

    def acknowledge(self) -> None:
        """Send the client an ``ack`` with ``Inbound.count``, if there is a link."""


class Inbound:
    """The messages of a client, over all its links."""

    __slots__ = (
        "ack_bytes",
        "acked",
        "connection",
        "count",
        "loop",
        "reading",
        "size",
        "space",
        "timer",
        "waiting",
        "wide",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: Acknowledging) -> None:
        self.loop = loop
        self.connection = connection
        self.waiting: deque[Message] | None = None
        """None while nothing waits: even an empty deque is large."""
        self.size = 0
        self.wide = False
        self.count = 0
        """How many data frames the client has sent in its resumable connection."""
        self.acked = self.ack_bytes = 0
        self.timer: asyncio.TimerHandle | None = None
        self.reading: asyncio.Future[None] | None = None
        """The application waits for a message."""
        self.space: asyncio.Future[None] | None = None
        """A link waits for the application to take messages."""

    async def get(self) -> Message:
        """Return the next message; cancelling the call loses nothing."""
        while not self.waiting:
            self.waiting = None
            self.reading = self.loop.create_future()
            await self.reading
        message = self.waiting.popleft()
        self.size -= size_of(payload_of(message))
        if self.space is not None and self._has_space():
            self.make_space()
        return message

    def put(self, message: Message, size: int = 0) -> asyncio.Future[None] | None:
        """Add a message; return a future to wait for before the next one, or None."""
        if self.waiting is None:
            self.waiting = deque()
        self.waiting.append(message)
        self.size += size
        if self.reading is not None:
            settle(self.reading)
            self.reading = None
        return self.wait_for_space()

    def wait_for_space(self) -> asyncio.Future[None] | None:
        """Return a future to wait for before the next message, or None if there is room for it."""
        if self._has_space():
            return None
        if self.space is None:
            self.space = self.loop.create_future()
            self.loop.call_later(LIFE_S, self._show_life, self.space)
        return self.space

    def _show_life(self, space: asyncio.Future[None]) -> None:
        if not space.done():
            self.connection.acknowledge()
            self.loop.call_later(LIFE_S, self._show_life, space)

    def _has_space(self) -> bool:
        frames, size = (WIDE_FRAMES, WIDE_BYTES) if self.wide else (MAX_FRAMES, MAX_BYTES)
        return len(self.waiting or ()) < frames and self.size < size

    def widen(self, wide: bool) -> None:
        """Read on for an acknowledgement, or (False) no longer."""
        self.wide = wide
        if self._has_space():
            self.make_space()

    def make_space(self) -> None:
        """Let a link that waits go on."""
        if self.space is not None:
            settle(self.space)
            self.space = None

    def counted(self, size: int) -> None:
        """Count a data frame of the client, and acknowledge it now or later."""
        self.count += 1
        self.ack_bytes += size
        if self.count - self.acked >= ACK_FRAMES or self.ack_bytes >= ACK_BYTES:
            self.acknowledge_rest()
        elif self.timer is None:
            self.timer = self.loop.call_later(ACK_S, self.acknowledge_rest)

    def acknowledge_rest(self) -> None:
        """Acknowledge what has come and is not acknowledged."""
        if self.acked < self.count:
            self.connection.acknowledge()
        self.was_acknowledged()

    def was_acknowledged(self) -> None:
        """The client has been told ``count``, or will be when it is back."""
        self.acked, self.ack_bytes = self.count, 0
        self.stop()

    def stop(self) -> None:
        """Stop the timer."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
