"""Redis goes away and comes back in every way it can: sockets stay open, every message is accounted for.

A message that a sender was told is sent either arrives once, in order, or falls into a gap that the layer has
reported. Both layers; behind a proxy where connections are to misbehave.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
import redis

from compat.engine.parts import inbox_of
from compat.exceptions import LayerUnavailable
from compat.layers import channel_layers
from compat.layers.redis import RedisChannelLayer
from compat.redis.connection import Link
from tests.faults.rooms import LAYERS, QUICK, WITHIN_S, talking
from tests.support.layers import close, unique_prefix
from tests.support.processes import free_port
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async


@pytest.fixture(params=LAYERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def make(kind: str) -> AsyncIterator[Callable[..., Any]]:
    """Makes layers of the kind; those of one test are one fleet."""
    made: list[Any] = []
    prefix = unique_prefix()

    def factory(url: str, limits: str = QUICK, **options: Any) -> Any:
        made.append(
            LAYERS[kind](**{"hosts": [url + limits], "prefix": prefix, "capacity": 100_000, **options})
        )
        return made[-1]

    yield factory
    await close(*made)


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
        await room.until_all_is_here()  # Redis may be stopped between a sender's reply and a reader's message
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
        async with talking(make(proxy.url, limits=""), make(redis_server.url, limits="")) as room:
            for _ in range(5):
                await asyncio.to_thread(getattr(proxy, how))
                await room.until_sent(10)
        assert not room.refused
        assert (reconnects := room.reader.metrics.reconnects) >= 5
        if kind == "queue":
            assert len(room.account()) <= reconnects, "the one that was on its way when a connection broke"


async def test_outages_leave_no_connection_to_the_garbage_collector(
    make: Callable[..., Any], redis_server: RedisServer
) -> None:
    """Was: two for each outage, with what they had read last; memory grew until the collector came."""

    def links() -> int:
        return sum(type(one) is Link for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        with Proxy(redis_server.port) as proxy:
            async with talking(make(proxy.url, limits=""), make(redis_server.url, limits="")) as room:
                before = links()
                for _ in range(3):
                    await asyncio.to_thread(proxy.cut)
                    await room.until_sent(10)
                await until_async(lambda: links() <= before, "those that have ended are freed")
    finally:
        gc.enable()


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
        async with talking(make(redis_server.url, limits=""), make(proxy.url, limits="")) as room:
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
        assert time.monotonic() - began < WITHIN_S, "at once, or after its time limits"
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
            layer.attach(channel, inbox_of(asyncio.get_running_loop()))
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
