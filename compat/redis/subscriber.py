"""The pub/sub connection to one host, which subscribes to all its topics again after an outage."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from compat.clock import wall
from compat.exceptions import LayerUnavailable
from compat.redis.cluster import PLAIN, commands_of
from compat.redis.connection import Link, OnMessage
from compat.redis.reader import Outages, Reader
from compat.redis.reasons import MOVED, REPLICA, WAIT
from compat.redis.shards import Shards
from compat.redis.unavailable import RedisUnavailable
from compat.redis.waiting import wait_set

__all__ = ["Subscriber"]


ELSEWHERE = "its address leads to another server than before"


class Subscriber(Reader):
    """Subscribes to topics, and calls ``on_message(topic, body)`` for each message.

    Redis pub/sub does not keep the messages of an outage, so they are lost. ``outages`` records when an
    outage begins, and that it ends when Redis has confirmed all topics again. ``ping_s``: seconds between two
    PINGs. ``on_confirmed(topics)`` is called when the topics are confirmed on a new connection; and with each
    PING while a cluster moves the shard, because scripts run, and publish, at another node then.
    """

    def __init__(
        self,
        shards: Shards,
        index: int,
        outages: Outages,
        ping_s: float,
        on_message: OnMessage,
        on_confirmed: Callable[[set[str]], None] | None = None,
    ) -> None:
        super().__init__(shards, index, outages, ping_s)
        self.on_message = on_message
        self.on_confirmed = on_confirmed
        self.topics: set[str] = set()
        self._link: Link | None = None
        self._ended = asyncio.Event()
        self._opened = 0.0
        self._commands = PLAIN

    async def subscribe(self, topic: str) -> None:
        """Subscribe to ``topic``, and return when Redis has confirmed; after LayerUnavailable it is not."""
        known = topic in self.topics
        self.topics.add(topic)
        self.start()
        try:
            if self._link is None:
                await self.reachable()  # ``open`` subscribes to all topics
            else:
                await self._subscribed(self._link, topic)
        except BaseException:
            if not known:  # a topic that was known before is subscribed to again with the next connection
                self.unsubscribe(topic)
            raise

    def begin(self, topic: str) -> asyncio.Future[Any] | None:
        """Do without a task what ``subscribe`` does, where there is a connection, and no cluster.

        Returns a future for the confirmation, or for LayerUnavailable; None: call ``subscribe``.
        """
        if self._link is None or self._commands is not PLAIN:
            return None
        known = topic in self.topics

        def over(confirmed: asyncio.Future[Any]) -> None:
            if not known and (confirmed.cancelled() or confirmed.exception() is not None):
                self.unsubscribe(topic)

        self.topics.add(topic)
        self.start()
        confirmed = self._link.call(PLAIN.subscribe, topic)
        confirmed.add_done_callback(over)
        return confirmed

    async def _subscribed(self, link: Link, topic: str) -> None:
        try:
            await link.call(self._commands.subscribe, topic)
        except RedisUnavailable as error:
            if error.reason not in (MOVED, WAIT):
                raise
            if self._link is link:
                self._link, self._is_open = None, False
            link.end(MOVED)
            await self.reachable()

    def is_subscribed(self, topic: str) -> bool:
        """Return True if Redis has confirmed the topic on the open connection."""
        return topic in self.topics and self._is_open

    def unsubscribe(self, topic: str) -> None:
        """Remove the topic, and tell Redis without waiting for the reply."""
        if topic in self.topics:
            self.topics.discard(topic)
            if self._link is not None:
                self._link.unsubscribe(self._commands.unsubscribe, topic)

    async def open(self) -> Link:
        self._ended = asyncio.Event()
        link = await self.shards.connect(
            self.index, on_message=self.on_message, on_end=lambda reason: self._ended.set()
        )
        self._opened = wall()
        self._commands = await commands_of(self.shards.hosts)
        self._link = link  # from now on ``subscribe`` uses the link itself
        try:
            confirmed = [link.call(self._commands.subscribe, topic) for topic in self.topics]
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
        """Send a PING every ``block_s`` seconds, because a dead connection looks like a quiet one."""
        self.proven(self._opened)
        if self.on_confirmed is not None:
            self.on_confirmed(set(self.topics))
        while True:
            if not link.closed:
                self._ended.clear()
                await wait_set(self._ended, self.block_s)
            asked = wall()
            await link.call(b"PING")  # raises LayerUnavailable with the reason if the connection has ended
            await self._check_server(link)
            self.sure_until = asked  # earlier messages have arrived before the reply

    async def _check_server(self, link: Link) -> None:
        """Raise LayerUnavailable if commands go to another server than ``link``, or to a replica.

        An address, such as that of a load balancer, may lead to another master, and leave open connections
        to the old one. A connection with topics cannot ask for its role itself.
        """
        host = self.shards.hosts[self.index]
        try:
            commands = await self.shards.link(self.index)
            await commands.call(b"PING")
        except RedisUnavailable as error:
            if error.reason == REPLICA:
                raise
            return  # it cannot be asked now
        if commands.server.is_other(link.server.run_id):
            raise self.shards.explain(host, MOVED if host.is_shard else ELSEWHERE)
        if host.is_shard and self.topics and self.on_confirmed is not None:
            before = commands.passed_on
            with contextlib.suppress(LayerUnavailable):
                await commands.call(b"EXISTS", next(iter(self.topics)))  # a key that no node has
            if commands.passed_on > before:
                self.on_confirmed(set(self.topics))

    def redirected(self, error: RedisUnavailable) -> None:
        """Record a gap: what was published since the last check may be lost."""
        self._link = None
        self.outages.lost(self.index, error, self, self.sure_until or wall())

    def failed(self, error: RedisUnavailable) -> None:
        self._link = None
