"""Read the queues of one process: many messages in one round trip, and none twice."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from redis.exceptions import NoScriptError

from compat.clock import steady, wall
from compat.layers.redis.scripts import TAKE
from compat.redis.connection import Link
from compat.redis.reader import Outages, Reader
from compat.redis.shards import Shards
from compat.redis.unavailable import RedisUnavailable

__all__ = ["QueueReader"]

BATCH = 128
"""The number of messages taken in one round trip; while as many come, the next one takes twice as many.

If the connection breaks meanwhile, the next one takes an eighth.
"""
LARGEST_BATCH = 1024
LARGEST_BYTES = 1 << 20
"""A round trip that has brought half as many bytes or more is followed by one of at most BATCH messages."""


class QueueReader(Reader):
    """Reads the queues of one process on one host, and calls ``on_message(member, score)``, oldest first.

    ``on_connected()`` is called with each new connection.

    ``on_message`` returns None, or an awaitable to wait for before the next message.

    Messages stay in flight in Redis until they have arrived here. After a reconnect they are put back and
    taken again; those that had arrived are recognized and skipped.
    """

    scripts = (TAKE,)

    def __init__(
        self,
        shards: Shards,
        index: int,
        outages: Outages,
        block_s: float,
        expiry_s: int,
        inflight: Callable[[str], str],
        on_message: Callable[[bytes, float], Awaitable[None] | None],
        on_connected: Callable[[], None],
    ) -> None:
        super().__init__(shards, index, outages, block_s)
        self.expiry_s = expiry_s
        self.inflight = inflight
        self.on_message = on_message
        self.on_connected = on_connected
        self.queues: list[str] = []
        self.emptied = -math.inf
        """When the queues were empty, by ``steady()``: messages that were sent before have arrived."""
        self._batch = BATCH
        self._by_text = False
        """True if Redis does not know the script, so that the next call sends its text."""
        self._arrived: dict[str, frozenset[bytes]] = {}
        """The messages that the last round trip took from each queue, and those put back before that have not
        come again."""

    def listen(self, queue: str, *, at_once: bool = True) -> None:
        """Read this queue as well; if not ``at_once``, from the end of the current blocking read on."""
        if queue not in self.queues:
            self.queues.append(queue)
            if at_once:
                self.interrupt()
        self.start()

    def connected(self) -> None:
        self.on_connected()

    async def serve(self, link: Link) -> None:
        known = dict(self._arrived)
        put_back = set(self.queues)  # the queues whose messages in flight must be taken again
        emptied = False
        while True:
            queues, asked, asked_steady, batch = tuple(self.queues), wall(), steady(), self._batch
            takes = []
            for queue in queues:
                takes.append(self._take(link, queue, queue in put_back))
            # In the same write, to save a round trip for empty queues, but only for them: what the read
            # brings is lost if the connection breaks. And while a cluster moves them, it may refuse the
            # script, which has two keys, and not the read, which has one.
            is_shard = self.shards.hosts[self.index].is_shard
            blocked = self.block(link, queues) if emptied and not is_shard else None
            emptied, size = True, 0
            for queue, take in zip(queues, takes, strict=True):
                try:
                    taken = await take
                except NoScriptError:  # the next call sends the text; the blocking read continues meanwhile
                    self._by_text, emptied = True, False
                    self.proven(asked)
                    continue
                except RedisUnavailable:  # perhaps the messages are too long to come in time over a slow line
                    self._batch = max(1, batch // 8)
                    raise
                is_last = len(taken) < 2 * batch
                size += sum(map(len, taken[::2]))
                emptied = emptied and is_last
                if not self._is_open:
                    self.proven(asked)
                put_back.discard(queue)
                await self._arrive(queue, taken, known, is_last=is_last)
                if taken and is_last:
                    # Acknowledge now, because the next take may be block_s away.
                    self.shards.tell(self.index, (b"ZREM", self.inflight(queue), *taken[::2]))
            if emptied:
                self.sure_until, self.emptied = asked, asked_steady
                self._batch = BATCH
            elif size < LARGEST_BYTES // 2:
                self._batch = min(2 * batch, LARGEST_BATCH)
            else:
                self._batch = min(batch, BATCH)
            # ``listen`` interrupts a read that has begun.
            if emptied and is_shard and queues == tuple(self.queues):
                blocked = self.block(link, queues)
            hit = await blocked if blocked is not None else None
            if hit is not None and (pause := self.on_message(hit[1], float(hit[2]))) is not None:
                await pause

    def _take(self, link: Link, queue: str, put_back: bool) -> asyncio.Future[list[bytes]]:
        script = (b"EVAL", TAKE.text) if self._by_text else (b"EVALSHA", TAKE.digest)
        self._by_text = False
        keys = (queue, self.inflight(queue))
        return link.call(*script, 2, *keys, self._batch, self.expiry_s, b"1" if put_back else b"0")

    async def _arrive(
        self, queue: str, taken: list[bytes], known: dict[str, frozenset[bytes]], *, is_last: bool
    ) -> None:
        before, members = known.pop(queue, frozenset()), frozenset(taken[::2])
        if not is_last:  # else the queue is empty, so all messages that were put back have come
            known[queue] = before - members
        self._arrived[queue] = members | known.get(queue, frozenset())
        for member, score in zip(taken[::2], taken[1::2], strict=True):
            if member not in before:
                pause = self.on_message(member, float(score))
                if pause is not None:
                    await pause
