"""Layers of every kind for one test body: ours, several hosts, and some of somebody else's making."""

from __future__ import annotations

import asyncio
import itertools
import os
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.machinery import PathFinder
from typing import Any

from compat.engine.inbox import Inbox
from compat.engine.parts import inbox_of
from compat.layers import (
    BaseChannelLayer,
    InMemoryChannelLayer,
    channel_layers,
    register_channel_layer,
    unregister_channel_layer,
)
from compat.layers.moving import MovingChannelLayer
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer, RedisStreamsChannelLayer
from compat.settings import override
from compat.types import Message
from tests.support.redis_cluster import shared_cluster
from tests.support.waiting import until

__all__ = [
    "KINDS",
    "ON_REDIS",
    "Kind",
    "ReceiveOnlyLayer",
    "close",
    "databases",
    "make_layer",
    "member",
    "more_lines",
    "moving",
    "open_lines",
    "unique_prefix",
]

_numbers = itertools.count(1)


def unique_prefix() -> str:
    """A prefix that no other test on a shared Redis has."""
    return f"t{os.getpid()}x{next(_numbers)}"


def databases(url: str, count: int) -> list[str]:
    """`count` hosts out of one server: to the queue layer its databases are as far apart as machines."""
    base = url.split("?")[0].rstrip("/")
    scheme, _, rest = base.partition("://")
    return [f"{scheme}://{rest.split('/')[0]}/{index}" for index in range(count)]


class ReceiveOnlyLayer(BaseChannelLayer):
    """A layer as third parties write them: the methods of Channels' interface, and not one more."""

    extensions: Sequence[str] = ("groups", "flush")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.queues: defaultdict[str, asyncio.Queue[Message]] = defaultdict(asyncio.Queue)
        self.groups: defaultdict[str, set[str]] = defaultdict(set)

    async def send(self, channel: str, message: Message) -> None:
        self.require_valid_channel_name(channel)
        self.queues[channel].put_nowait(dict(message))

    async def receive(self, channel: str) -> Message:
        return await self.queues[channel].get()

    async def new_channel(self, prefix: str = "specific.") -> str:
        return f"{prefix}{uuid.uuid4().hex}"

    async def group_add(self, group: str, channel: str) -> None:
        self.require_valid_group_name(group)
        self.groups[group].add(channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self.groups[group].discard(channel)

    async def group_send(self, group: str, message: Message) -> None:  # type: ignore[override]
        for channel in self.groups[group]:
            await self.send(channel, message)

    async def flush(self) -> None:
        self.queues.clear()
        self.groups.clear()


@dataclass(frozen=True)
class Kind:
    """A kind of layer: how one is made, and what may be asked of it beyond Channels' interface."""

    name: str
    make: Callable[..., Any]
    hosts: int = 0
    """How many Redis it uses, or shards of a cluster."""
    in_cluster: bool = False
    stores: bool = True
    """A message waits for a receiver that is not there yet."""
    at_once: bool = True
    """What has been sent is where its receiver takes it when send() returns."""
    serializes: bool = True
    """Messages travel as bytes."""
    ours: bool = True
    """It pushes, has `exclude`, results, policies, metrics, blocking forms."""

    def __str__(self) -> str:
        return self.name


def _queue_in_two_steps(**options: Any) -> Any:
    """Capacities by pattern keep the layer from letting one script do all of a group_send."""
    return RedisChannelLayer(**{"channel_capacity": {"no-such-channel": 1}, **options})


def moving(old: Any, new: Any, send: str) -> MovingChannelLayer:
    """A layer that moves a fleet from ``old`` to ``new``, two layers, and sends by one of them."""
    aliases = {"old": f"old{next(_numbers)}", "new": f"new{next(_numbers)}"}
    for side, layer in (("old", old), ("new", new)):
        register_channel_layer(aliases[side], layer)
    try:
        return MovingChannelLayer(**aliases, send=send)
    finally:
        for alias in aliases.values():
            unregister_channel_layer(alias)


def _moves(old: Any, new: Any, send: str, *, prefix: str, **options: Any) -> Any:
    layer: Any = moving(old(prefix=f"{prefix}o", **options), new(prefix=f"{prefix}n", **options), send)
    layer.prefix = prefix  # for another process of the fleet
    return layer


def _upstream(name: str, *, hosts: list[str], **options: Any) -> Any:
    """The real channels_redis' layer, as CHANNEL_LAYERS asks for it."""
    # redis-py 8 ends a read after 5 s by default, which this layer takes for a failure
    config = {"hosts": [f"{host}?socket_timeout=60" for host in hosts], **options}
    entry = {"BACKEND": f"channels_redis.{name}", "UPSTREAM": True, "CONFIG": config}
    with override(CHANNEL_LAYERS={"upstream": entry}):
        return channel_layers.make_backend("upstream")


ON_REDIS = {
    "queue": RedisChannelLayer,
    "pubsub": RedisPubSubChannelLayer,
    "streams": RedisStreamsChannelLayer,
}
"""Our layers on Redis, by their names in tests."""
OURS = (
    Kind("memory", InMemoryChannelLayer, serializes=False),
    Kind("queue", RedisChannelLayer, hosts=1),
    Kind("queue-two-steps", _queue_in_two_steps, hosts=1),
    Kind("queue-3-hosts", RedisChannelLayer, hosts=3),
    Kind("pubsub", RedisPubSubChannelLayer, hosts=1, stores=False, at_once=False),
    Kind("pubsub-3-hosts", RedisPubSubChannelLayer, hosts=3, stores=False, at_once=False),
    Kind("streams", RedisStreamsChannelLayer, hosts=1, at_once=False),
    Kind("streams-3-hosts", RedisStreamsChannelLayer, hosts=3, at_once=False),
    Kind("queue-cluster", RedisChannelLayer, hosts=4, in_cluster=True),
    Kind("pubsub-cluster", RedisPubSubChannelLayer, hosts=4, stores=False, at_once=False, in_cluster=True),
    Kind("streams-cluster", RedisStreamsChannelLayer, hosts=4, at_once=False, in_cluster=True),
)
MOVING = (
    Kind("queue-to-streams", partial(_moves, RedisChannelLayer, RedisStreamsChannelLayer, "old"), hosts=1),
    Kind(
        "streams-from-pubsub",
        partial(_moves, RedisPubSubChannelLayer, RedisStreamsChannelLayer, "new"),
        hosts=1,
        at_once=False,
    ),
)
THIRD_PARTY = (Kind("third-party", ReceiveOnlyLayer, serializes=False, ours=False),)
UPSTREAM = (
    Kind("upstream-queue", partial(_upstream, "core.RedisChannelLayer"), hosts=1, ours=False),
    Kind(
        "upstream-pubsub",
        partial(_upstream, "pubsub.RedisPubSubChannelLayer"),
        hosts=1,
        stores=False,
        at_once=False,
        ours=False,
    ),
)
KINDS = (*OURS, *MOVING, *THIRD_PARTY, *(UPSTREAM if PathFinder.find_spec("channels_redis") else ()))
"""The real channels_redis' layers, too, where it is installed (the environment "upstream")."""


async def member(layer: Any, *groups: str) -> Inbox:
    """The inbox of a new channel of ``layer`` that is in these groups."""
    channel = await layer.new_channel()
    inbox = inbox_of(asyncio.get_running_loop())
    layer.attach(channel, inbox)
    for group in groups:
        await layer.group_add(group, channel)
    return inbox


async def close(*layers: Any) -> None:
    """End what layers on Redis have open, also where consumers depend on it, each on its own event loop."""
    here = asyncio.get_running_loop()
    for layer in layers:
        for station in layer._stations.all():
            if station.loop is here:
                await station.aclose()
            elif station.loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(station.aclose(), station.loop))


def more_lines(layer: Any, count: int) -> None:
    """Let the layer have so many lines, as after calls of several threads at once."""
    taken = [layer._outside._lines.take()]
    while len(taken) < count:
        layer.group_send_sync("nobody", {"type": "x"})
        until(lambda: layer._outside._lines._idle, "there is another line")
        taken.append(layer._outside._lines.take())
    for line in taken:
        layer._outside._lines.give_back(line)


def open_lines(layer: Any) -> set[Any]:
    return set(layer._outside._lines._lines)


def make_layer(kind: Kind, redis_url: str, **options: Any) -> Any:
    """A layer of that kind, out of everybody else's way."""
    if kind.hosts:
        hosts: list[Any] = (
            [shared_cluster().entry(shards=kind.hosts)]
            if kind.in_cluster
            else list(databases(redis_url, kind.hosts))
        )
        options = {"hosts": hosts, "prefix": unique_prefix(), **options}
    return kind.make(**options)
