"""Upstream's private names, as products and their tests use them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
import pytest_asyncio
import redis.asyncio
import redis.exceptions

from compat.engine.parts import inbox_of
from compat.layers import InMemoryChannelLayer
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.layers.redis.utils import _consistent_hash, _wrap_close
from tests.support.layers import databases, unique_prefix
from tests.support.waiting import until_async

WITHIN_S = 15.0
Make = Callable[..., Any]
SCRIPT = """
for i = 1, #KEYS do
  redis.call('ZADD', KEYS[i], ARGV[#ARGV - 1], ARGV[i])
  redis.call('EXPIRE', KEYS[i], ARGV[#ARGV])
end
"""


@pytest_asyncio.fixture
async def make(redis_url: str) -> AsyncIterator[Make]:
    made: list[Any] = []

    def factory(cls: Any, count: int = 1, **options: Any) -> Any:
        made.append(cls(hosts=databases(redis_url, count), prefix=unique_prefix(), **options))
        return made[-1]

    yield factory
    for layer in made:
        await layer.flush()


@pytest.mark.parametrize("count", [1, 3])
async def test_faults_projects_03_map_channel_keys_to_connection(make: Make, count: int) -> None:
    """A product that sends by a script of its own: to the connections over a user's limit."""
    layer = make(RedisChannelLayer, count, capacity=7, channel_capacity={"pl*": 3})
    channels = [*[await layer.new_channel() for _ in range(3)], "plain"]
    message = {"type": "x", "n": 1}
    by_host, messages, capacities = layer._map_channel_keys_to_connection(channels, message)
    queue = layer.prefix + channels[0].partition("!")[0] + "!"
    assert message == {"type": "x", "n": 1}, "the caller's is left as it is"
    assert {key: index for index, keys in by_host.items() for key in keys} == {
        queue: layer.consistent_hash(layer.non_local_name(channels[0])),
        f"{layer.prefix}plain": layer.consistent_hash("plain"),
    }
    assert capacities == {queue: 7, f"{layer.prefix}plain": 3}
    assert msgpack.unpackb(messages[queue][12:]) == {**message, "__asgi_channel__": channels[:3]}
    for index, keys in by_host.items():
        arguments = [messages[key] for key in keys]
        await layer.connection(index).eval(SCRIPT, len(keys), *keys, *arguments, time.time(), layer.expiry)
    for channel in channels:
        assert await asyncio.wait_for(layer.receive(channel), WITHIN_S) == message


async def test_faults_projects_03_layers_of_the_queue(make: Make) -> None:
    layer = make(RedisChannelLayer)
    loop = asyncio.get_running_loop()
    assert len(layer._layers) == 0 and loop not in layer._layers
    await layer.group_add("room", "plain")
    (view,) = layer._layers.values()
    assert view is layer._layers[loop] and view.channel_layer is layer
    assert view.get_connection(0) is layer.connection(0) and view._connections == {0: layer.connection(0)}
    async with view._lock:
        assert await view.get_connection(0).zcard(layer._group_key("room")) == 1
    await view.flush()
    assert view._connections == {}
    pool = layer.create_pool(0)
    assert isinstance(pool, redis.asyncio.ConnectionPool) and layer.create_pool(0) is not pool
    assert layer._backup_channel_name("key") == "key$inflight"
    with pytest.raises(TypeError, match="made by the layer"):
        layer._layers[loop] = view


async def test_a_project_wraps_the_blocking_read_of_the_queue(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many do since redis-py 8, whose time limit ends the reads of channels_redis."""
    original = RedisChannelLayer._brpop_with_clean

    async def patient(layer: Any, index: int, channel: str, timeout: float) -> bytes | None:
        try:
            return await original(layer, index, channel, timeout)
        except redis.exceptions.TimeoutError:
            return None

    monkeypatch.setattr(RedisChannelLayer, "_brpop_with_clean", patient)
    layer = make(RedisChannelLayer)
    await layer.send("jobs", {"type": "job", "n": 1})
    await layer.send("jobs", {"type": "job", "n": 2})
    key = f"{layer.prefix}jobs"
    for _ in range(2):  # it is in flight, and comes first again
        popped = await layer._brpop_with_clean(0, key, 1)
        assert layer.deserialize(popped) == {"type": "job", "n": 1}
    assert await layer.connection(0).ttl(key) > 0, "it is not kept for ever"
    await layer.connection(0).delete(key)
    assert layer.deserialize(await layer._brpop_with_clean(0, key, 1)) == {"type": "job", "n": 1}
    await layer.connection(0).delete(layer._backup_channel_name(key))
    assert await layer._brpop_with_clean(0, key, 0.01) is None


async def test_faults_projects_03_shards_of_pubsub(make: Make) -> None:
    """A product that keeps its own keys by the layer's connections."""
    layer = make(RedisPubSubChannelLayer, 3)
    shards = layer._shards
    assert [shard.host for shard in shards] == layer.hosts and layer._shards[1] is shards[1]
    shard = shards[_consistent_hash("key", len(shards))]
    assert shard is layer._get_shard("key") and shard._redis is None
    async with shard._lock:
        shard._ensure_redis()
    client: Any = shard._redis
    assert client is not None
    await client.set(f"{layer.prefix}key", "value", ex=60)
    assert await client.get(f"{layer.prefix}key") == b"value"
    channel = await layer.new_channel()
    assert channel in layer._get_shard(channel)._subscribed_to
    await shard.subscribe("own")
    assert "own" in layer.channels
    await shard.unsubscribe("own")
    assert "own" not in layer.channels
    await layer._get_shard(channel).publish(channel, layer.serialize({"type": "x"}))
    assert await asyncio.wait_for(layer.receive(channel), WITHIN_S) == {"type": "x"}


async def test_faults_projects_03_the_loop_layer_of_pubsub(make: Make) -> None:
    layer = make(RedisPubSubChannelLayer)
    inner = layer._get_layer()
    assert inner is layer._get_layer() is layer._layers[asyncio.get_running_loop()]
    assert inner.channel_layer == layer and inner.prefix == layer.prefix and inner.extensions
    channel = await inner.new_channel()
    await inner.group_add("room", channel)
    topic = inner._get_group_channel_name("room")
    assert topic == layer._get_group_channel_name("room") == f"{layer.prefix}__group__room"
    assert list(inner.channels) == [channel] and inner.groups == {topic: {channel}}
    await inner.group_send("room", {"type": "x"})
    assert await asyncio.wait_for(inner.receive(channel), WITHIN_S) == {"type": "x"}
    other = f"{layer.prefix}other"
    await inner._subscribe_to_channel(other)
    assert other in layer.channels
    await inner.flush()
    assert inner.channels == {} and inner.groups == {} and inner._shards[0]._redis is None


async def test_an_override_may_call_the_loop_layer(redis_url: str) -> None:
    """With channels_redis it has to: there ``super()`` has none of these methods."""
    calls: list[str] = []

    class Counting(RedisPubSubChannelLayer):
        async def group_discard(self, group: str, channel: str) -> None:
            calls.append("discard")
            await self._get_layer().group_discard(group, channel)

        async def group_send(self, group: str, message: Any, exclude: Any = ()) -> Any:
            calls.append("send")
            return await self._get_layer().group_send(group, message)

    layer = Counting(hosts=[redis_url], prefix=unique_prefix())
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "x"})
    assert await asyncio.wait_for(layer.receive(channel), WITHIN_S) == {"type": "x"}
    await layer.group_discard("room", channel)
    assert calls == ["send", "discard"] and layer.groups == {}
    await layer.close_pools()


def test_faults_projects_03_layers_are_let_go_with_their_loop(make_nothing: None, redis_url: str) -> None:
    layer = RedisPubSubChannelLayer(hosts=[redis_url], prefix=unique_prefix())
    loop = asyncio.new_event_loop()
    loop.run_until_complete(layer.new_channel())
    assert list(layer._layers) == [loop]
    _wrap_close(layer, loop)  # as some tests do, for a layer in place of upstream's
    loop.close()
    assert not layer._layers


@pytest.fixture
def make_nothing() -> None:
    """So that this test has no event loop of its own."""


async def test_faults_projects_03_clean_expired_of_the_memory_layer() -> None:
    layer = InMemoryChannelLayer(expiry=0.05, group_expiry=60)
    await layer.group_add("room", "unread")
    await layer.group_add("room", "read")
    await layer.group_add("old", "unread")
    inbox = inbox_of(asyncio.get_running_loop())
    layer.attach("read", inbox)
    await layer.group_add("old", "read")
    await layer.send("unread", {"type": "x"})
    layer._clean_expired()
    assert set(layer.groups["room"]) == {"unread", "read"} and "unread" in layer.channels
    await asyncio.sleep(0.06)
    layer._clean_expired()
    assert set(layer.groups["room"]) == {"read"} and "unread" not in layer.channels
    layer.groups["room"]["listed"] = layer.groups["room"]["read"] = time.time() - 61
    layer._clean_expired()
    assert set(layer.groups["room"]) == {"read"}, "who is read is there for as long as that lasts"


async def test_faults_projects_03_remove_from_groups_of_the_memory_layer() -> None:
    layer = InMemoryChannelLayer()
    inbox = inbox_of(asyncio.get_running_loop())
    layer.attach("read", inbox)
    for group in ("one", "two"):
        for channel in ("read", "unread"):
            await layer.group_add(group, channel)
    layer._remove_from_groups("read")
    assert {group: set(members) for group, members in layer.groups.items()} == {
        "one": {"unread"},
        "two": {"unread"},
    }
    assert not inbox.groups
    layer._remove_from_groups("unread")
    assert layer.groups == {}


@pytest.mark.parametrize("waiting", [1, 2, 3])
async def test_how_many_wait_in_the_queue_layer(make: Make, waiting: int) -> None:
    """Products take it for the number of those who are online."""
    layer = make(RedisChannelLayer)
    consumers = [await layer.new_channel() for _ in range(waiting)]
    for channel in consumers:
        layer.attach(channel, inbox_of(asyncio.get_running_loop()))
    callers = [asyncio.ensure_future(layer.receive(await layer.new_channel())) for _ in range(waiting)]
    await until_async(lambda: layer.receive_count == 2 * waiting, "all wait")
    await layer.detach(consumers[0])
    callers[0].cancel()
    await asyncio.wait(callers[:1])
    assert layer.receive_count == 2 * waiting - 2
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    for channel in consumers[1:]:
        await layer.detach(channel)
    assert layer.receive_count == 0


async def test_the_buffer_of_the_queue_layer(make: Make) -> None:
    """Tests clear it, and products drop in it what a consumer has left."""
    layer = make(RedisChannelLayer)
    channels = [await layer.new_channel() for _ in range(4)]
    for channel in channels[:3]:
        for number in range(2):
            await layer.send(channel, {"type": "x", "n": number})
    reading = asyncio.ensure_future(layer.receive(channels[3]))
    await until_async(lambda: len(layer.receive_buffer) == 3, "all have come")
    assert layer.receive_buffer[channels[3]].qsize() == 0 and layer.receive_buffer[channels[0]].qsize() == 2
    layer.receive_buffer.pop(channels[0], "")
    assert layer.receive_buffer.pop(channels[0], "") == ""
    del layer.receive_buffer[channels[1]]
    assert set(layer.receive_buffer) == {channels[2]}
    layer.receive_buffer.clear()
    for channel in channels:
        await layer.send(channel, {"type": "x", "n": "new"})
    for channel in channels[:3]:
        assert await asyncio.wait_for(layer.receive(channel), WITHIN_S) == {"type": "x", "n": "new"}
    assert await asyncio.wait_for(reading, WITHIN_S) == {"type": "x", "n": "new"}


@pytest.mark.parametrize("name", ["create_pool", "connection"])
def test_an_override_that_is_not_called_is_told(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Their hosts would be reached without the password, or the TLS, that it sets."""
    type("OwnPools", (RedisChannelLayer,), {name: lambda self, index: None})
    [record] = caplog.records
    assert f"OwnPools overrides {name}()" in record.getMessage()
    assert "CONFIG['hosts']" in record.getMessage()
    type("OtherLayer", (RedisChannelLayer,), {"extra": 1})
    assert len(caplog.records) == 1


def test_an_override_of_a_mixin_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Was: only what stood in the class itself was told."""
    mixin = type("Pools", (), {"create_pool": lambda self, index: None})
    ours = type("OwnPools", (mixin, RedisChannelLayer), {})
    type("SameAgain", (ours,), {})
    assert ["OwnPools overrides create_pool()" in line for line in caplog.messages] == [True]
