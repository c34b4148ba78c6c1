"""Messages of plain channels on their way from Redis to a caller, who may be cancelled meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

from compat.layers.redis.scripts import PUT_BACK
from compat.layers.redis.waiters import Takeable
from compat.redis.loops import background
from compat.redis.shards import Shards
from compat.types import Message

__all__ = ["Handover", "Taken", "take_in_background"]


class Taken:
    """A message between Redis and a caller, which must be acknowledged or put back."""

    __slots__ = ("expiry_s", "index", "is_back", "keys", "member", "message", "score", "shards")

    def __init__(
        self,
        shards: Shards,
        index: int,
        keys: tuple[str, str, str],
        member: bytes,
        score: bytes,
        message: Message,
        expiry_s: int,
    ) -> None:
        self.expiry_s = expiry_s
        self.shards = shards
        self.index = index
        self.keys = keys
        self.member = member
        self.score = score
        self.message = message
        self.is_back = False

    def acknowledge(self) -> None:
        """Tell Redis that the message has arrived; if it does not hear this, the message comes again."""
        self.shards.tell(self.index, *((b"ZREM", key, self.member) for key in self.keys[1:]))

    def put_back(self) -> None:
        """Put the message back into its queue for another reader, at its old place; acknowledged or not."""
        if self.is_back:
            return
        self.is_back = True
        about = (self.score, self.member, self.expiry_s)
        self.shards.tell(self.index, (b"EVAL", PUT_BACK.text, 3, *self.keys, *about))


class Handover:
    """Passes one message from the background loop to a caller on another loop, who may be cancelled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Takeable | None = None
        self._closed = False

    def give(self, taken: Takeable) -> bool:
        """Store the message for the caller; return False if the caller has been cancelled."""
        with self._lock:
            if self._closed:
                return False
            self._taken = taken
            return True

    def withdraw(self) -> Takeable | None:
        """Return the stored message or None; ``give`` returns False from now on."""
        with self._lock:
            self._closed = True
            taken, self._taken = self._taken, None
            return taken


async def take_in_background(take: Callable[[], Awaitable[Takeable]]) -> Message:
    """Take a message on the background loop, by ``take()``; a cancelled call loses no message."""
    handover = Handover()

    async def fetch() -> None:
        taken = await take()
        if handover.give(taken):
            taken.acknowledge()
        else:
            taken.put_back()

    try:
        await background.run(fetch())
    except asyncio.CancelledError:
        taken = handover.withdraw()
        if taken is not None:
            background.loop.call_soon_threadsafe(taken.put_back)
        raise
    taken = handover.withdraw()
    if taken is None:
        raise RuntimeError("the background loop ended while it received")
    return taken.message
