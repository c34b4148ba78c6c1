"""What is lost in Redis is counted; what is not old is not lost, whatever the clocks of the senders say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer, queue_sending
from compat.layers.redis.scripts import CLEAN
from tests.support.layers import close, member, unique_prefix
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

Make = Callable[..., Any]
WITHIN_S = 20.0


@pytest_asyncio.fixture
async def make(redis_url: str) -> AsyncIterator[Make]:
    """Makes layers; what they have open is closed at the end."""
    made: list[Any] = []

    def factory(cls: Any = RedisChannelLayer, **options: Any) -> Any:
        made.append(cls(**{"hosts": [redis_url], "prefix": unique_prefix(), **options}))
        return made[-1]

    yield factory
    await close(*made)


@pytest.mark.parametrize("how", [{}, {"channel_capacity": {"none": 1}}], ids=["one script", "two steps"])
@pytest.mark.parametrize("ahead_s", [120, 2 * 86400, -120, -2 * 86400])
async def test_faults_redis_08_the_clock_of_a_sender_jumps(
    make: Make, monkeypatch: pytest.MonkeyPatch, how: Any, ahead_s: float
) -> None:
    """Jobs that wait and members of groups are as old as the clock of Redis says, and one host is wrong."""
    right = make(**how)
    wrong = make(**how, prefix=right.prefix)
    inbox = await member(right, "room")
    await right.group_add("workers", "jobs")
    for number in range(5):
        await right.send("jobs", {"type": "job", "n": number})
    with monkeypatch.context() as jumped:
        jumped.setattr(queue_sending, "wall", lambda: time.time() + ahead_s)
        await wrong.send("jobs", {"type": "job", "n": 5})
        await wrong.group_send("workers", {"type": "job", "n": 6})
        assert await wrong.group_send("room", {"type": "x"}) == (1, 0)
    for number in (7, 8):  # the clock has been corrected
        await wrong.send("jobs", {"type": "job", "n": number})
    await right.send("jobs", {"type": "job", "n": 9})
    got = [(await asyncio.wait_for(right.receive("jobs"), WITHIN_S))["n"] for _ in range(10)]
    assert sorted(got) == list(range(10))
    assert [number for number in got if number in range(5)] == list(range(5)), "in their order"
    assert [number for number in got if number not in (*range(5), 9)] == [5, 6, 7, 8], "of one sender too"
    await until_async(lambda: inbox.events, "the member has it too")
    assert right.metrics.dropped == wrong.metrics.dropped == {}


@pytest.mark.parametrize("how", ["send", "one script", "two steps"])
async def test_faults_redis_09_what_expires_in_redis_is_counted(make: Make, how: str) -> None:
    """By the send that finds it, as long as messages are sent to the channel at all."""
    layer = make(expiry=1, **({"channel_capacity": {"none": 1}} if how == "two steps" else {}))
    await layer.group_add("workers", "jobs")
    sent = 0

    async def send() -> None:
        if how == "send":
            await layer.send("jobs", {"type": "job"})
        else:
            assert (await layer.group_send("workers", {"type": "job"})).delivered == 1

    deadline = time.monotonic() + WITHIN_S
    while layer.metrics.dropped.get("expired", 0) < 3:
        assert time.monotonic() < deadline, "three have expired"
        await send()
        sent += 1
        await asyncio.sleep(0.1)
    assert layer.metrics.dropped["expired"] < sent


async def test_faults_redis_09_a_publish_that_reaches_nobody(make: Make) -> None:
    layer = make(RedisPubSubChannelLayer)
    assert await layer.group_send("nobody", {"type": "x"}) == (0, 0)
    inbox = await member(layer, "room")
    await layer.group_send("room", {"type": "x"})
    await until_async(lambda: inbox.events, "somebody hears it")
    other = make(RedisPubSubChannelLayer, prefix=layer.prefix)
    assert await other.group_send("room", {"type": "x"}) == (None, 0), "it knows that one process has it"
    assert other.metrics.dropped == {}
    await other.send("specific.gone", {"type": "x"})
    assert other.metrics.dropped == {"gone": 1}


@pytest.mark.parametrize("lost", ["group:room", "group:other"])
async def test_faults_redis_09_a_group_that_redis_has_forgotten(
    make: Make, redis_server: RedisServer, lost: str
) -> None:
    """Found at the next turn of the lease, announced, and recorded as a gap."""
    layer = make(hosts=[redis_server.url], lease=4, on_disconnect="redis.gone", on_reconnect="redis.back")
    inbox = await member(layer, "room")
    for name in ("other", *(f"room{number}" for number in range(600))):
        await layer.group_add(name, inbox.channel)
    station = layer._stations.all()[0]
    await station.shards.call(0, b"DEL", f"{layer.prefix}:{lost}")

    def told() -> list[str]:
        return [event[1]["type"] for event in inbox.events]

    await until_async(lambda: told() == ["redis.gone", "redis.back"], "the gap is told", deadline_s=WITHIN_S)
    assert await layer.group_send(lost.partition(":")[2], {"type": "x"}) == (1, 0)
    (gap,) = layer.metrics.gaps
    assert gap.ended is not None


async def test_faults_redis_11_a_sweep_in_parts(make: Make, redis_server: RedisServer) -> None:
    """A dead process is taken out of its groups by scripts of which none looks at more than 2,200 members."""
    calls = 0

    def count(data: bytes, to_server: bool) -> bytes:
        nonlocal calls
        calls += data.count(CLEAN.digest) if to_server else 0
        return data

    with Proxy(redis_server.port) as proxy:
        layer = make(hosts=[proxy.url], lease=2)
        await member(layer, "room")
        shards, keys = layer._stations.all()[0].shards, layer.keys
        groups = [f"small{number}" for number in range(300)]
        for group in groups:
            await shards.call(0, b"ZADD", keys.group(group), 9e9, "specific.dead!x", 9e9, "specific.alive!x")
        large = [item for number in range(10_000) for item in (9e9, f"specific.dead!{number}")]
        await shards.call(0, b"ZADD", keys.group("large"), *large, 9e9, "specific.alive!x")
        await shards.call(0, b"SADD", keys.joined("dead"), "large", *groups)
        await shards.call(0, b"HSET", keys.census("large"), "specific.dead!", "10000:1")
        proxy.before = count
        await shards.call(0, b"ZADD", keys.leases, 1, "dead")

        deadline = time.monotonic() + WITHIN_S
        while await shards.call(0, b"ZSCORE", keys.leases, "dead") is not None:
            assert time.monotonic() < deadline, "it has been removed"
            await asyncio.sleep(0.05)
        proxy.before = None
        for group in ("large", *groups):
            assert await shards.call(0, b"ZRANGE", keys.group(group), 0, -1) == [b"specific.alive!x"]
        assert not await shards.call(0, b"EXISTS", keys.joined("dead"), keys.census("large"))
    assert 5 + 3 <= calls < 30, "a part of the large one each, and dozens of the small ones"


async def test_a_process_that_comes_back_is_not_swept_away(make: Make) -> None:
    """It was believed to be dead, and has entered its members again while others clean up."""
    layer = make()
    inbox = await member(layer, "room")
    station = layer._stations.all()[0]
    membership, lease = station._memberships[0], station.client_prefix
    await membership.leases.clean(lease)
    assert await layer.group_send("room", {"type": "x"}) == (1, 0)
    await until_async(lambda: inbox.events, "it still is a member")
