"""Layers on the shared Redis, each with a prefix of its own, and a client to look at what they wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest_asyncio
import redis.asyncio

from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from tests.support.layers import unique_prefix


@pytest_asyncio.fixture
async def make_queue(redis_url: str) -> AsyncIterator[Callable[..., RedisChannelLayer]]:
    """Makes queue layers on the shared Redis."""
    made: list[RedisChannelLayer] = []

    def factory(**options: Any) -> RedisChannelLayer:
        made.append(RedisChannelLayer(**{"hosts": [redis_url], "prefix": unique_prefix(), **options}))
        return made[-1]

    yield factory
    for layer in made:
        await layer.flush()


@pytest_asyncio.fixture
async def make_pubsub(redis_url: str) -> AsyncIterator[Callable[..., RedisPubSubChannelLayer]]:
    """Makes pub/sub layers on the shared Redis."""
    made: list[RedisPubSubChannelLayer] = []

    def factory(**options: Any) -> RedisPubSubChannelLayer:
        made.append(RedisPubSubChannelLayer(**{"hosts": [redis_url], "prefix": unique_prefix(), **options}))
        return made[-1]

    yield factory
    for layer in made:
        await layer.flush()


@pytest_asyncio.fixture
async def wire(redis_url: str) -> AsyncIterator[Any]:
    """A plain client of the shared Redis."""
    client = redis.asyncio.Redis.from_url(redis_url)
    yield client
    await client.aclose()
