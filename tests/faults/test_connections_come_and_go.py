"""Connections by the thousand, one after another: what the process and Redis have is what they had before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from compat.generic.websocket import AsyncWebsocketConsumer
from compat.layers import InMemoryChannelLayer, channel_layers
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.metrics import snapshot
from compat.testing import WebsocketCommunicator
from tests.support.footprint import Footprint, footprint
from tests.support.layers import close
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

WITHIN_S = 30.0
EXPIRY_S = 2
KEPT_OBJECTS = 200
"""By so many the tracked objects may differ, however many connections there were: pools, caches, timers."""
KEPT_BYTES = 4 << 20
ROUNDS = 3


class Member(AsyncWebsocketConsumer):
    groups = ["everybody"]

    async def connect(self) -> None:
        self.room = self.scope["path"].strip("/")
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.channel_layer.group_send(self.room, {"type": "said", "text": text_data})

    async def said(self, event: Any) -> None:
        await self.send(text_data=event["text"])

    async def disconnect(self, code: int) -> None:
        if code == 1000:  # the room of one who vanishes is left by the layer
            await self.channel_layer.group_discard(self.room, self.channel_name)


def made(kind: str, url: str) -> Any:
    if kind == "memory":
        return InMemoryChannelLayer(expiry=EXPIRY_S)
    if kind == "queue":  # which keeps a lease for a part of its time after the last member has left
        return RedisChannelLayer(hosts=[url], expiry=EXPIRY_S, lease=4)
    return RedisPubSubChannelLayer(hosts=[url], expiry=EXPIRY_S)


@pytest.fixture(params=["memory", "queue", pytest.param("pubsub", marks=pytest.mark.slow)])
async def layer(request: pytest.FixtureRequest, redis_server: RedisServer) -> AsyncIterator[Any]:
    layer = made(request.param, redis_server.url)
    channel_layers.register("default", layer)
    yield layer
    channel_layers.unregister("default")
    if request.param != "memory":
        await close(layer)


async def connections(count: int) -> None:
    """So many come, join, talk and leave, half of them without a good-bye."""
    application = Member.as_asgi()
    for number in range(count):
        client = WebsocketCommunicator(application, f"/room{number % 100}/")
        client.scope["asgi"] = {"version": "3.0"}  # as behind a server
        assert (await client.connect(WITHIN_S))[0]
        await client.send_to(f"number {number}")
        assert await client.receive_from(WITHIN_S) == f"number {number}"
        await client.disconnect(1006 if number % 2 else 1000, timeout=WITHIN_S)


async def returned_to(before: Footprint) -> bool:
    """Until the process is where it was; a layer remembers what has ended until a sweep after its expiry.

    Returns False if it has only more memory, which may be the heap's: then it must not grow again.
    """
    deadline = time.monotonic() + WITHIN_S
    while True:
        await connections(20)
        after = footprint()
        leaves_nothing = (
            after.descriptors <= before.descriptors and after.objects - before.objects < KEPT_OBJECTS
        )
        if leaves_nothing and after.memory - before.memory < KEPT_BYTES:
            return True
        if time.monotonic() > deadline:
            assert leaves_nothing, f"it was {before}, and is {after}"
            return False
        await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    "count", [500, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(400)])]
)
async def test_connections_come_and_go(layer: Any, redis_server: RedisServer, count: int) -> None:
    running = snapshot()["connections"]
    await connections(300)
    await asyncio.sleep(1.5 * EXPIRY_S)  # or the footprint is one with all that a layer remembers for so long
    await connections(20)
    for _ in range(ROUNDS):
        before = footprint()
        await connections(count)
        if await returned_to(before):
            break
    else:
        raise AssertionError(f"the memory grows with each {count} connections, now to {footprint()}")
    now = snapshot()["connections"]
    assert now["current"] == running["current"] and now["total"] - running["total"] >= count
    assert layer.depth() == 0 and layer.metrics.dropped == {}
    assert not getattr(layer, "groups", None) and not getattr(layer, "channels", None)
    with redis.Redis.from_url(redis_server.url) as wire:
        await until_async(lambda: wire.dbsize() == 0, "no key is left", deadline_s=WITHIN_S)
        assert wire.pubsub_channels() == []
