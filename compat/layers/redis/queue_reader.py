"""Read the queues of one process: many messages in one round trip, and none twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from redis.exceptions import NoScriptError

from compat.clock import wall
from compat.layers.redis.scripts import TAKE
from compat.redis.connection import Link
from compat.redis.reader import Outages, Reader
from compat.redis.shards import Shards

__all__ = ["QueueReader"]

BATCH = 128
"""The number of messages taken in one round trip."""


class QueueReader(Reader):
    """Reads the queues of one process on one host, and calls ``on_message(member, score)``, oldest first.

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
    ) -> None:
        super().__init__(shards, index, outages, block_s)
        self.expiry_s = expiry_s
        self.inflight = inflight
        self.on_message = on_message
        self.queues: list[str] = []
        self._by_text = False
        """True if Redis does not know the script, so that the next call sends its text."""
        self._arrived: dict[str, frozenset[bytes]] = {}
        """The messages that the last round trip took from each queue."""

    def listen(self, queue: str, *, at_once: bool = True) -> None:
        """Read this queue as well; if not ``at_once``, from the end of the current blocking read on."""
        if queue not in self.queues:
            self.queues.append(queue)
            if at_once:
                self.interrupt()
        self.start()

    async def serve(self, link: Link) -> None:
        known = dict(self._arrived)
        put_back = set(self.queues)  # the queues whose messages in flight must be taken again
        while True:
            queues, asked = tuple(self.queues), wall()
            takes = []
            for queue in queues:
                takes.append(self._take(link, queue, queue in put_back))
            blocked = self.block(link, queues)  # in the same write, to save a round trip for empty queues
            emptied = True
            for queue, take in zip(queues, takes, strict=True):
                try:
                    taken = await take
                except NoScriptError:  # the next call sends the text; the blocking read continues meanwhile
                    self._by_text, emptied = True, False
                    self.proven(asked)
                    continue
                emptied = emptied and len(taken) < 2 * BATCH
                if not self._is_open:
                    self.proven(asked)
                put_back.discard(queue)
                await self._arrive(queue, taken, known)
                if 0 < len(taken) < 2 * BATCH:
                    # Acknowledge now, because the next take may be block_s away.
                    self.shards.tell(self.index, (b"ZREM", self.inflight(queue), *taken[::2]))
            if emptied:
                self.sure_until = asked
            hit = await blocked
            if hit is not None and (pause := self.on_message(hit[1], float(hit[2]))) is not None:
                await pause

    def _take(self, link: Link, queue: str, put_back: bool) -> asyncio.Future[list[bytes]]:
        script = (b"EVAL", TAKE.text) if self._by_text else (b"EVALSHA", TAKE.digest)
        self._by_text = False
        keys = (queue, self.inflight(queue))
        return link.call(*script, 2, *keys, BATCH, self.expiry_s, b"1" if put_back else b"0")

    async def _arrive(self, queue: str, taken: list[bytes], known: dict[str, frozenset[bytes]]) -> None:
        before = known.get(queue)
        self._arrived[queue] = frozenset(taken[::2])
        for member, score in zip(taken[::2], taken[1::2], strict=True):
            if before is None or member not in before:
                pause = self.on_message(member, float(score))
                if pause is not None:
                    await pause
        if before is not None and len(taken) < 2 * BATCH:
            del known[queue]  # the queue is empty, so all messages that were put back have come
