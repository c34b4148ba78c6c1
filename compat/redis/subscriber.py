"""The pub/sub connection to one host: topics come and go, and all are subscribed to again after an outage."""

from __future__ import annotations

import asyncio

from compat.clock import wall
from compat.redis.connection import Link, OnMessage, RedisUnavailable
from compat.redis.reader import Outages, Reader
from compat.redis.shards import Shards
from compat.redis.waiting import wait_set

__all__ = ["Subscriber"]


class Subscriber(Reader):
    """Listens to topics; ``on_message(topic, body)`` for what is published to them.

    What is published during an outage is lost, by the nature of Redis pub/sub; ``outages`` is told when it
    begins, and that it ends when all topics are subscribed to again.
    """

    def __init__(
        self, shards: Shards, index: int, outages: Outages, ping_s: float, on_message: OnMessage
    ) -> None:
        super().__init__(shards, index, outages, ping_s)
        self.on_message = on_message
        self.topics: set[str] = set()
        self._link: Link | None = None
        self._ended = asyncio.Event()
        self._opened = 0.0

    async def subscribe(self, topic: str) -> None:
        """Return when Redis has confirmed; raises LayerUnavailable, and then it is not subscribed to."""
        known = topic in self.topics
        self.topics.add(topic)
        self.start()
        try:
            if self._link is None:
                await self.reachable()  # opening subscribes to all topics
            else:
                await self._link.call(b"SUBSCRIBE", topic)
        except BaseException:
            if not known:  # or others want it still, and have it back with the connection
                self.unsubscribe(topic)
            raise

    def is_subscribed(self, topic: str) -> bool:
        """True when Redis has confirmed the topic on the connection that is open."""
        return topic in self.topics and self._is_open

    def unsubscribe(self, topic: str) -> None:
        """Stop listening, as far as this side is concerned at once."""
        if topic in self.topics:
            self.topics.discard(topic)
            if self._link is not None:
                self._link.tell(b"UNSUBSCRIBE", topic)

    async def open(self) -> Link:
        self._ended = asyncio.Event()
        link = await Link.open(
            self.shards.hosts[self.index],
            self.shards.pool(self.index),
            self.shards.explain,
            on_message=self.on_message,
            on_end=lambda reason: self._ended.set(),
        )
        self._opened = wall()
        self._link = link  # from now on, others subscribe by themselves
        try:
            confirmed = [link.call(b"SUBSCRIBE", topic) for topic in self.topics]
            if confirmed:
                await asyncio.wait(confirmed)
            for future in confirmed:
                future.result()
        except BaseException:
            self._link = None
            link.close()
            raise
        return link

    async def serve(self, link: Link) -> None:
        """Ask now and then whether the other side is there: a dead connection looks like a quiet one."""
        self.proven(self._opened)
        while True:
            if not link.closed:
                self._ended.clear()
                await wait_set(self._ended, self.block_s)
            asked = wall()
            await link.call(b"PING")  # which raises, and says why, when the connection has ended
            self.sure_until = asked  # all that was published before has come before the answer

    def failed(self, error: RedisUnavailable) -> None:
        self._link = None
