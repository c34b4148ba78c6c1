"""Groups after a failover: the new master does not know the last changes of the old one."""

from __future__ import annotations

import asyncio
from typing import Any

import redis

from compat.engine.parts import inbox_of
from compat.layers.redis import RedisChannelLayer
from tests.faults.rooms import QUICK
from tests.support.layers import close
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async


async def test_members_that_left_just_before_a_failover(redis_server: RedisServer) -> None:
    layer = RedisChannelLayer(hosts=[redis_server.url + QUICK])
    channels: list[str] = []
    for _ in range(4):
        channel = await layer.new_channel()
        layer.attach(channel, inbox_of(asyncio.get_running_loop()))
        for group in ("room", "left"):
            await layer.group_add(group, channel)
        channels.append(channel)
    wire: Any
    with redis.Redis.from_url(redis_server.url) as wire:
        wire.save()  # what is there after the restart
    for channel in channels:
        await layer.group_discard("left", channel)
    await layer.group_discard("room", channels[0])
    await layer.detach(channels[1])
    await layer.group_discard("room", channels[2])
    await layer.group_add("room", channels[2])
    await asyncio.to_thread(redis_server.restart)
    staying = sorted(channel.encode() for channel in channels[2:])
    with redis.Redis.from_url(redis_server.url) as wire:
        await until_async(lambda: sorted(wire.zrange("asgi:group:room", 0, -1)) == staying, "they have left")
        await until_async(lambda: not wire.exists("asgi:group:left"), "all have left this one")
    await close(layer)
