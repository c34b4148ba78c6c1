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

from compat.clock import steady, wall
from compat.engine.parts import inbox_of
from compat.layers.redis import RedisChannelLayer, RedisStreamsChannelLayer, membership, own_station
from tests.support.layers import ON_REDIS, close, moving, unique_prefix
from tests.support.waiting import until_async

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


async def test_a_consumer_that_has_ended_joins_nothing(make: Callable[..., Any]) -> None:
    """A task, or a thread of a sync handler, that it has left behind calls `group_add`."""
    layer = make()
    channel, other = await layer.new_channel(), await layer.new_channel()
    inbox = inbox_of(asyncio.get_running_loop())
    layer.attach(channel, inbox)
    await layer.detach(channel)
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "x"})
    station = layer._stations.here()
    assert station.groups_of(channel) == set()
    await layer.group_add("room", other)
    assert await members(layer, "room") == {other}
    layer.attach(channel, inbox)  # it is read again, and so joins again
    await layer.group_add("room", channel)
    assert await members(layer, "room") == {other, channel}
    assert station.groups_of(channel) == {"room"}


async def members(layer: Any, group: str) -> set[str]:
    """The members of a group, as those who send to it see them."""
    if isinstance(layer, RedisStreamsChannelLayer):
        return layer.groups.get(group, set())
    found = await layer.connection(0).zrange(layer.keys.group(group), 0, -1)
    return {name.decode() for name in found}


async def test_a_consumer_that_has_ended_has_no_twin(make: Callable[..., Any]) -> None:
    """The other layer of a move has no name for it any more, and makes no new one."""
    old, new = make(), make()
    layer = moving(old, new, "old")
    channel = await layer.new_channel()
    layer.attach(channel, inbox_of(asyncio.get_running_loop()))
    await layer.group_add("room", channel)
    await layer.detach(channel)
    with pytest.raises(RuntimeError, match="takes channels of this process"):
        await layer.group_add("room", channel)
    assert not layer._own
    assert await members(old, "room") == await members(new, "room") == set()


async def test_a_member_without_a_reader_expires_here_too(
    make_queue: Callable[..., RedisChannelLayer], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue()
    channel = await queue.new_channel()
    await queue.group_add("room", channel)
    monkeypatch.setattr(membership, "wall", lambda: wall() + 2 * queue.group_expiry)
    station: Any = queue._stations.here()
    station._link_lost(0, "test")  # writes the memberships again
    await until_async(lambda: not station.groups_of(channel), "it has left")


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
