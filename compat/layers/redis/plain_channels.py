"""Plain channels: queues without a "!", which any number of processes may read.

A message is taken while a caller of this process waits for it, and with it some more, as long as the callers
come back at once: a worker far from Redis would wait for a round trip before each message. What is not
wanted after all is put back. A message stays in flight in Redis until the caller has it, and is put back if
the caller was cancelled meanwhile. It may be delivered twice if a process dies before its acknowledgement.

The key of what is in flight is not that of channels_redis, which at each read puts back all that is there:
its workers would get what one of ours has taken ahead. In that key ours look for what a dead one of its has
left.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from compat.clock import call_later, steady, wall
from compat.layers.redis.keys import Keys
from compat.layers.redis.refusals import Refusals
from compat.layers.redis.scripts import HOLD, POP
from compat.layers.redis.taken import Taken
from compat.layers.redis.waiters import Waiters
from compat.redis.connection import Link
from compat.redis.reader import Outages, Reader
from compat.redis.shards import Shards
from compat.redis.unavailable import RedisUnavailable
from compat.redis.waiting import wait_set
from compat.types import Message

__all__ = ["PlainChannels"]

TOO_LONG_S = 10
"""Seconds in flight after which a message is put back, because its reader must be dead."""
LOOK_EVERY_S = 5.0
"""Seconds after which the messages in flight are checked again, also if there always are new ones."""
HELD_S = 0.2
"""Seconds for which a message without a waiting caller is held, for callers that come back soon."""
MOST_AHEAD = 63
"""How many messages are taken ahead of the callers at most."""
LAST_READ_S = 1.0
"""Seconds for which a reader that is closed waits, at most, for what Redis may be handing over."""

Decode = Callable[[str, bytes], "Message | None"]


class PlainChannels:
    """The callers of one event loop that wait for plain channels, and one reader per host."""

    def __init__(
        self,
        shards: Shards,
        keys: Keys,
        outages: Outages,
        block_s: float,
        expiry_s: int,
        decode: Decode,
        count_drop: Callable[[str, str, int], None],
    ) -> None:
        self.expiry_s = expiry_s
        self.count_drop = count_drop
        self.shards = shards
        self.keys = keys
        self.outages = outages
        self.block_s = block_s
        self.decode = decode
        self.waiters: Waiters[Taken] = Waiters(self._changed)
        self._held: dict[str, deque[Taken]] = {}
        """Messages that were taken ahead, for ``HELD_S`` at most."""
        self.readers: list[PlainReader] = []

    async def take(self, channel: str) -> Taken:
        """Wait for the next message of ``channel`` on any host; a cancelled call puts its message back.

        Raises LayerUnavailable if no host can be reached at first; a later outage only makes the call wait.
        """
        held = self._held.get(channel)
        if held:
            return held.popleft()
        self._start()
        return await self.waiters.wait(channel)

    def give(self, channel: str, taken: Taken) -> None:
        """Give a message to the caller that has waited longest, or hold it if none waits."""
        if self.waiters.give(channel, taken):
            return
        held = self._held.get(channel)
        if not held:
            held = self._held[channel] = deque()
            call_later(asyncio.get_running_loop(), HELD_S, self._put_back, channel, held)
        held.append(taken)

    def _put_back(self, channel: str, held: deque[Taken]) -> None:
        """Put back the messages that no caller has come for."""
        if self._held.get(channel) is held:
            del self._held[channel]
        while held:
            held.pop().put_back()

    def forget(self) -> None:
        """Forget the messages that were taken ahead, because the layer is flushed."""
        for held in self._held.values():
            held.clear()

    def wanted(self, index: int | None = None) -> list[str]:
        """Return the channels that callers wait for; with ``index`` those that use this host."""
        wanted = list(self.waiters.counts())
        if index is None:
            return wanted
        return [channel for channel in wanted if index in self.keys.plain_shards(channel)]

    def gave_up(self) -> None:
        """Raise LayerUnavailable in the callers of a channel if none of its hosts has ever been reached."""
        for channel in self.wanted():
            readers = [self.readers[index] for index in self.keys.plain_shards(channel)]
            errors = [reader.error for reader in readers if reader.error is not None and not reader.ever]
            if len(errors) == len(readers):
                host, reason = self.shards.hosts[readers[0].index], errors[0].reason
                self.waiters.fail([channel], partial(self.shards.explain, host, reason))

    def _start(self) -> None:
        if not self.readers:
            self.readers = [
                PlainReader(self, index, self.outages, self.block_s)
                for index in range(len(self.shards.hosts))
            ]

    def _changed(self, channel: str) -> None:
        for reader in self.readers:
            reader.changed()

    async def aclose(self) -> None:
        """Stop the readers, and put back what was taken ahead; waiting callers are not cancelled."""
        readers, self.readers = self.readers, []
        await asyncio.gather(*(reader.aclose() for reader in readers))
        for channel, held in tuple(self._held.items()):
            self._put_back(channel, held)
        open_ones = [reader.index for reader in readers if self.shards.is_open(reader.index)]
        if open_ones:  # what was told to Redis has arrived when this is answered
            asked = (self.shards.call(index, b"TIME") for index in open_ones)
            await asyncio.wait((asyncio.gather(*asked, return_exceptions=True),), timeout=LAST_READ_S)


class PlainReader(Reader):
    """Fetches the messages that callers wait for from one host."""

    scripts = (POP,)

    def __init__(self, channels: PlainChannels, index: int, outages: Outages, block_s: float) -> None:
        super().__init__(channels.shards, index, outages, block_s)
        self.channels = channels
        self.ever = False
        """True once there has been a connection."""
        self._used = channels.keys.at(index).channels
        self._change = asyncio.Event()
        self._is_closing = False
        self._idle = asyncio.Event()
        """Set while Redis is not asked for messages."""
        self._idle.set()
        self._waits_for: tuple[str, ...] = ()
        self._pace: dict[str, tuple[int, float]] = {}
        """For each channel, how many messages are taken ahead, and when the last ones came (``steady()``)."""
        self._looked_at: dict[str, float] = {}
        """When the messages in flight of a channel were checked, by ``steady()``, since the last timeout."""
        self._refusals = Refusals(block_s)

    def changed(self) -> None:
        """Start, or interrupt the blocking read, because the waiting callers have changed."""
        wanted = self._wanted()
        self._change.set()
        if self.channels.wanted(self.index):
            self.start()
        if self._blocked and wanted != self._waits_for:
            self.interrupt()

    def _wanted(self) -> tuple[str, ...]:
        return tuple(self._refusals.without(self.channels.wanted(self.index)))

    def connected(self) -> None:
        self._looked_at.clear()

    def failed(self, error: RedisUnavailable) -> None:
        self.channels.gave_up()

    async def serve(self, link: Link) -> None:
        # A connection that broke while no caller waited is replaced silently.
        while not link.closed and not self._is_closing:
            self._change.clear()
            wanted = self._wanted()
            if not wanted and self.channels.wanted(self.index):
                await wait_set(self._change, self._refusals.wait_s())
            elif not wanted:
                self.proven(wall())
                await self._change.wait()
            else:
                self._idle.clear()
                try:
                    found = await self._fetch(link, wanted)
                    # ``changed`` interrupts a wait that has begun: a caller may have come before that.
                    if not found and not self._is_closing and wanted == self._wanted():
                        await self._wait(link, wanted)
                finally:
                    self._idle.set()

    async def aclose(self) -> None:
        """Stop reading; what Redis hands over already is given out first, or held."""
        self._is_closing = True
        self.interrupt()
        await wait_set(self._idle, LAST_READ_S)
        await super().aclose()

    def _ahead(self, channel: str) -> int:
        """Return how many messages to take ahead: more each time that the callers have come back at once."""
        ahead, came = self._pace.get(channel, (0, 0.0))
        return min(2 * ahead + 1, MOST_AHEAD) if steady() - came < HELD_S else 0

    async def _fetch(self, link: Link, wanted: Sequence[str]) -> bool:
        """Take messages that are in the queues already; return False if there were none.

        What was taken is given out also if another channel is refused.
        """
        asked, now = wall(), steady()
        aheads = [self._ahead(channel) for channel in wanted]
        looks = [now - self._looked_at.get(channel, -math.inf) >= LOOK_EVERY_S for channel in wanted]
        replies = [
            POP.run(
                link.call,
                [*self._keys(channel), self._used, self._foreign(channel)],
                *(
                    int(look),
                    TOO_LONG_S,
                    channel,
                    1 + ahead,
                    self.channels.expiry_s,
                ),
            )
            for channel, ahead, look in zip(wanted, aheads, looks, strict=True)
        ]
        found, errors = False, dict[str, BaseException]()
        got = await asyncio.gather(*replies, return_exceptions=True)
        if not all(isinstance(answer, BaseException) for answer in got):
            self.ever = True
        for channel, ahead, look, answer in zip(wanted, aheads, looks, got, strict=True):
            if isinstance(answer, BaseException):
                errors[channel] = answer
                continue
            expired, reply = answer
            if look:
                self._looked_at[channel] = now
            if expired:
                self.channels.count_drop(channel, "expired", expired)
            if reply:
                found = True
                self._pace[channel] = (ahead, steady())
            for member, score in zip(reply[::2], reply[1::2], strict=True):
                self._give(channel, member, score)
        self._refusals.leave_out(errors, self.shards.hosts[self.index].where, ever=self.ever)
        self.proven(asked)
        return found or bool(errors)

    async def _wait(self, link: Link, wanted: tuple[str, ...]) -> None:
        by_queue = {self.channels.keys.queue(channel): channel for channel in wanted}
        self._waits_for = wanted
        hit = await self.block(link, list(by_queue))
        if hit is None:
            self._looked_at.clear()
            self._pace.clear()
            return
        queue, member, score = hit
        channel = by_queue[queue.decode()]
        _, held, taken = self._keys(channel)
        # Use the connection of the acknowledgement, so that the acknowledgement cannot overtake this.
        about = (score, member, channel, self.channels.expiry_s)
        self.shards.tell(self.index, (b"EVAL", HOLD.text, 3, held, taken, self._used, *about))
        self._give(channel, member, score)

    def _keys(self, channel: str) -> tuple[str, str, str]:
        keys = self.channels.keys
        queue = keys.queue(channel)
        return queue, keys.held(queue), keys.taken(queue)

    def _foreign(self, channel: str) -> str:
        """Return the key of the messages that workers with channels_redis have in flight."""
        keys = self.channels.keys
        return keys.inflight(keys.queue(channel))

    def _give(self, channel: str, member: bytes, score: bytes) -> None:
        keys = self._keys(channel)
        message = self.channels.decode(channel, member)
        if message is None:  # it cannot be decoded, so remove it; it has been counted and logged
            self.shards.tell(self.index, *((b"ZREM", key, member) for key in keys[1:]))
            return
        taken = Taken(self.shards, self.index, keys, member, score, message, self.channels.expiry_s)
        self.channels.give(channel, taken)
