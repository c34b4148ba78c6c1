"""Names that code and tests written for channels_redis import from its utils."""

from __future__ import annotations

import asyncio

import redis.asyncio

from compat.layers.redis import utils


def test_the_choice_of_a_host() -> None:
    assert utils._consistent_hash("key_one", 2) == 1
    assert utils.decode_hosts([("h", 1)]) == [{"host": "h", "port": 1}]


async def test_pools_and_clients(redis_url: str) -> None:
    client = redis.asyncio.Redis(connection_pool=utils.create_pool({"address": redis_url}))
    assert await client.ping()
    await utils._close_redis(client)


def test_the_end_of_a_loop() -> None:
    flushed: list[str] = []

    class Layer:
        async def flush(self) -> None:
            flushed.append("flushed")

    class Proxy:
        _layers: dict[asyncio.AbstractEventLoop, Layer]

    proxy, loop = Proxy(), asyncio.new_event_loop()
    proxy._layers = {loop: Layer()}
    utils._wrap_close(proxy, loop)
    loop.close()
    assert flushed == ["flushed"] and not proxy._layers
