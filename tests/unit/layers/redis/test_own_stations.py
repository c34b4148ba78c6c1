"""Stations that read "!" channels: what they keep of channels and of event loops that have ended."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from compat.clock import steady
from compat.engine.parts import inbox_of
from compat.layers.redis import own_station
from tests.support.layers import ON_REDIS, close, unique_prefix

EXPIRY_S = 60


@pytest.fixture(params=["queue", "streams"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def make(kind: str, redis_url: str) -> AsyncIterator[Callable[..., Any]]:
    """Makes layers of the kind."""
    made: list[Any] = []

    def factory(**options: Any) -> Any:
        made.append(ON_REDIS[kind](**{"hosts": [redis_url], "prefix": unique_prefix(), **options}))
        return made[-1]

    yield factory
    await close(*made)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """How much later the stations take it to be, as `by_s`."""
    shift = SimpleNamespace(by_s=0.0)
    monkeypatch.setattr(own_station, "steady", lambda: steady() + shift.by_s)
    return shift


async def test_channels_that_ended_long_ago_are_forgotten(
    make: Callable[..., Any], later: SimpleNamespace
) -> None:
    """No direct message comes, as in an app that sends to groups alone."""
    layer = make(expiry=EXPIRY_S)
    inbox = inbox_of(asyncio.get_running_loop())
    for _ in range(20):
        for _ in range(5):
            channel = await layer.new_channel()
            layer.attach(channel, inbox)
            await layer.detach(channel)
        later.by_s += EXPIRY_S / 2
    assert len(layer._stations.here()._ended) <= 25, "those of two expiries and a half"


def test_event_loops_that_only_send_leave_nothing(kind: str, redis_url: str) -> None:
    """As in a job queue whose jobs call `asyncio.run`."""
    layer = ON_REDIS[kind](hosts=[redis_url], prefix=unique_prefix())
    stations: list[weakref.ref[Any]] = []

    async def send() -> None:
        await layer.group_send("room", {"type": "x"})
        stations.append(weakref.ref(layer._stations.here()))

    for _ in range(4):
        asyncio.run(send())
    gc.collect()
    assert layer.client_prefixes() == []
    assert [station() for station in stations] == [None] * 4


def test_a_channel_outlives_its_event_loops(kind: str, redis_url: str) -> None:
    """Each loop that reads it takes it over from the one before, and keeps no client prefix of its own."""
    layer = ON_REDIS[kind](hosts=[redis_url], prefix=unique_prefix())
    channel = asyncio.run(layer.new_channel())

    async def receive() -> Any:
        return await asyncio.wait_for(layer.receive(channel), 20)

    for _ in range(3):
        asyncio.run(layer.send(channel, {"type": "x"}))
        assert asyncio.run(receive()) == {"type": "x"}
    assert [prefix in channel for prefix in layer.client_prefixes()] == [True]
    asyncio.run(layer.flush())
