"""The journal: frames that were sent and may not have arrived, by reference, counted from 0."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from itertools import islice

from compat.engine.fast.framing import UNCOUNTED_BYTES, text_of
from compat.redis.waiting import settle
from compat.types import Message

__all__ = ["MAX_BYTES", "MAX_FRAMES", "Binary", "Journal", "Payload", "payload_of", "size_of"]

MAX_FRAMES = 1_000
MAX_BYTES = 256 * 1024
"""The limits of a journal; a single frame may be larger."""


class Binary(bytes):
    """The payload of a binary frame; plain bytes are a text frame that ``engine.fast.framing`` has made."""

    __slots__ = ()


Payload = str | bytes
"""A text, the bytes of a ``Binary``, or a finished text frame, which all its receivers share.

The journal keeps no messages, because dicts are large, and work for the garbage collector.
"""


def payload_of(message: Message) -> str | bytes:
    """Return the payload of a frame."""
    text: str | None = message.get("text")
    # A copy if it is a buffer, which the application may write to again.
    return text if text is not None else bytes(message.get("bytes") or b"")


def size_of(payload: Payload) -> int:
    """Return how many bytes a payload has; raise UnicodeEncodeError for half a surrogate pair."""
    if isinstance(payload, str) and not payload.isascii():
        return len(payload.encode())  # which raises for half a surrogate pair, as the server would
    return len(payload)


class Journal:
    """Keeps sent frames until the client acknowledges them."""

    __slots__ = (
        *("acknowledged", "begin", "counted", "dropped", "frames", "free", "queue", "queued", "room"),
        *("size", "waits", "wide"),
    )

    def __init__(self) -> None:
        self.begin = 0
        """How many frames have been forgotten."""
        self.acknowledged = 0
        """How many frames the client has acknowledged; usually all forgotten ones."""
        self.frames: list[Payload] = []
        self.free = 0
        """Finished frames may be appended to ``frames`` up to this length, without a look at their size."""
        self.counted = self.size = 0
        """How many frames have been counted, and their bytes."""
        self.dropped = 0
        """How many frames came too late: the server stops, or the client has left."""
        self.wide = False
        """True if a text may have more bytes than characters."""
        self.waits: list[tuple[int, asyncio.Future[None]]] | None = None
        """The futures that are done when the client has so many frames."""
        self.room: asyncio.Future[None] | None = None
        """Done when there may be room."""
        self.queue: asyncio.Lock | None = None
        """Held by a send that waits for room, so that concurrent sends keep their order."""
        self.queued = 0
        """How many sends wait for the lock, or hold it; a new frame has to wait behind them."""

    @property
    def end(self) -> int:
        """How many frames have been sent."""
        return self.begin + len(self.frames)

    @property
    def total(self) -> int:
        """How many frames the application has sent, also those that were dropped."""
        return self.end + self.dropped

    def drop(self) -> None:
        """Count a frame that is not kept."""
        self.dropped += 1

    def opened(self) -> list[Payload]:
        """Return ``frames``, after setting ``free``."""
        self.count()
        return self.frames

    def add(self, payload: str | bytes, size: int) -> bool:
        """Keep a frame of ``size`` bytes; return False if there is no room for it."""
        frames = self.frames
        if frames and (len(frames) >= MAX_FRAMES or self.count() + size > MAX_BYTES):
            return False
        frames.append(payload if isinstance(payload, str) else Binary(payload))
        self.wide = self.wide or size != len(payload)
        self.counted += 1
        self.size += size
        self._set_free()
        return True

    def extend(self, frames: Sequence[bytes], size: int) -> bool:
        """Keep finished frames of ``size`` bytes together; return False if there is no room for all."""
        kept = self.opened()
        if len(kept) + len(frames) > MAX_FRAMES or self.size + size > MAX_BYTES:
            return False
        kept.extend(frames)
        self.counted += len(frames)
        self.size += size
        self._set_free()
        return True

    def count(self) -> int:
        """Return the bytes of all frames."""
        frames = self.frames
        if self.counted < len(frames):
            self.size += sum(map(len, islice(frames, self.counted, None)))  # finished ones
            self.counted = len(frames)
        self._set_free()
        return self.size

    def _set_free(self) -> None:
        self.free = min(MAX_FRAMES, self.counted + (MAX_BYTES - self.size) // UNCOUNTED_BYTES)

    def acknowledge(self, count: int) -> None:
        """Forget the first ``count`` frames since the beginning, because the client has them."""
        self.forget(count)
        self.acknowledged = max(self.acknowledged, min(count, self.end))
        if self.waits is not None:
            for waited, future in self.waits:
                if waited <= self.acknowledged:
                    settle(future)

    def forget(self, count: int) -> None:
        """Drop the first ``count`` frames since the beginning, whether the client has them or not."""
        frames = self.frames
        known = min(count - self.begin, len(frames))
        if known > 0:
            if known < self.counted:
                self._uncount(known)
            else:  # the rest are finished frames, which are counted when that matters
                self.counted = self.size = 0
            del frames[:known]
            self.wide = self.wide and bool(frames)
            self.begin += known
            self._set_free()

    def _uncount(self, known: int) -> None:
        """Subtract the bytes of the first ``known`` frames, after a look at them or at the fewer others."""
        size, counted, half = size_of if self.wide else len, self.counted, self.counted // 2
        if known <= half:
            self.size -= sum(map(size, islice(self.frames, known)))
        else:
            self.size = sum(map(size, islice(self.frames, known, counted)))
        self.counted -= known

    def wait(self, count: int) -> asyncio.Future[None]:
        """Return a future that is done when the client has the first ``count`` frames, or by ``wake``."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waits = [*(self.waits or ()), (count, future)]
        future.add_done_callback(self._waits_no_more)
        return future

    def _waits_no_more(self, future: asyncio.Future[None]) -> None:
        self.waits = [one for one in self.waits or () if one[1] is not future] or None

    @contextlib.asynccontextmanager
    async def in_turn(self) -> AsyncIterator[None]:
        """Wait until no other send waits for room, and make others wait during the block."""
        self.queue = self.queue or asyncio.Lock()
        self.queued += 1  # the lock counts as free before its next holder runs
        try:
            async with self.queue:
                yield
        finally:
            self.queued -= 1

    def is_awaited(self) -> bool:
        """Return True while a caller waits for room, or for an acknowledgement of the client."""
        return self.queued > 0 or any(not future.done() for _, future in self.waits or ())

    def wait_for_room(self) -> asyncio.Future[None]:
        """Return a future that is done when there may be room, or by ``look_again``."""
        self.room = self.wait(self.begin + 1)
        return self.room

    def look_again(self) -> None:
        """Wake the callers that wait for room, to check whether they should go on waiting."""
        if self.room is not None:
            settle(self.room)
            self.room = None

    def wake(self) -> None:
        """Wake all callers that wait, because the client acknowledges nothing more."""
        for _, future in self.waits or ():
            settle(future)

    def frame(self, number: int) -> Message:
        """Return the frame with this number, which must still be kept."""
        payload = self.frames[number - self.begin]
        if isinstance(payload, Binary):
            return {"type": "websocket.send", "bytes": bytes(payload)}  # not all servers take a subclass
        text = payload if isinstance(payload, str) else text_of(payload)
        return {"type": "websocket.send", "text": text}
