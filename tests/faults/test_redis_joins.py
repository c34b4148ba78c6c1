"""Calls that add a channel to a group and fail: who is a member before, or by another call, stays one."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from compat.engine.inbox import Inbox
from compat.engine.parts import inbox_of
from compat.exceptions import LayerUnavailable
from tests.support.layers import ON_REDIS, close, member, unique_prefix
from tests.support.redis_server import RedisServer
from tests.support.waiting import turns, until_async, until_awaited

Make = Callable[..., Any]
numbers = itertools.count()
HISTORIES: dict[str, dict[str, Any]] = {"plain": {}, "history": {"history": {"*": {"count": 5}}}}


@pytest_asyncio.fixture(params=list(itertools.product(ON_REDIS, HISTORIES)), ids="-".join)
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    kind, history = request.param
    made: list[Any] = []

    def factory(url: str) -> Any:
        made.append(ON_REDIS[kind](hosts=[url], prefix=unique_prefix(), **HISTORIES[history]))
        return made[-1]

    yield factory
    await close(*made)


async def hears(layer: Any, inbox: Inbox) -> bool:
    """Whether the inbox gets what is sent to the group."""
    station = layer._stations.here()
    (channel,) = station.boxes
    memberships = getattr(station, "_memberships", {}).values()
    await until_async(lambda: not any(one._owed for one in memberships), "Redis knows who is a member")
    number = next(numbers)  # a history gives older ones to who joins
    await layer.group_send("room", {"type": "to.group", "n": number})
    await layer.send(channel, {"type": "to.channel"})
    found = False
    while True:
        message = await asyncio.wait_for(inbox.get(), 15)
        if message["type"] == "to.channel":
            return found
        found = found or message.get("n") == number


async def test_a_member_that_joins_again_during_an_outage(make: Make, redis_server: RedisServer) -> None:
    layer = make(redis_server.url)
    inbox = await member(layer, "room")
    (channel,) = layer._stations.here().boxes
    assert await hears(layer, inbox)
    await asyncio.to_thread(redis_server.kill)

    async def is_refused() -> bool:
        try:
            await layer.group_add("room", channel)
        except LayerUnavailable:
            return True
        return False

    await until_awaited(is_refused, True)
    await asyncio.to_thread(redis_server.start)
    await until_async(lambda: layer.metrics.reconnects == 1, "the outage is over")
    await until_awaited(lambda: hears(layer, inbox), True)


async def test_a_channel_that_could_not_join_is_no_member_later(
    make: Make, redis_server: RedisServer
) -> None:
    layer = make(redis_server.url)
    inbox = await member(layer)
    (channel,) = layer._stations.here().boxes
    assert not await hears(layer, inbox)
    await asyncio.to_thread(redis_server.kill)
    outcomes = await asyncio.gather(
        *(layer.group_add("room", channel) for _ in range(2)), return_exceptions=True
    )
    assert all(isinstance(outcome, LayerUnavailable) for outcome in outcomes)
    await asyncio.to_thread(redis_server.start)
    await until_async(lambda: layer.metrics.reconnects == 1, "the outage is over")
    assert not await hears(layer, inbox)
    await layer.group_add("room", channel)
    assert await hears(layer, inbox)


@pytest.mark.parametrize("kind", ON_REDIS)
async def test_who_leaves_during_an_outage_is_absent_later(kind: str, redis_server: RedisServer) -> None:
    """Was, on the queue layer: present until the end of the connection."""
    layer: Any = ON_REDIS[kind](
        [redis_server.url], prefix=unique_prefix(), presence={"room": {"key": "user"}}
    )
    channel = await layer.new_channel()
    layer.attach(channel, inbox_of(asyncio.get_running_loop()))
    layer.attend(channel, {"user": "ada"}, hears=False)
    await layer.group_add("room", channel)
    assert "ada" in await layer.presence("room")
    await asyncio.to_thread(redis_server.kill)
    with contextlib.suppress(LayerUnavailable):
        await layer.group_discard("room", channel)
    await until_async(lambda: layer.present() == 0, "it is absent here")
    await asyncio.to_thread(redis_server.start)

    async def is_absent() -> bool:
        try:
            return not await layer.presence("room")
        except LayerUnavailable:
            return False

    await until_awaited(is_absent, True)
    await close(layer)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("cancelled", ["first", "second", "both"])
@pytest.mark.parametrize("after", [1, 2, 4])
async def test_two_calls_of_which_some_are_cancelled(
    make: Make, redis_url: str, before: bool, cancelled: str, after: int
) -> None:
    layer = make(redis_url)
    inbox = await member(layer)
    assert not await hears(layer, inbox)
    (channel,) = layer._stations.here().boxes
    if before:
        await layer.group_add("room", channel)
    calls = [asyncio.ensure_future(layer.group_add("room", channel)) for _ in range(2)]
    await turns(after)
    for call in calls[cancelled == "second" : 1 if cancelled == "first" else 2]:
        call.cancel()
    await asyncio.wait(calls)
    is_member = before or not all(call.cancelled() for call in calls)
    assert await hears(layer, inbox) is is_member
    await layer.group_discard("room", channel)
    assert not await hears(layer, inbox)


@pytest.mark.parametrize("before", [False, True])
async def test_a_call_that_is_cancelled_after_a_flush(make: Make, redis_url: str, before: bool) -> None:
    """Was, on the queue layer: it counted as one of those before the flush, and its channel stayed."""
    layer = make(redis_url)
    inbox = await member(layer, *(["room"] if before else []))
    (channel,) = layer._stations.here().boxes
    calls = [asyncio.ensure_future(layer.group_add("room", channel))]
    await turns(1)
    flushing = asyncio.ensure_future(layer.flush())
    await turns(1)
    calls.append(asyncio.ensure_future(layer.group_add("room", channel)))
    await turns(1)
    calls[1].cancel()
    await asyncio.wait([*calls, flushing])
    assert not layer._stations.here().groups_of(channel)
    assert not await hears(layer, inbox)


@pytest.mark.parametrize("cancelled", [0, 1])
async def test_a_call_that_is_cancelled_after_the_channel_has_left(
    make: Make, redis_url: str, cancelled: int
) -> None:
    """A call that has begun after that is another one."""
    layer = make(redis_url)
    inbox = await member(layer, "room")
    (channel,) = layer._stations.here().boxes
    calls = [asyncio.ensure_future(layer.group_add("room", channel))]
    await turns(1)
    await layer.group_discard("room", channel)
    calls.append(asyncio.ensure_future(layer.group_add("room", channel)))
    await turns(1)
    calls[cancelled].cancel()
    await asyncio.wait(calls)
    assert await hears(layer, inbox) is not calls[1].cancelled()
