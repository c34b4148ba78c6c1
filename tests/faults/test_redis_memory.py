"""Redis has too little memory: it refuses to write, or it forgets what it likes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from typing import Any

import pytest
import redis

from compat.engine.inbox import Inbox
from compat.engine.parts import inbox_of
from compat.exceptions import LayerUnavailable
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from tests.faults.rooms import WITHIN_S, talking
from tests.support.layers import close
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

MEMBERS = 10
ROOM = 1_500_000
"""Bytes that Redis may use more than it does at the beginning."""


class Foreign(threading.Thread):
    """Another user of the same Redis, who fills it and goes on."""

    def __init__(self, url: str) -> None:
        super().__init__(name="foreign", daemon=True)
        self.wire = redis.Redis.from_url(url)
        self.ends = threading.Event()
        self.refused = 0

    def run(self) -> None:
        turn = 0
        while not self.ends.is_set():
            with self.wire.pipeline(transaction=False) as pipe:
                for number in range(200):
                    pipe.set(f"foreign:{turn}:{number}", b"x" * 1000)
                self.refused += sum(
                    isinstance(reply, Exception) for reply in pipe.execute(raise_on_error=False)
                )
            turn += 1

    def __enter__(self) -> Foreign:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.ends.set()
        self.join(WITHIN_S)
        for name in self.wire.scan_iter("foreign:*", count=1000):
            self.wire.delete(name)
        self.wire.close()


def limit_memory(wire: Any, policy: str) -> None:
    wire.config_set("maxmemory-policy", policy)
    wire.config_set("maxmemory", wire.info("memory")["used_memory"] + ROOM)


async def members(layer: Any) -> list[Inbox]:
    inboxes = []
    for _ in range(MEMBERS):
        channel = await layer.new_channel()
        inbox = inbox_of(asyncio.get_running_loop())
        layer.attach(channel, inbox)
        await layer.group_add("room", channel)
        inboxes.append(inbox)
    return inboxes


def numbers(inbox: Inbox) -> list[int]:
    return [message["n"] for _, message, _ in inbox.events]


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random"])
async def test_what_was_evicted_comes_back(redis_server: RedisServer, policy: str) -> None:
    """Groups and leases are forgotten again and again; within the lease all members are back."""
    layer, sender = (RedisChannelLayer(hosts=[redis_server.url], lease=1, capacity=100_000) for _ in range(2))
    inboxes = await members(layer)
    with redis.Redis.from_url(redis_server.url) as wire:
        await until_async(lambda: wire.exists("asgi:leases"), "it has a lease")
        limit_memory(wire, policy)
        with Foreign(redis_server.url):
            for _ in range(3):
                await until_async(
                    lambda: not wire.exists("asgi:group:room"), "it is forgotten", deadline_s=40
                )
                await until_async(
                    lambda: wire.zcard("asgi:group:room") == MEMBERS, "it is back", deadline_s=40
                )
        wire.config_set("maxmemory", 0)
        await until_async(lambda: wire.zcard("asgi:group:room") == MEMBERS, "all are back", deadline_s=40)
        await until_async(lambda: wire.exists("asgi:leases"), "so is the lease", deadline_s=40)
    sent, begun = 1, time.monotonic()
    while (await sender.group_send("room", {"type": "x", "n": sent})) != (MEMBERS, 0):
        # A process that waits for its processor has no lease meanwhile: it is one of a second.
        assert time.monotonic() < begun + 40, "all are reached again"
        await asyncio.sleep(0)
        sent += 1
    for inbox in inboxes:
        await until_async(lambda: numbers(inbox)[-1:] == [sent], "it has come")  # noqa: B023 - awaited here
    # One may just have begun: this process was held up for its lease of a second.
    await until_async(
        lambda: all(gap.ended is not None for gap in layer.metrics.gaps), "what was noticed is over"
    )
    await close(layer, sender)


async def test_sending_while_redis_forgets(redis_server: RedisServer) -> None:
    """Nobody gets a message twice or out of order, and the sender is told how many members it reached."""
    layer, sender = (RedisChannelLayer(hosts=[redis_server.url], lease=1, capacity=100_000) for _ in range(2))
    inboxes = await members(layer)
    reached: dict[int, int] = {}
    with redis.Redis.from_url(redis_server.url) as wire:
        limit_memory(wire, "allkeys-random")
        with Foreign(redis_server.url):
            while wire.info("stats")["evicted_keys"] < 3000 or len(reached) < 300:
                number = len(reached)
                reached[number] = (await sender.group_send("room", {"type": "x", "n": number})).delivered or 0
        wire.config_set("maxmemory", 0)
        await until_async(lambda: wire.zcard("asgi:group:room") == MEMBERS, "all are back", deadline_s=40)
    number = len(reached)
    while reached.get(number, 0) < MEMBERS:  # on a busy machine a lease of one second may run out
        number = len(reached)
        reached[number] = (await sender.group_send("room", {"type": "x", "n": number})).delivered or 0
        await asyncio.sleep(0)
    await until_async(lambda: all(number in numbers(inbox) for inbox in inboxes), "all are reached again")
    counts: Counter[int] = Counter()
    for inbox in inboxes:
        got = numbers(inbox)
        assert got == sorted(set(got)), "each once, in order"
        counts.update(got)
    assert all(counts[number] <= delivered for number, delivered in reached.items())
    assert reached[number] == counts[number] == MEMBERS
    await close(layer, sender)


@pytest.mark.parametrize("cls", [RedisChannelLayer, RedisPubSubChannelLayer])
async def test_a_full_redis_that_forgets_nothing(redis_server: RedisServer, cls: Any) -> None:
    """Senders are told, and what they were not told arrives."""
    reader, sender = (cls(hosts=[redis_server.url], capacity=100_000) for _ in range(2))
    with redis.Redis.from_url(redis_server.url) as wire:
        async with talking(reader, sender, members=MEMBERS) as room:
            limit_memory(wire, "noeviction")
            with Foreign(redis_server.url) as foreign:
                await until_async(lambda: foreign.refused > 1000, "it is full", deadline_s=40)
                if cls is RedisChannelLayer:  # publishing takes no memory
                    await until_async(lambda: len(room.refused) > 20, "sends are refused")
        assert room.account() == [], "nothing that was sent is lost"
    assert all("out of memory; raise its maxmemory" in str(error) for error in room.refused.values())
    assert not reader.metrics.gaps and not reader.metrics.dropped
    await close(reader, sender)


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
