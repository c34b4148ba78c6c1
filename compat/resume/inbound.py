"""The frames of a client, which wait for the application and are acknowledged from time to time."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from compat.redis.waiting import settle
from compat.resume.journal import payload_of, size_of
from compat.types import Message

__all__ = ["Inbound"]

MAX_FRAMES, MAX_BYTES = 64, 64 * 1024
"""How much may wait for the application; with more, the client's socket is not read."""
WIDE_FRAMES, WIDE_BYTES = 4096, 2**20
"""The same while the application waits for an acknowledgement, which comes after the client's frames."""
LIFE_S = 15.0
"""Seconds between two signs of life for a client whose socket, and so its pings, are not read."""
ACK_FRAMES, ACK_BYTES, ACK_S = 128, 64 * 1024, 2.0
"""Frames are acknowledged when the application has taken so many of them, or so many bytes, or after so many
seconds.
"""


class Acknowledging(Protocol):
    """The object that sends acknowledgements."""

    def acknowledge(self) -> None:
        """Send the client an ``ack`` with ``Inbound.note_acknowledged()``, if there is a link."""


class Inbound:
    """The messages of a client, over all its links."""

    __slots__ = (
        "ack_bytes",
        "acked",
        "connection",
        "count",
        "life",
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
        """None while no message waits, because even an empty deque is large."""
        self.size = 0
        self.wide = False
        self.count = 0
        """How many data frames the client has sent in its resumable connection."""
        self.acked = 0
        self.ack_bytes = 0
        """The bytes that have come since the last acknowledgement, and those that waited then."""
        self.timer: asyncio.TimerHandle | None = None
        self.life: asyncio.TimerHandle | None = None
        """A single timer, because a client that sends without a pause makes its link wait at each frame."""
        self.reading: asyncio.Future[Message | None] | None = None
        """The future that the application waits for: a message, or None to look into ``waiting``."""
        self.space: asyncio.Future[None] | None = None
        """The future that a link waits for until the application has taken messages."""

    async def get(self) -> Message:
        """Return the next message; cancelling the call loses nothing."""
        while not self.waiting:
            self.waiting = None
            reading: asyncio.Future[Message | None] = self.loop.create_future()
            self.reading = reading
            try:
                given = await reading
            except BaseException:
                if reading.done() and not reading.cancelled() and (given := reading.result()) is not None:
                    self.waiting = self.waiting or deque()
                    self.waiting.appendleft(given)
                    self.size += size_of(payload_of(given))
                    self._wake()
                raise
            if given is not None:
                return given
        message = self.waiting.popleft()
        self.size -= size_of(payload_of(message))
        if self.space is not None and self.has_space():
            self.make_space()
        return message

    def is_idle(self) -> bool:
        """Return True while the application waits for the next message: it has taken all that have come."""
        return self.reading is not None

    def take(self, message: Message, size: int) -> asyncio.Future[None] | None:
        """Take a data frame, and count it; return a future to wait for before the next one, or None.

        The frames that the application has taken are acknowledged now, or within ``ACK_S``.
        """
        new = self._taken() - self.acked
        if new >= ACK_FRAMES or (new and self.ack_bytes - self.size >= ACK_BYTES):
            self.connection.acknowledge()
        self.count += 1
        self.ack_bytes += size
        if self.timer is None:
            self.timer = self.loop.call_later(ACK_S, self._acknowledge_taken)
        reading = self.reading
        if reading is None or reading.done():
            return self.put(message, size)
        reading.set_result(message)
        self.reading = None
        return None

    def put(self, message: Message, size: int = 0) -> asyncio.Future[None] | None:
        """Add a message; return a future to wait for before the next one, or None."""
        if self.waiting is None:
            self.waiting = deque()
        self.waiting.append(message)
        self.size += size
        self._wake()
        return self.wait_for_space()

    def _wake(self) -> None:
        if self.reading is not None:
            settle(self.reading)
            self.reading = None

    def wait_for_space(self) -> asyncio.Future[None] | None:
        """Return a future to wait for before the next message, or None if there is room for it."""
        if self.has_space():
            return None
        if self.space is None:
            self.space = self.loop.create_future()
            if self.life is None:
                self.life = self.loop.call_later(LIFE_S, self._show_life)
        return self.space

    def _show_life(self) -> None:
        self.life = None
        if self.space is not None:
            self.connection.acknowledge()
            self.life = self.loop.call_later(LIFE_S, self._show_life)

    def has_space(self) -> bool:
        """Return False while nothing more is read, not even an acknowledgement."""
        frames, size = (WIDE_FRAMES, WIDE_BYTES) if self.wide else (MAX_FRAMES, MAX_BYTES)
        return len(self.waiting or ()) < frames and self.size < size

    def widen(self, wide: bool) -> None:
        """Allow more frames to wait, to read the acknowledgement behind them; False: no more than usual."""
        self.wide = wide
        if self.has_space():
            self.make_space()

    def make_space(self) -> None:
        """Let a link that waits continue to read."""
        if self.space is not None:
            settle(self.space)
            self.space = None

    def _acknowledge_taken(self) -> None:
        self.timer = None
        if self._taken() > self.acked:
            self.connection.acknowledge()
        if self.acked < self.count:
            self.timer = self.loop.call_later(ACK_S, self._acknowledge_taken)

    def _taken(self) -> int:
        """Return how many frames the application has taken; at least as many as have been acknowledged."""
        waiting = self.waiting or ()
        frames = len(waiting) - bool(waiting and waiting[-1]["type"] == "websocket.disconnect")
        return max(self.acked, self.count - frames)

    def note_acknowledged(self, *, whole: bool = False) -> int:
        """Return how many frames the client may forget, and note that it is told, now or on its return.

        These are the frames that the application has taken: those that wait would vanish with this process.
        ``whole``: count all frames that have come, because the application will take them.
        """
        self.acked = self.count if whole else self._taken()
        self.ack_bytes = self.size
        if self.acked == self.count:
            self._stop_acknowledging()
        return self.acked

    def _stop_acknowledging(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def stop(self) -> None:
        """Stop the timers."""
        self._stop_acknowledging()
        if self.life is not None:
            self.life.cancel()
            self.life = None
