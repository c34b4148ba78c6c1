"""Layers on the shared Redis, each with a prefix of its own, and a client to look at what they wrote.

A test marked `own_redis` gets them on a server of its own: it counts what others would add to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
import redis.asyncio

from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from tests.support.layers import unique_prefix
from tests.support.redis_server import RedisServer


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "own_redis: a Redis that has no other clients than this test's")


@pytest.fixture
def layers_url(request: pytest.FixtureRequest, redis_url: str) -> str:
    """Where the layers of the test are."""
    if request.node.get_closest_marker("own_redis") is None:
        return redis_url
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


@pytest_asyncio.fixture
async def make_queue(layers_url: str) -> AsyncIterator[Callable[..., RedisChannelLayer]]:
    """Makes queue layers."""
    made: list[RedisChannelLayer] = []

    def factory(**options: Any) -> RedisChannelLayer:
        made.append(RedisChannelLayer(**{"hosts": [layers_url], "prefix": unique_prefix(), **options}))
        return made[-1]

    yield factory
    for layer in made:
        await layer.flush()


@pytest_asyncio.fixture
async def make_pubsub(layers_url: str) -> AsyncIterator[Callable[..., RedisPubSubChannelLayer]]:
    """Makes pub/sub layers."""
    made: list[RedisPubSubChannelLayer] = []

    def factory(**options: Any) -> RedisPubSubChannelLayer:
        made.append(RedisPubSubChannelLayer(**{"hosts": [layers_url], "prefix": unique_prefix(), **options}))
        return made[-1]

    yield factory
    for layer in made:
        await layer.flush()


@pytest_asyncio.fixture
async def wire(layers_url: str) -> AsyncIterator[Any]:
    """A plain client of the Redis that the layers use."""
    client = redis.asyncio.Redis.from_url(layers_url)
    yield client
    await client.aclose()
