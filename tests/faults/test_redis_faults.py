"""Redis goes away and comes back in every way it can: sockets stay open, every message is accounted for.

A message that a sender was told is sent either arrives once, in order, or falls into a gap that the layer has
reported. Both layers; behind a proxy where connections are to misbehave.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
import redis
from asgiref.sync import async_to_sync

from compat.exceptions import LayerUnavailable
from compat.generic.websocket import AsyncJsonWebsocketConsumer
from compat.inbox import Inbox
from compat.layers import channel_layers
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from tests.support.clients import Client
from tests.support.layers import unique_prefix
from tests.support.processes import free_port
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.servers import LiveServer
from tests.support.waiting import until, until_async

LAYERS = {"queue": RedisChannelLayer, "pubsub": RedisPubSubChannelLayer}
QUICK = "?socket_timeout=1&socket_connect_timeout=1"
WITHIN_S = 5.0
"""How long after Redis is back everybody must be served again."""


@pytest.fixture(params=LAYERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def make(kind: str) -> AsyncIterator[Callable[..., Any]]:
    """Makes layers of the kind; those of one test are one fleet."""
    made: list[Any] = []
    prefix = unique_prefix()

    def factory(url: str, **options: Any) -> Any:
        made.append(
            LAYERS[kind](**{"hosts": [url + QUICK], "prefix": prefix, "capacity": 100_000, **options})
        )
        return made[-1]

    yield factory
    for layer in made:
        for station in layer._stations.all():
            await station.aclose()


class Room:
    """Members of a group, and a sender that goes on whatever happens."""

    def __init__(self, reader: Any, sender: Any) -> None:
        self.reader = reader
        self.sender = sender
        self.inboxes: list[Inbox] = []
        self.sent: dict[int, float] = {}
        """Number of a message that was sent without an error: when."""
        self.refused: dict[int, LayerUnavailable] = {}
        self.longest_s = 0.0
        self._task: asyncio.Task[None] | None = None

    async def open(self, members: int) -> None:
        for _ in range(members):
            channel = await self.reader.new_channel()
            inbox = Inbox(asyncio.get_running_loop())
            self.reader.attach(channel, inbox)
            await self.reader.group_add("room", channel)
            self.inboxes.append(inbox)
        self._task = asyncio.ensure_future(self._send())
        await self.until_sent(20)

    async def _send(self) -> None:
        for number in range(1_000_000):
            began = time.time()
            try:
                await self.sender.group_send("room", {"type": "numbered", "n": number})
                self.sent[number] = began
            except LayerUnavailable as error:
                self.refused[number] = error
            self.longest_s = max(self.longest_s, time.time() - began)
            await asyncio.sleep(0.003)

    async def until_sent(self, more: int) -> None:
        """Until so many more messages have been sent, and everybody has got one that is newer."""
        have = len(self.sent)
        await until_async(lambda: len(self.sent) >= have + more, f"{more} more are sent")
        newest = max(self.sent)
        await until_async(
            lambda: all(self.last(inbox) > newest for inbox in self.inboxes), "all have newer ones"
        )

    async def close(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        newest = max(self.sent)
        await until_async(
            lambda: all(self.last(inbox) >= newest for inbox in self.inboxes), "the last one is here"
        )

    @staticmethod
    def got(inbox: Inbox) -> list[int]:
        return [message["n"] for _, message, _ in inbox.events if message["type"] == "numbered"]

    @classmethod
    def last(cls, inbox: Inbox) -> int:
        return max(cls.got(inbox), default=-1)

    def account(self) -> list[int]:
        """Every message has arrived once and in order, or is in a gap; the numbers of those that are."""
        counts: Counter[int] = Counter()
        for inbox in self.inboxes:
            got = self.got(inbox)
            assert got == sorted(set(got)), "each once, in order"
            counts.update(got)
        lost = [number for number in self.sent if counts[number] != len(self.inboxes)]
        gaps = [(gap.began, gap.ended or time.time()) for gap in self.reader.metrics.gaps]
        for number in lost:
            when = self.sent[number]
            assert any(began <= when <= ended for began, ended in gaps), (
                f"{number} at {when} is in none of {gaps}"
            )
        return lost


@contextlib.asynccontextmanager
async def talking(reader: Any, sender: Any, members: int = 20) -> AsyncIterator[Room]:
    room = Room(reader, sender)
    await room.open(members)
    try:
        yield room
        back = time.time()
        await room.until_sent(20)
        assert time.time() - back < WITHIN_S
    finally:
        await room.close()
    room.account()


async def test_redis_is_killed_and_restarted(
    make: Callable[..., Any], redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"on_disconnect": "redis.disconnect", "on_reconnect": "redis.reconnect"}
    async with talking(make(redis_server.url, **options), make(redis_server.url)) as room:
        await asyncio.to_thread(redis_server.kill)
        await until_async(lambda: len(room.refused) > 20, "sends are refused")
        await asyncio.to_thread(redis_server.start)
    error = next(iter(room.refused.values()))
    assert isinstance(error, ConnectionError)
    assert f"cannot use Redis at 127.0.0.1:{redis_server.port}" in str(error)
    assert room.longest_s < 2
    await until_async(lambda: room.reader.metrics.reconnects == 1, "the outage is over")
    for inbox in room.inboxes:
        told = [message["type"] for _, message, _ in inbox.events if message["type"] != "numbered"]
        assert told == ["redis.disconnect", "redis.reconnect"], "once each"
    lines = [record.message for record in caplog.records if record.name == "compat.layers"]
    assert sum("is back after" in line for line in lines) == 1
    assert 1 <= sum("Trying again until it answers" in line for line in lines) <= 4, "a line per cause"


async def test_redis_does_not_answer_for_a_while(make: Callable[..., Any], redis_server: RedisServer) -> None:
    async with talking(make(redis_server.url), make(redis_server.url)) as room:
        redis_server.pause()
        try:
            await until_async(lambda: len(room.refused) > 3, "sends are refused")
        finally:
            redis_server.resume()
    assert room.longest_s < 3
    assert "no answer within 1 s" in str(next(iter(room.refused.values())))
    assert room.account() == [], "nothing is lost"


@pytest.mark.parametrize("how", ["cut", "half_close"])
async def test_the_readers_connections_break(
    make: Callable[..., Any], kind: str, redis_server: RedisServer, how: str
) -> None:
    with Proxy(redis_server.port) as proxy:
        async with talking(make(proxy.url), make(redis_server.url)) as room:
            for _ in range(5):
                await asyncio.to_thread(getattr(proxy, how))
                await room.until_sent(10)
        assert not room.refused
        assert room.reader.metrics.reconnects == 5
        if kind == "queue":
            assert len(room.account()) <= 5, "at most the one that was on its way when a connection broke"


async def test_the_readers_connections_break_in_the_middle_of_something(
    make: Callable[..., Any], kind: str, redis_server: RedisServer
) -> None:
    """Connections end after a random number of replies, at every stage of a conversation with Redis."""
    dice = random.Random(5)
    left = 50

    def before(data: bytes, to_server: bool) -> bytes | None:
        nonlocal left
        if to_server:
            return data
        left -= 1
        if left > 0:
            return data
        left = dice.randint(5, 60)
        return None

    with Proxy(redis_server.port) as proxy:
        async with talking(make(proxy.url), make(redis_server.url), members=5) as room:
            proxy.before = before
            await until_async(lambda: room.reader.metrics.reconnects >= 15, "15 breaks", deadline_s=60)
            proxy.before = None
        if kind == "queue":
            assert len(room.account()) <= room.reader.metrics.reconnects


async def test_a_connection_that_goes_silent(
    make: Callable[..., Any], kind: str, redis_server: RedisServer
) -> None:
    """Nobody says that it has ended, as when a router forgets it: noticed in time, and replaced."""
    with Proxy(redis_server.port) as proxy:
        reader = make(proxy.url)
        reader.brpop_timeout = reader.ping_interval = 1
        async with talking(reader, make(redis_server.url)) as room:
            proxy.hold()
            await until_async(lambda: bool(room.reader.metrics.gaps), "the silence is noticed")
            await asyncio.to_thread(proxy.cut)
            proxy.release()
        lost = room.account()
        if kind == "queue":
            assert len(lost) <= 1, "one may have been given to the silent connection"


async def test_the_senders_connection_breaks(make: Callable[..., Any], redis_server: RedisServer) -> None:
    with Proxy(redis_server.port) as proxy:
        async with talking(make(redis_server.url), make(proxy.url)) as room:
            for _ in range(5):
                await asyncio.to_thread(proxy.cut)
                await room.until_sent(10)
        assert len(room.refused) <= 5, "only what was on its way"
        assert room.account() == []


async def test_redis_refuses_for_a_while(make: Callable[..., Any], redis_server: RedisServer) -> None:
    with Proxy(redis_server.port) as proxy:
        async with talking(make(proxy.url), make(proxy.url)) as room:
            proxy.refuse()
            await asyncio.to_thread(proxy.cut)
            await until_async(lambda: len(room.refused) > 20, "sends are refused")
            proxy.accept()


async def test_redis_is_read_only_for_a_while(
    make: Callable[..., Any], kind: str, redis_server: RedisServer
) -> None:
    """As after a failover, when the old master has become a replica."""
    with redis.Redis.from_url(redis_server.url) as wire:
        async with talking(make(redis_server.url), make(redis_server.url)) as room:
            wire.config_set("replica-serve-stale-data", "yes")
            wire.replicaof("127.0.0.1", str(free_port()))
            if kind == "queue":  # publishing is not writing
                await until_async(lambda: len(room.refused) > 20, "sends are refused")
                assert "read-only replica" in str(next(iter(room.refused.values())))
            wire.replicaof("NO", "ONE")


async def test_redis_is_out_of_memory(redis_server: RedisServer) -> None:
    """Senders are told; readers go on reading, or it would stay full."""
    layer = RedisChannelLayer(hosts=[redis_server.url], capacity=100_000)
    channel = await layer.new_channel()
    with redis.Redis.from_url(redis_server.url) as wire:
        for number in range(50):
            await layer.send(channel, {"type": "x", "n": number})
            await layer.send("plain", {"type": "x", "n": number})
        await layer.group_add("room", "plain")
        wire.config_set("maxmemory", 1)
        refused: tuple[tuple[Any, ...], ...] = (
            (layer.send, channel, {"type": "x"}),
            (layer.send, "plain", {"type": "x"}),
            (layer.group_send, "room", {"type": "x"}),
            (layer.group_add, "room", channel),
        )
        call: Any
        for call, *arguments in refused:
            with pytest.raises(LayerUnavailable, match="out of memory; raise its maxmemory"):
                await call(*arguments)
        for name in (channel, "plain"):
            got = [(await asyncio.wait_for(layer.receive(name), WITHIN_S))["n"] for _ in range(50)]
            assert got == list(range(50))
        wire.config_set("maxmemory", 0)
        await layer.send(channel, {"type": "y"})
        assert await asyncio.wait_for(layer.receive(channel), WITHIN_S) == {"type": "y"}
    await layer.flush()


async def test_nobody_is_there(make: Callable[..., Any], kind: str) -> None:
    layer = make(f"redis://127.0.0.1:{free_port()}")
    channel_layers.register("absent", layer)
    try:
        began = time.monotonic()
        for call in (layer.send("plain", {"type": "x"}), layer.group_send("room", {"type": "x"})):
            with pytest.raises(
                LayerUnavailable, match=r"channel layer 'absent' cannot use Redis at .*refused"
            ):
                await call
        for call in (layer.receive("plain"), receive_own(layer)):
            with pytest.raises(LayerUnavailable, match="Start redis-server there"):
                await call
        assert time.monotonic() - began < WITHIN_S
    finally:
        channel_layers.unregister("absent")


async def receive_own(layer: Any) -> Any:
    return await layer.receive(await layer.new_channel())


async def test_a_member_that_leaves_during_an_outage(redis_server: RedisServer) -> None:
    """It could not say so; it is gone all the same when Redis is back with what it knew."""
    with Proxy(redis_server.port) as proxy, redis.Redis.from_url(redis_server.url) as wire:
        layer = RedisChannelLayer(hosts=[proxy.url + QUICK])
        channels = []
        for _ in range(3):
            channel = await layer.new_channel()
            layer.attach(channel, Inbox(asyncio.get_running_loop()))
            await layer.group_add("room", channel)
            channels.append(channel)
        proxy.refuse()
        await asyncio.to_thread(proxy.cut)
        await layer.detach(channels[0])
        with pytest.raises(LayerUnavailable):
            await layer.group_discard("room", channels[1])
        with pytest.raises(LayerUnavailable):
            await layer.group_add("other", channels[2])
        proxy.accept()
        await until_async(
            lambda: wire.zrange("asgi:group:room", 0, -1) == [channels[2].encode()], "they have left"
        )
        assert not wire.exists("asgi:group:other")
        await layer.flush()


async def test_a_waiting_receive_outlives_an_outage(
    make: Callable[..., Any], redis_server: RedisServer
) -> None:
    layer, other = make(redis_server.url), make(redis_server.url)
    channel = await layer.new_channel()
    waiting = [asyncio.ensure_future(layer.receive(name)) for name in (channel, "plain")]
    await layer.group_send("warm", {"type": "x"})
    await asyncio.sleep(0.1)
    await asyncio.to_thread(redis_server.restart)
    await until_async(lambda: bool(layer.metrics.reconnects), "it is back")
    for name, future in zip((channel, "plain"), waiting, strict=True):
        await other.send(name, {"type": "late"})
        assert await asyncio.wait_for(future, WITHIN_S) == {"type": "late"}


# Sockets


class Member(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.channel_layer.group_add("room", self.channel_name)
        await self.accept()

    async def numbered(self, event: Any) -> None:
        await self.send_json(event["n"])


@pytest.fixture
def server(kind: str, redis_server: RedisServer) -> Iterator[LiveServer]:
    layer = LAYERS[kind](hosts=[redis_server.url + QUICK])
    channel_layers.register("default", layer)
    try:
        with LiveServer(Member.as_asgi()) as server:
            yield server
    finally:
        channel_layers.unregister("default")


def test_fifty_sockets_stay_open(kind: str, server: LiveServer, redis_server: RedisServer) -> None:
    sender = LAYERS[kind](hosts=[redis_server.url + QUICK])
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(server, "/")) for _ in range(50)]
        sender.group_send_sync("room", {"type": "numbered", "n": 1})
        for client in clients:
            assert client.receive_json() == 1
        redis_server.kill()
        with pytest.raises(LayerUnavailable):
            sender.group_send_sync("room", {"type": "numbered", "n": 2})
        redis_server.start()
        layer = channel_layers["default"]
        until(lambda: layer.metrics.reconnects == 1, "the layer is back", deadline_s=WITHIN_S)
        sender.group_send_sync("room", {"type": "numbered", "n": 3})
        for client in clients:
            assert client.receive_json() == 3
    async_to_sync(sender.close_pools)()
