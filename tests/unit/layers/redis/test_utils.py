"""Names that code and tests written for channels_redis import from its utils."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio

from compat.layers.redis import RedisChannelLayer, utils


def test_the_choice_of_a_host() -> None:
    assert utils._consistent_hash("key_one", 2) == 1
    assert utils.decode_hosts([("h", 1)]) == [{"host": "h", "port": 1}]


async def test_pools_and_clients(redis_url: str) -> None:
    client = redis.asyncio.Redis(connection_pool=utils.create_pool({"address": redis_url}))
    assert await client.ping()
    await utils._close_redis(client)


def test_a_pool_has_the_options_of_its_host_alone() -> None:
    """Projects make clients of their own with it, and check in a test what their settings mean."""
    entry = {"host": "localhost", "port": 6380, "socket_timeout": 15, "decode_responses": True}
    for pool in (utils.create_pool(entry), RedisChannelLayer(hosts=[entry]).create_pool(0)):
        kwargs = pool.connection_kwargs
        assert {name: kwargs.get(name) for name in entry} == entry
        assert "socket_connect_timeout" not in kwargs


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


@pytest.mark.parametrize(
    "entry", [{"address": "redis://localhost"}, {"host": "localhost"}, {"path": "/tmp/x"}]
)
def test_a_connection_is_made_without_a_look_at_the_disk(
    entry: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """redis-py 7 and 8 look their own version up in the metadata of the package, for each connection."""
    asked: list[str] = []
    monkeypatch.setattr("importlib.metadata.version", asked.append)
    utils.create_pool(entry).make_connection()  # type: ignore[no-untyped-call]
    assert asked == []
