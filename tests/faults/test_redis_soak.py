"""What must hold over time or in numbers: idle connections, order, several hosts, nothing that grows."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import redis

from compat.engine.inbox import Inbox
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from tests.support.footprint import Footprint, footprint
from tests.support.layers import close, databases, member
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

WITHIN_S = 20.0
BOTH = pytest.mark.parametrize("cls", [RedisChannelLayer, RedisPubSubChannelLayer])
Make = Callable[..., Any]


async def arrived(inbox: Inbox, count: int) -> None:
    await until_async(lambda: len(inbox.events) >= count, f"{count} have come", deadline_s=WITHIN_S)


async def _not_of_before(layer: Any) -> Any:
    """The next message of the plain channel that is none of those that opened the connections."""
    while (message := await layer.receive("plain"))["type"] == "warm up":
        pass
    return message


@pytest.mark.slow
@pytest.mark.every_redis_py
@BOTH
async def test_idle_for_fifteen_seconds(cls: Make, redis_server: RedisServer) -> None:
    """redis-py 8 ends reads after 5 s by default; no connection of ours is ended, or opened again."""
    layer = cls(hosts=[redis_server.url])
    inbox = await member(layer, "room")
    waiting = asyncio.ensure_future(layer.receive("plain"))
    while not waiting.done():  # until every connection is open
        await layer.send("plain", {"type": "warm up"})
        await asyncio.wait((waiting,), timeout=1)
    waiting = asyncio.ensure_future(_not_of_before(layer))
    await layer.group_send("room", {"type": "x"})
    await inbox.get()
    with redis.Redis.from_url(redis_server.url) as wire:
        before = wire.info("stats")["total_connections_received"]
        await asyncio.sleep(15)
        await layer.group_send("room", {"type": "y"})
        assert (await asyncio.wait_for(inbox.get(), WITHIN_S))["type"] == "y"
        await layer.send("plain", {"type": "z"})
        assert await asyncio.wait_for(waiting, WITHIN_S) == {"type": "z"}
        assert wire.info("stats")["total_connections_received"] == before
    assert not layer.metrics.gaps
    await close(layer)


@BOTH
async def test_a_thousand_direct_messages_over_three_hosts(cls: Make, redis_server: RedisServer) -> None:
    hosts = databases(redis_server.url, 3)
    reader, sender = cls(hosts=hosts, capacity=2000), cls(hosts=hosts, capacity=2000)
    channels = [await reader.new_channel(f"kind{number}.") for number in range(10)]
    receiving = [asyncio.ensure_future(_take(reader, channel, 100)) for channel in channels]
    for number in range(1000):
        await sender.send(channels[number % 10], {"type": "x", "n": number})
    for first, taking in enumerate(receiving):
        assert await asyncio.wait_for(taking, WITHIN_S) == list(range(first, 1000, 10))
    await close(reader, sender)


async def test_a_thousand_messages_for_plain_channels_over_three_hosts(redis_server: RedisServer) -> None:
    hosts = databases(redis_server.url, 3)
    reader, sender = RedisChannelLayer(hosts=hosts), RedisChannelLayer(hosts=hosts, capacity=1000)
    taking = asyncio.ensure_future(_take(reader, "tasks", 1000))
    for number in range(1000):
        await sender.send("tasks", {"type": "x", "n": number})
    assert sorted(await asyncio.wait_for(taking, WITHIN_S)) == list(range(1000))
    await close(reader, sender)


async def _take(layer: Any, channel: str, count: int) -> list[int]:
    return [(await layer.receive(channel))["n"] for _ in range(count)]


@BOTH
async def test_ten_thousand_numbered_messages(cls: Make, redis_server: RedisServer) -> None:
    """In order at each receiver, in two processes' worth of layers, sent many at a time."""
    one, two = cls(hosts=[redis_server.url], capacity=10_000), cls(hosts=[redis_server.url], capacity=10_000)
    inboxes = [await member(layer, "room") for layer in (one, two) for _ in range(3)]
    for start in range(0, 10_000, 100):
        await asyncio.gather(
            *(one.group_send("room", {"type": "x", "n": n}) for n in range(start, start + 100))
        )
    for inbox in inboxes:
        await arrived(inbox, 10_000)
        assert [message["n"] for _, message, _ in inbox.events] == list(range(10_000))
    await close(one, two)


@BOTH
async def test_others_come_and_go(cls: Make, redis_server: RedisServer) -> None:
    """Who stays gets every number while fifty others join, leave and disconnect at random."""
    layer, other = (cls(hosts=[redis_server.url], capacity=10_000) for _ in range(2))
    dice = random.Random(3)
    staying = [await member(layer, "room") for _ in range(10)]
    going = True

    async def wander() -> None:
        while going:
            inbox = await member(layer, "room")
            for _ in range(dice.randrange(3)):
                await asyncio.sleep(0)
            if dice.random() < 0.5:
                await layer.group_discard("room", inbox.channel)
            await layer.detach(inbox.channel)

    wanderers = [asyncio.ensure_future(wander()) for _ in range(50)]
    for number in range(300):
        await other.group_send("room", {"type": "x", "n": number})
    going = False
    await asyncio.wait(wanderers)
    for inbox in staying:
        await arrived(inbox, 300)
        assert [message["n"] for _, message, _ in inbox.events] == list(range(300))
    await close(layer, other)


@pytest.mark.slow
@BOTH
async def test_ten_thousand_come_and_go(cls: Make, redis_server: RedisServer) -> None:
    """Connect, join, talk, leave, disconnect: memory, descriptors, objects and keys are where they were."""
    layer = cls(hosts=[redis_server.url], expiry=1)

    async def cycles(count: int) -> None:
        for number in range(count):
            inbox = await member(layer, "room", f"room{number % 100}")
            if number % 10 == 0:
                await layer.group_send("room", {"type": "x"})
                await layer.send(inbox.channel, {"type": "x"})
            if number % 2:
                await layer.group_discard("room", inbox.channel)
            await layer.detach(inbox.channel)

    async def settled() -> Footprint:
        await asyncio.sleep(1.5)
        await cycles(20)  # which sweep what is past its time
        await asyncio.sleep(1.5)
        return footprint()

    await cycles(2000)
    memory, descriptors, objects = await settled()
    growth: list[int] = []
    while not growth or (growth[-1] >= 4 << 20 and len(growth) < 3):
        before = memory
        await cycles(10_000)
        memory, descriptors_after, objects_after = await settled()
        assert descriptors_after <= descriptors, "fewer: those of an earlier test have been closed"
        assert objects_after - objects < 2000
        growth.append(memory - before)
    assert growth[-1] < 4 << 20, "the heap of a long run may grow once, and a leak grows each time"
    with redis.Redis.from_url(redis_server.url) as wire:
        await until_async(lambda: wire.dbsize() == 0, "no key is left", deadline_s=WITHIN_S)
        assert wire.pubsub_channels() == []
    await close(layer)


@pytest.mark.slow
@BOTH
async def test_a_reader_is_cancelled_anywhere(cls: Make, redis_server: RedisServer) -> None:
    """Property: however receives are cancelled, every message is received once and in order."""
    layer, other = (cls(hosts=[redis_server.url], capacity=10_000) for _ in range(2))
    channel = await layer.new_channel()
    names = [channel, "plain"] if cls is RedisChannelLayer else [channel]
    dice = random.Random(7)
    for name in names:
        got: list[int] = []
        sent = 0
        while sent < 500:
            receiving = asyncio.ensure_future(layer.receive(name))
            burst = dice.randrange(4)
            sends = [other.send(name, {"type": "x", "n": sent + number}) for number in range(burst)]
            sent += burst
            sending = asyncio.gather(*sends)
            for _ in range(dice.randrange(30)):
                await asyncio.sleep(0)
            if dice.random() < 0.5:
                await asyncio.sleep(dice.random() / 500)
            receiving.cancel()
            await sending
            try:
                got.append((await receiving)["n"])
            except asyncio.CancelledError:
                pass
        while len(got) < sent:
            got.append((await asyncio.wait_for(layer.receive(name), WITHIN_S))["n"])
        counts = Counter(got)
        assert sorted(counts) == list(range(sent)) and max(counts.values()) == 1
        if name == channel:
            assert got == sorted(got)
    await close(layer, other)
