"""Names of channels_redis 4.3 that are in no documentation, and that some projects and their tests use.

They do here what they do there; nothing else in this library uses them. channels_redis has an object for each
event loop; its counterpart here is a view of the loop's station, whose only state is a lock.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Iterable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from redis.asyncio import ConnectionPool, Redis

from compat.engine.inbox import Inbox
from compat.engine.mailbox import Mailbox
from compat.layers.redis.keys import RESERVED_KEY
from compat.redis.hosts import Host, plain_pool
from compat.types import Message

if TYPE_CHECKING:
    from compat.layers.redis.core import RedisChannelLayer
    from compat.layers.redis.pubsub import RedisPubSubChannelLayer
    from compat.layers.redis.pubsub_station import PubSubStation
    from compat.layers.redis.station import Station

__all__ = [
    "PrivateNames",
    "PrivateNamesOfPubSub",
    "PrivateNamesOfQueue",
    "ReceiveBuffer",
    "RedisLoopLayer",
    "RedisPubSubLoopLayer",
    "RedisSingleShardConnection",
]

log = logging.getLogger("compat.layers")

V = TypeVar("V")


class Views(MutableMapping[asyncio.AbstractEventLoop, V], Generic[V]):
    """``layer._layers``: a view for each event loop. Removing one leaves its connections open."""

    def __init__(self, owner: PrivateNames[V]) -> None:
        self._owner = owner

    def __getitem__(self, loop: asyncio.AbstractEventLoop) -> V:
        for station in self._owner._stations.all():
            if station.loop is loop:
                return self._owner._view(station)
        raise KeyError(loop)

    def __setitem__(self, loop: asyncio.AbstractEventLoop, view: V) -> None:
        raise TypeError("what there is on an event loop is made by the layer, at its first use there")

    def __delitem__(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._owner._stations.drop(loop) is None:
            raise KeyError(loop)

    def __iter__(self) -> Iterator[asyncio.AbstractEventLoop]:
        return iter([station.loop for station in self._owner._stations.all()])

    def __len__(self) -> int:
        return len(self._owner._stations.all())


class PrivateNames(Generic[V]):
    """The private names of both layers; ``RedisLayer`` has ``_stations``."""

    _stations: Any

    def _view(self, station: Station) -> V:
        """Return the view of ``station``, always the same one."""
        try:
            views: weakref.WeakKeyDictionary[Station, V] = self.__dict__["_views"]
        except KeyError:
            views = self.__dict__["_views"] = weakref.WeakKeyDictionary()
        view = views.get(station)
        if view is None:
            view = views[station] = self._new_view(station)
        return view

    def _new_view(self, station: Station) -> V:
        raise NotImplementedError

    @property
    def _layers(self) -> Views[V]:
        return Views(self)


class ReceiveBuffer(dict[str, Mailbox]):
    """The mailboxes in which messages wait, by channel; the messages of one that is taken out are dropped."""

    def __missing__(self, channel: str) -> Mailbox:
        return Mailbox(channel)

    def __delitem__(self, channel: str) -> None:
        self.pop(channel)

    def pop(self, channel: str, *default: Any) -> Any:
        box = super().pop(channel, *default)
        if isinstance(box, Mailbox):
            box.drop()
        return box

    def clear(self) -> None:
        for channel in tuple(self):
            del self[channel]


class PrivateNamesOfQueue(PrivateNames["RedisLoopLayer"]):
    """The private names of ``RedisChannelLayer``, and some without an underscore."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__module__.startswith("compat."):
            return
        layers = [base for base in cls.__mro__[1:] if issubclass(base, PrivateNamesOfQueue)]
        for name in ("create_pool", "connection"):
            if all(getattr(base, name, None) is not getattr(cls, name, None) for base in layers):
                log.warning(
                    "%s overrides %s(), which the layer does not call: it connects as CONFIG['hosts'] says. "
                    "A host may be a dict with an address and the arguments of redis-py's connections, as "
                    "{'address': 'rediss://…', 'credential_provider': …}",
                    *(cls.__qualname__, name),
                )

    @property
    def receive_buffer(self) -> ReceiveBuffer:
        """The mailboxes in which messages wait now."""
        return ReceiveBuffer(
            (channel, box)
            for station in self._stations.all()
            for channel, box in tuple(station.boxes.items())
            if isinstance(box, Mailbox) and box.events
        )

    @property
    def receive_count(self) -> int:
        """How many consumers and callers of this process wait for messages to channels of their own."""
        return sum(
            1 if isinstance(box, Inbox) else len(box.waiters)
            for station in self._stations.all()
            for box in tuple(station.boxes.values())
        )

    def _new_view(self: Any, station: Station) -> RedisLoopLayer:
        return RedisLoopLayer(self, station)

    def create_pool(self: Any, index: int) -> ConnectionPool:
        """Return a new redis-py pool of the host ``index``; the caller closes it."""
        host: Host = self.redis_hosts[index]
        return host.pool() if host.is_shard else plain_pool(host.options)

    def _group_key(self: Any, group: str) -> bytes:
        key: str = self.keys.group(group)
        return key.encode()

    async def _brpop_with_clean(self: Any, index: int, channel: str, timeout: float) -> bytes | None:
        """Return the oldest message of the key ``channel``, and keep it in flight; None after ``timeout``
        seconds.

        What was in flight comes first. Projects wrap this method to survive a time limit of redis-py that our
        layer does not have, so that here the wrapper is never called.
        """
        client, inflight = self.connection(index), self._backup_channel_name(channel)
        async with client.pipeline(transaction=True) as put_back:
            put_back.zunionstore(channel, [channel, inflight], aggregate="MIN")
            put_back.expire(channel, self.expiry_s)  # the union has no time to live
            put_back.delete(inflight)
            await put_back.execute()
        found = await client.bzpopmin(channel, timeout)
        if found is None:
            return None
        _, message, sent_at = found
        await client.zadd(inflight, {message: sent_at})
        popped: bytes = message
        return popped

    def _backup_channel_name(self: Any, channel: str) -> str:
        name: str = self.keys.inflight(channel)
        return name

    def _map_channel_keys_to_connection(
        self: Any, channel_names: Iterable[str], message: Message
    ) -> tuple[dict[int, list[str]], dict[str, bytes], dict[str, int]]:
        """Return ``(keys, messages, capacities)``, which a Lua script needs to send to channels.

        ``keys``: the keys of the channels' queues by host index. ``messages``: for each key the serialized
        message with its receivers' names. ``capacities``: for each key how many messages may wait.
        """
        names: dict[str, list[str]] = {}
        for channel in channel_names:
            names.setdefault(self.keys.queue(channel), []).append(channel)
        keys: dict[int, list[str]] = {}
        for key, receivers in names.items():
            keys.setdefault(self.keys.queue_shard(receivers[0]), []).append(key)
        messages = {
            key: self.serialize({**message, RESERVED_KEY: receivers}) for key, receivers in names.items()
        }
        return keys, messages, {key: self.get_capacity(receivers[0]) for key, receivers in names.items()}


class RedisLoopLayer:
    """The queue layer's connections on one event loop."""

    def __init__(self, channel_layer: RedisChannelLayer, station: Station) -> None:
        self.channel_layer = channel_layer
        self._lock = asyncio.Lock()
        self._station = weakref.proxy(station)

    @property
    def _connections(self) -> dict[int, Redis]:
        return dict(self._station.shards.clients())

    def get_connection(self, index: int) -> Redis:
        """Return a redis-py client of the host ``index``."""
        client: Redis = self._station.shards.client(index)
        return client

    async def flush(self) -> None:
        """Close the connections, unless consumers depend on them; they reopen when needed."""
        await self._station.disconnect()


class PrivateNamesOfPubSub(PrivateNames["RedisPubSubLoopLayer"]):
    """The private names of ``RedisPubSubChannelLayer``, including those that it passes to its loop's view."""

    def _new_view(self: Any, station: Any) -> RedisPubSubLoopLayer:
        return RedisPubSubLoopLayer(self, station)

    def _get_layer(self) -> RedisPubSubLoopLayer:
        """Return the view of the running event loop."""
        return self._view(self._stations.get(asyncio.get_running_loop()))

    @property
    def _shards(self) -> list[RedisSingleShardConnection]:
        return self._get_layer()._shards

    def _get_shard(self, channel_or_group_name: str) -> RedisSingleShardConnection:
        return self._get_layer()._get_shard(channel_or_group_name)

    def _get_group_channel_name(self: Any, group: str) -> str:
        topic: str = self.keys.topic(group)
        return topic


class RedisPubSubLoopLayer:
    """A view of the pub/sub layer on one event loop, with the methods of the layer."""

    extensions = ["groups", "flush"]  # noqa: RUF012 - a list, as in Channels

    def __init__(self, channel_layer: RedisPubSubChannelLayer, station: PubSubStation) -> None:
        self.channel_layer = channel_layer
        self._station = weakref.proxy(station)
        self._shards = [
            RedisSingleShardConnection(self, index) for index in range(len(channel_layer.redis_hosts))
        ]

    @property
    def channels(self) -> dict[str, Any]:
        """The inbox or mailbox of each channel of this loop."""
        return dict(self._station.boxes)

    @property
    def groups(self) -> dict[str, set[str]]:
        """The groups' pub/sub channels, each with its members on this loop."""
        return {topic: set(members) for topic, members in self._station.groups.items()}

    def _get_shard(self, channel_or_group_name: str) -> RedisSingleShardConnection:
        return self._shards[self.channel_layer.keys.shard_in(channel_or_group_name)]

    async def _subscribe_to_channel(self, channel: str) -> None:
        await self._station.open_channel(channel)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.channel_layer, name)

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call our method of ``channel_layer``, even if its class overrides it: that may call this."""
        own = type(self.channel_layer).__mro__
        shipped = next(kind for kind in own if PrivateNamesOfPubSub in kind.__bases__)
        return getattr(shipped, name)(self.channel_layer, *arguments)

    async def new_channel(self, prefix: str = "specific.") -> str:
        channel: str = await self._call("new_channel", prefix)
        return channel

    async def send(self, channel: str, message: Message) -> None:
        await self._call("send", channel, message)

    async def receive(self, channel: str) -> Message:
        message: Message = await self._call("receive", channel)
        return message

    async def group_add(self, group: str, channel: str) -> None:
        await self._call("group_add", group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        await self._call("group_discard", group, channel)

    async def group_send(self, group: str, message: Message) -> Any:
        return await self._call("group_send", group, message)

    async def flush(self) -> None:
        await self._call("flush")


class RedisSingleShardConnection:
    """A view of one host of the pub/sub layer on one event loop."""

    def __init__(self, channel_layer: RedisPubSubLoopLayer, index: int) -> None:
        self.channel_layer = channel_layer
        self.host: dict[str, Any] = channel_layer.channel_layer.redis_hosts[index].options
        self._index = index
        self._lock = asyncio.Lock()

    @property
    def _redis(self) -> Redis | None:
        """A redis-py client; None before ``_ensure_redis()`` and after the connections have been closed."""
        client: Redis | None = self.channel_layer._station.shards.clients().get(self._index)
        return client

    def _ensure_redis(self) -> None:
        self.channel_layer._station.shards.client(self._index)

    @property
    def _subscribed_to(self) -> set[str]:
        topics: set[str] = self.channel_layer._station.subscriptions.topics(self._index)
        return topics

    async def publish(self, channel: str, message: bytes) -> None:
        """Publish ``message`` (bytes) to a pub/sub channel."""
        await self.channel_layer._station.shards.call(self._index, b"PUBLISH", channel, message)

    async def subscribe(self, channel: str) -> None:
        """Subscribe to a pub/sub channel, and collect its messages."""
        await self.channel_layer._station.open_channel(channel)

    async def unsubscribe(self, channel: str) -> None:
        """Unsubscribe from a pub/sub channel, and remove it."""
        await self.channel_layer._station.detach(channel)

    async def flush(self) -> None:
        """Close the connections of the event loop, unless consumers depend on them."""
        await self.channel_layer._station.disconnect()
