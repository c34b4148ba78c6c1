"""Several who read from Redis: none waits for another, and none loses what comes at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer, RedisStreamsChannelLayer
from tests.support.layers import unique_prefix
from tests.support.waiting import until_async

Make = Callable[..., Any]


@pytest_asyncio.fixture(
    params=[RedisChannelLayer, RedisPubSubChannelLayer, RedisStreamsChannelLayer],
    ids=["queue", "pubsub", "streams"],
)
async def make(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Make]:
    made: list[Any] = []

    def factory(**options: Any) -> Any:
        made.append(request.param(hosts=[redis_url], **options))
        return made[-1]

    yield factory
    for layer in made:
        await layer.flush()


@pytest.mark.parametrize("quiet", [0, 1, 2])
async def test_the_jobs_of_a_channel_do_not_wait_for_those_of_others(make: Make, quiet: int) -> None:
    """Was: over the queue, a listener that came back while the reader looked waited for 5 seconds."""
    layer = make(prefix=unique_prefix())
    if isinstance(layer, RedisPubSubChannelLayer):
        pytest.skip("it does not store what nobody listens to yet")
    for name in ("brpop_timeout", "block_s"):
        if hasattr(layer, name):
            setattr(layer, name, 600)
    got: list[int] = []

    async def listen(channel: str) -> None:
        while True:
            got.append((await layer.receive(channel))["n"])

    listeners = [asyncio.ensure_future(listen(name)) for name in ("thumbs", *"ab"[:quiet])]
    for number in range(5):
        await layer.send("thumbs", {"type": "job", "n": number})
        await until_async(lambda: len(got) > number, "each is read when it is there")  # noqa: B023
    assert got == list(range(5))
    for listener in listeners:
        listener.cancel()
    await asyncio.wait(listeners)


@pytest.mark.parametrize("capacity", [1, 2, 3])
async def test_a_reader_that_is_ready_loses_nothing_of_a_burst(make: Make, capacity: int) -> None:
    """Was: one read of the socket brought more than its mailbox holds, before it had a turn."""
    prefix = unique_prefix()
    there, here = make(prefix=prefix), make(prefix=prefix, capacity=capacity)
    channel, got = await here.new_channel(), list[int]()

    async def listen() -> None:
        while True:
            got.append((await here.receive(channel))["n"])

    listener = asyncio.ensure_future(listen())
    await there.send(channel, {"type": "job", "n": 0})
    await until_async(lambda: got == [0], "it listens")
    await asyncio.gather(*(there.send(channel, {"type": "job", "n": number}) for number in range(1, 60)))
    await until_async(lambda: len(got) == 60, "all have come")
    assert got == list(range(60))
    listener.cancel()
    await asyncio.wait((listener,))
