"""Redis answers, and has forgotten what the queue layer keeps in it: what is lost by that lies in a gap.

The connections stay, so that nothing but a look at Redis can tell.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis

from compat.layers.redis import RedisChannelLayer
from compat.layers.redis import membership as membership_module
from tests.faults.rooms import talking
from tests.support.layers import close, member
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

LEASE_S = 4
"""A process looks four times in a lease, and writes all its members once in it."""

Make = Callable[..., RedisChannelLayer]


@pytest_asyncio.fixture
async def make(redis_server: RedisServer) -> AsyncIterator[Make]:
    made: list[RedisChannelLayer] = []

    def factory(**options: Any) -> RedisChannelLayer:
        made.append(RedisChannelLayer(**{"hosts": [redis_server.url], "capacity": 100_000, **options}))
        return made[-1]

    yield factory
    await close(*made)


def lease_of(wire: Any, layer: RedisChannelLayer) -> float:
    """When the lease of the layer ends; 0 if it has none."""
    (lease,) = layer.client_prefixes()
    return wire.zscore("asgi:leases", lease) or 0.0


def is_over(layer: RedisChannelLayer) -> bool:
    return bool(layer.metrics.gaps) and not layer.metrics.is_away()


FORGOTTEN = [
    "all",
    "all that the layer has",
    "all, in a restart",
    "a group",
    "a group, and another process joins it",
    "a group, and another member joins it",
    "one member",
]


@pytest.mark.parametrize("what", FORGOTTEN)
async def test_what_is_lost_is_in_a_gap(
    make: Make, redis_server: RedisServer, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    """From when Redis was last seen to have it; and the log names the cause."""
    caplog.set_level(logging.INFO, "compat.layers")
    reader, sender, other = make(lease=LEASE_S), make(), make()
    with redis.Redis.from_url(redis_server.url) as wire:
        async with talking(reader, sender, members=3) as room:
            await until_async(lambda: lease_of(wire, reader), "it has a lease")
            if what == "all":
                wire.flushall()
            elif what == "all that the layer has":
                await other.flush()
            elif what == "all, in a restart":
                await asyncio.to_thread(redis_server.restart)
            elif what == "one member":
                wire.zrem("asgi:group:room", room.inboxes[1].channel)
            else:
                wire.delete("asgi:group:room")
                if "joins" in what:
                    await member(other if "process" in what else reader, "room")
            await until_async(lambda: is_over(reader), "it is found, and mended")
        # In a restart it is chance whether the sender or the reader is back first.
        assert room.account() or what == "all, in a restart", "there is a loss to look at"
    (gap,) = reader.metrics.gaps
    assert gap.ended is not None and time.time() - gap.began < 60
    assert "it has lost keys of the layer" in caplog.text
    assert "held up" not in caplog.text


async def test_a_replica_of_an_empty_redis_becomes_the_master_again(
    make: Make, redis_server: RedisServer, tmp_path: Path
) -> None:
    """The reader is cut off, and the groups are looked at when it is back: a lease is long.

    It comes back only when something has been sent that it has missed.
    """
    (tmp_path / "empty").mkdir()
    empty = RedisServer(tmp_path / "empty")
    try:
        with redis.Redis.from_url(redis_server.url) as wire, Proxy(redis_server.port) as proxy:
            reader, sender = make(hosts=[proxy.url], lease=600), make()
            async with talking(reader, sender, members=3) as room:
                await until_async(lambda: lease_of(wire, reader), "it has a lease")
                proxy.refuse()
                wire.replicaof("127.0.0.1", str(empty.port))
                await until_async(lambda: not wire.exists("asgi:group:room"), "it has what the other one has")
                last = max(room.sent)
                wire.replicaof("NO", "ONE")
                await until_async(lambda: max(room.sent) > last, "sends are accepted again")
                proxy.accept()
                await room.until_sent(20)
        assert room.account()
    finally:
        empty.stop()


async def test_a_member_that_expires_is_not_missing(
    make: Make, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the clock of Redis first: that of the process is behind."""
    layer, sender = make(group_expiry=3, lease=LEASE_S), make(group_expiry=3)
    channel = await layer.new_channel()
    with monkeypatch.context() as behind:
        behind.setattr(membership_module, "wall", lambda: time.time() - 2)
        await layer.group_add("room", channel)
        (membership,) = layer._stations.all()[0]._memberships.values()

        async def send_until(gone: Callable[[], bool]) -> None:
            while not gone():
                await sender.group_send("room", {"type": "x"})
                await asyncio.sleep(0.01)

        await asyncio.wait_for(send_until(lambda: not membership.groups), 20)
    assert not layer.metrics.gaps
