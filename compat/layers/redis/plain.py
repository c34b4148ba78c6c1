"""Plain channels: queues without a "!", which any number of processes may read.

A message is taken only while somebody here waits for it, stays in flight in Redis until whoever waited has
it, and is put back when that caller was cancelled meanwhile. It may be delivered twice when a process dies
at the wrong moment, and by design of the shared wire format when real channels_redis workers read the same
channel.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence

from compat.clock import wall
from compat.exceptions import LayerUnavailable
from compat.layers.redis.keys import Keys
from compat.layers.redis.scripts import HOLD, POP
from compat.redis.connection import Link, RedisUnavailable
from compat.redis.loops import background
from compat.redis.reader import Outages, Reader
from compat.redis.shards import Shards
from compat.types import Message

__all__ = ["Handover", "PlainChannels", "Taken", "take_in_background"]

TOO_LONG_S = 10
"""A message that is in flight for longer was taken by a reader that is dead."""

Decode = Callable[[str, bytes], "Message | None"]


class Taken:
    """A message on its way from Redis to a caller: to be acknowledged, or put back."""

    __slots__ = ("index", "is_back", "keys", "member", "message", "score", "shards")

    def __init__(
        self,
        shards: Shards,
        index: int,
        keys: tuple[str, str, str],
        member: bytes,
        score: bytes,
        message: Message,
    ) -> None:
        self.shards = shards
        self.index = index
        self.keys = keys
        self.member = member
        self.score = score
        self.message = message
        self.is_back = False

    async def acknowledge(self) -> None:
        """Tell Redis that it has arrived; when cancelled, it is put back instead."""
        try:
            await self.shards.calls(self.index, [(b"ZREM", key, self.member) for key in self.keys[1:]])
        except LayerUnavailable:
            pass  # it stays in flight, and some reader will get it once more
        except asyncio.CancelledError:
            self.put_back()
            raise

    def put_back(self) -> None:
        """Let another reader have it; its place in the order is kept."""
        if self.is_back:
            return
        self.is_back = True
        self.shards.tell(
            self.index,
            (b"ZADD", self.keys[0], self.score, self.member),
            *((b"ZREM", key, self.member) for key in self.keys[1:]),
        )


class Handover:
    """One message from the background loop to a caller on another, who may be cancelled at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Taken | None = None
        self._closed = False

    def give(self, taken: Taken) -> bool:
        """False when the caller is gone."""
        with self._lock:
            if self._closed:
                return False
            self._taken = taken
            return True

    def withdraw(self) -> Taken | None:
        """Return what was given; from then on nothing can be given."""
        with self._lock:
            self._closed = True
            taken, self._taken = self._taken, None
            return taken


async def take_in_background(plain: Callable[[], PlainChannels], channel: str) -> Message:
    """Return the next message of ``channel``, taken on the background loop; a cancelled call loses nothing.

    ``plain()`` returns that loop's plain channels, and is called there.
    """
    handover = Handover()

    async def fetch() -> None:
        taken = await plain().take(channel)
        if handover.give(taken):
            await taken.acknowledge()
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


class PlainChannels:
    """What the callers of one event loop wait for, and the readers that fetch it from each host."""

    def __init__(self, shards: Shards, keys: Keys, outages: Outages, block_s: float, decode: Decode) -> None:
        self.shards = shards
        self.keys = keys
        self.outages = outages
        self.block_s = block_s
        self.decode = decode
        self.waiters: dict[str, deque[asyncio.Future[Taken]]] = {}
        self.readers: list[PlainReader] = []

    async def take(self, channel: str) -> Taken:
        """Wait for the next message of ``channel`` on any host; a cancelled call puts back what it was given.

        Raises LayerUnavailable when no host can be reached at the beginning; one that is lost later is waited
        for.
        """
        self._start()
        future: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        waiting = self.waiters.setdefault(channel, deque())
        waiting.append(future)
        self._changed()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().put_back()
            raise
        finally:
            if future in waiting:
                waiting.remove(future)
            if not waiting and self.waiters.get(channel) is waiting:
                del self.waiters[channel]
                self._changed()

    def give(self, channel: str, taken: Taken) -> None:
        """Hand a message to the caller that has waited longest, or back to Redis."""
        for future in self.waiters.get(channel, ()):
            if not future.done():
                future.set_result(taken)
                return
        taken.put_back()

    def wanted(self) -> list[str]:
        """Return the channels that callers wait for."""
        return [
            channel
            for channel, waiting in self.waiters.items()
            if any(not future.done() for future in waiting)
        ]

    def gave_up(self) -> None:
        """A host could not be reached. When none ever could, waiting makes no sense."""
        if any(reader.ever or reader.error is None for reader in self.readers):
            return
        reason = next(reader.error.reason for reader in self.readers if reader.error is not None)
        for waiting in self.waiters.values():
            for future in waiting:
                if not future.done():
                    future.set_exception(self.shards.explain(self.shards.hosts[0], reason))

    def _start(self) -> None:
        if not self.readers:
            self.readers = [
                PlainReader(self, index, self.outages, self.block_s)
                for index in range(len(self.shards.hosts))
            ]

    def _changed(self) -> None:
        for reader in self.readers:
            reader.changed()

    async def aclose(self) -> None:
        """Stop the readers; callers that wait are the callers' to cancel."""
        for reader in self.readers:
            await reader.aclose()
        self.readers = []


class PlainReader(Reader):
    """Fetches from one host what the callers wait for."""

    scripts = (POP,)

    def __init__(self, channels: PlainChannels, index: int, outages: Outages, block_s: float) -> None:
        super().__init__(channels.shards, index, outages, block_s)
        self.channels = channels
        self.ever = False
        """There has been a connection."""
        self._change = asyncio.Event()
        self._waits_for: tuple[str, ...] = ()
        self._looked_at: set[str] = set()
        """Channels in whose messages in flight nothing is to be put back for now."""

    def changed(self) -> None:
        """The callers that wait have changed."""
        self._change.set()
        self.start()
        if self._blocked and tuple(self.channels.wanted()) != self._waits_for:
            self.interrupt()

    def connected(self) -> None:
        self._looked_at.clear()

    def failed(self, error: RedisUnavailable) -> None:
        self.channels.gave_up()

    async def serve(self, link: Link) -> None:
        while not link.closed:  # one that broke while no caller waited is replaced silently
            self._change.clear()
            wanted = tuple(self.channels.wanted())
            if not wanted:
                self.proven(wall())
                await self._change.wait()
            elif not await self._fetch(link, wanted):
                await self._wait(link, wanted)

    async def _fetch(self, link: Link, wanted: Sequence[str]) -> bool:
        """Take what is there already; False when there was nothing."""
        asked = wall()
        replies = [
            POP.run(
                link.call,
                [*self._keys(channel), self.channels.keys.channels],
                *(int(channel not in self._looked_at), TOO_LONG_S, channel),
            )
            for channel in wanted
        ]
        found = False
        got = await asyncio.gather(*replies)
        self.ever = True
        self.proven(asked)
        for channel, reply in zip(wanted, got, strict=True):
            self._looked_at.add(channel)
            if reply:
                found = True
                self._give(channel, reply[0], reply[1])
        return found

    async def _wait(self, link: Link, wanted: tuple[str, ...]) -> None:
        keys = self.channels.keys
        self._waits_for = wanted
        hit = await self.block(link, [keys.queue(channel) for channel in wanted])
        if hit is None:
            self._looked_at.clear()
            return
        queue, member, score = hit
        channel = queue.decode()[len(keys.prefix) :]
        _, inflight, taken = self._keys(channel)
        # Through the connection that the acknowledgement will take, so that it cannot be overtaken.
        self.shards.tell(
            self.index,
            (b"EVALSHA", HOLD.digest, 3, inflight, taken, keys.channels, score, member, channel),
        )
        self._give(channel, member, score)

    def _keys(self, channel: str) -> tuple[str, str, str]:
        keys = self.channels.keys
        queue = keys.queue(channel)
        return queue, keys.inflight(queue), keys.taken(queue)

    def _give(self, channel: str, member: bytes, score: bytes) -> None:
        keys = self._keys(channel)
        message = self.channels.decode(channel, member)
        if message is None:  # unreadable: counted and logged; kept from coming again
            self.shards.tell(self.index, *((b"ZREM", key, member) for key in keys[1:]))
            return
        self.channels.give(channel, Taken(self.shards, self.index, keys, member, score, message))
