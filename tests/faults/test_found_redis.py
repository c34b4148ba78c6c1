"""Faults of the Redis layers that attacks, other projects' suites and clocks that tests move have found."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import freezegun
import pytest
import pytest_asyncio

from compat.inbox import Inbox
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.layers.redis.clock import now
from tests.support.layers import unique_prefix
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

BOTH = pytest.mark.parametrize("cls", [RedisChannelLayer, RedisPubSubChannelLayer])
WITHIN_S = 15.0


@pytest_asyncio.fixture
async def make(redis_url: str) -> AsyncIterator[Callable[..., Any]]:
    """Makes layers; what they have open is closed at the end."""
    made: list[Any] = []

    def factory(cls: Any, **options: Any) -> Any:
        made.append(cls(**{"hosts": [redis_url], "prefix": unique_prefix(), **options}))
        return made[-1]

    yield factory
    for layer in made:
        for station in layer._stations.all():
            await station.aclose()


async def member(layer: Any, *groups: str) -> Inbox:
    channel = await layer.new_channel()
    inbox = Inbox(asyncio.get_running_loop())
    layer.attach(channel, inbox)
    for group in groups:
        await layer.group_add(group, channel)
    return inbox


async def turning_until(condition: Callable[[], object], what: str) -> None:
    """`until_async` for a test in which asyncio's timers stand still."""
    end = now() + WITHIN_S
    while not condition():
        assert now() < end, f"not within {WITHIN_S} s: {what}"
        await asyncio.sleep(0)


async def reaches(layer: Any, inbox: Inbox, number: int) -> None:
    """Send a number to the group, and wait until it has come."""
    await layer.group_send("room", {"type": "x", "n": number})
    await turning_until(lambda: inbox.events and inbox.events[-1][1].get("n") == number, f"{number} comes")
    inbox.events.clear()


@BOTH
async def test_faults_projects_05_a_frozen_clock_that_is_moved(cls: Any, make: Callable[..., Any]) -> None:
    layer = make(cls)
    inbox = await member(layer, "room")
    await reaches(layer, inbox, 0)
    with freezegun.freeze_time("2012-01-14") as clock:
        for number in range(1, 8):
            await reaches(layer, inbox, number)
            clock.tick(30)
            for _ in range(20):
                await asyncio.sleep(0)
    await reaches(layer, inbox, 8)
    assert not layer.metrics.gaps and not layer.metrics.reconnects
    assert not layer.metrics.dropped


@BOTH
async def test_faults_projects_05_an_outage_while_the_clock_stands(
    cls: Any, make: Callable[..., Any], redis_server: RedisServer
) -> None:
    """Redis is restarted on a frozen clock: the pauses between attempts to connect end all the same."""
    layer = make(cls, hosts=[redis_server.url])
    inbox = await member(layer, "room")
    await reaches(layer, inbox, 0)
    with freezegun.freeze_time("2012-01-14"):
        redis_server.kill()
        await turning_until(lambda: layer.metrics.gaps, "the outage is seen")
        began = now()
        await turning_until(lambda: now() - began > 0.5, "some attempts have failed")
        redis_server.start()
        await turning_until(lambda: layer.metrics.reconnects, "it is back")
        assert layer.metrics.reconnects == 1
        await reaches(layer, inbox, 1)
    await reaches(layer, inbox, 2)


@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_faults_projects_05_a_blocked_loop_is_no_outage(loops: str, redis_url: str) -> None:
    """A handler holds the loop for longer than an answer may take: the answer is in the socket meanwhile."""
    loop: asyncio.AbstractEventLoop = (
        asyncio.new_event_loop() if loops == "asyncio" else pytest.importorskip("uvloop").new_event_loop()
    )
    try:
        loop.run_until_complete(_blocked(redis_url))
    finally:
        loop.close()


async def _blocked(redis_url: str) -> None:
    url = f"{redis_url}?socket_timeout=0.5"
    layers: list[Any] = [RedisChannelLayer([url], unique_prefix()), RedisPubSubChannelLayer([url])]
    inboxes = []
    for layer in layers:
        layer.brpop_timeout = layer.ping_interval = 0.2
        inboxes.append(await member(layer, "room"))
        await reaches(layer, inboxes[-1], 0)
    sending = [asyncio.ensure_future(layer.group_send("room", {"type": "x", "n": 1})) for layer in layers]
    for _ in range(2):
        await asyncio.sleep(0)
    time.sleep(1.0)
    await asyncio.gather(*sending)
    for layer, inbox in zip(layers, inboxes, strict=True):
        await until_async(lambda: inbox.events, "it has come")  # noqa: B023 - awaited here
        assert [message["n"] for _, message, _ in inbox.events] == [1]
        await reaches(layer, inbox, 2)
        assert not layer.metrics.gaps and not layer.metrics.reconnects
        for station in layer._stations.all():
            await station.aclose()
