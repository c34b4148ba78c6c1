"""The topics that one event loop subscribes to: one connection per host, opened when needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from compat.redis.connection import OnMessage
from compat.redis.loops import start_apart
from compat.redis.subscriber import Subscriber
from compat.redis.waiting import shared

if TYPE_CHECKING:
    from compat.layers.redis.station import Station

__all__ = ["Subscriptions"]


TRIES = 3
"""How often the subscription to a topic is repeated if other calls withdraw it at the same time."""


class Subscriptions:
    """Subscribes to topics for a station, and calls ``on_message(topic, body)`` for each message.

    ``ping_s`` and ``on_confirmed``: see ``Subscriber``. ``is_wanted(topic)`` tells whether the station still
    needs a topic.
    """

    def __init__(
        self,
        station: Station,
        ping_s: float,
        on_message: OnMessage,
        is_wanted: Callable[[str], bool],
        on_confirmed: Callable[[set[str]], None] | None = None,
    ) -> None:
        self._on_confirmed = on_confirmed
        self._station = station
        self._ping_s = ping_s
        self._on_message = on_message
        self._is_wanted = is_wanted
        self._subscribers: dict[int, Subscriber] = {}
        self._subscribing: dict[str, asyncio.Future[Any]] = {}

    async def subscribe(self, topic: str) -> None:
        """Subscribe to ``topic`` if necessary, and return when Redis has confirmed.

        It also returns if others withdraw the topic again and again. Concurrent callers share one attempt.
        After LayerUnavailable a topic that was known before is subscribed to again by itself; a new one is
        not.
        """
        subscriber = self._subscriber(topic)
        for _ in range(TRIES):
            if topic not in self._subscribing and subscriber.is_subscribed(topic):
                return
            attempt = self._subscribing.get(topic)
            if attempt is None:
                attempt = subscriber.begin(topic)
                if attempt is None:
                    attempt = start_apart(self._station.loop, subscriber.subscribe(topic))
                self._subscribing[topic] = attempt
                attempt.add_done_callback(lambda task: self._subscribed(topic, task))
            await shared(attempt)  # somebody else may have withdrawn the topic meanwhile

    def _subscribed(self, topic: str, attempt: asyncio.Future[Any]) -> None:
        del self._subscribing[topic]
        if not attempt.cancelled():
            attempt.exception()  # marks it as retrieved; the waiting callers get it too
        if not self._is_wanted(topic):  # those who wanted it have left meanwhile
            self.unsubscribe(topic)

    def want(self, topic: str) -> None:
        """Subscribe to ``topic`` with the next connection, if ``subscribe`` fails."""
        self._subscriber(topic).topics.add(topic)

    def unsubscribe(self, topic: str) -> None:
        """Unsubscribe from ``topic``, without waiting for Redis."""
        self._subscriber(topic).unsubscribe(topic)

    def is_subscribed(self, topic: str) -> bool:
        """Return True if Redis has confirmed the topic on the open connection."""
        subscriber = self._subscribers.get(self._station.keys.shard_in(topic))
        return subscriber is not None and subscriber.is_subscribed(topic)

    def topics(self, shard: int) -> set[str]:
        """Return the topics on one host."""
        subscriber = self._subscribers.get(shard)
        return set() if subscriber is None else set(subscriber.topics)

    def _subscriber(self, topic: str) -> Subscriber:
        station = self._station
        shard = station.keys.shard_in(topic)
        subscriber = self._subscribers.get(shard)
        if subscriber is None:
            subscriber = self._subscribers[shard] = Subscriber(
                station.shards, shard, station.outages, self._ping_s, self._on_message, self._on_confirmed
            )
        return subscriber

    async def aclose(self) -> None:
        """Close the connections."""
        for attempt in self._subscribing.values():
            attempt.cancel()
        for subscriber in self._subscribers.values():
            await subscriber.aclose()
        self._subscribers.clear()
