"""Who is a member of a group is present there, and nobody else: whatever ends a call, and whenever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from compat.engine.parts import inbox_of
from compat.exceptions import LayerUnavailable
from tests.support.layers import ON_REDIS, close, unique_prefix
from tests.support.redis_server import RedisServer
from tests.support.waiting import turns, until, until_async

pytestmark = pytest.mark.parametrize("kind", ON_REDIS)


def make(kind: str, url: str, key: Any = "user") -> Any:
    return ON_REDIS[kind]([url], prefix=unique_prefix(), presence={"room": {"key": key}})


async def opened(layer: Any, user: str = "ada") -> str:
    """The channel of a consumer."""
    channel = str(await layer.new_channel())
    layer.attach(channel, inbox_of(asyncio.get_running_loop()))
    layer.attend(channel, {"user": user}, hears=False)
    return channel


def is_member(layer: Any, channel: str) -> bool:
    return "room" in layer._stations.here().groups_of(channel)


@pytest.mark.parametrize("ends", ["cancelled", "discarded"])
async def test_who_does_not_become_a_member_does_not_become_present(
    kind: str, redis_url: str, ends: str
) -> None:
    """Was: a member and absent after the one, present and no member after the other."""
    layer = make(kind, redis_url)
    after, is_done = 0, False
    while not is_done:
        after += 1
        channel = await opened(layer, f"user{after}")
        joining = asyncio.create_task(layer.group_add("room", channel))
        await turns(after)
        is_done = joining.done()
        if ends == "cancelled":
            joining.cancel()
        elif not is_done:
            await layer.group_discard("room", channel)
        await asyncio.wait([joining])
        expected = (True, 1) if is_done else (False, 0)
        assert (is_member(layer, channel), layer.present()) == expected, f"after {after} turns"
    assert after > 5
    await close(layer)


async def test_who_cannot_become_present_is_no_member(kind: str, redis_server: RedisServer) -> None:
    """Was: the call raised, and left a member who was absent."""

    def kills_redis(scope: Any) -> str:
        if kills.pop():
            redis_server.kill()
        return str(scope["user"])

    kills = [False, True]
    layer = make(kind, redis_server.url, kills_redis)
    channel = await opened(layer)
    with pytest.raises(LayerUnavailable):
        await layer.group_add("room", channel)
    assert (is_member(layer, channel), layer.present()) == (False, 0)
    await asyncio.to_thread(redis_server.start)
    await until_async(lambda: not layer.metrics.is_away(), "the outage is over")
    await layer.group_add("room", channel)
    assert (is_member(layer, channel), layer.present()) == (True, 1)
    await close(layer)


async def test_who_joins_beside_a_call_that_is_cancelled_is_present(kind: str, redis_url: str) -> None:
    """Was, on the pub/sub and the streams layer: absent, because the other call was just saying it."""
    layer = make(kind, redis_url)
    after, is_done = 0, False
    while not is_done:
        after += 1
        channel = await opened(layer, f"user{after}")
        first = asyncio.create_task(layer.group_add("room", channel))
        while not layer.present():
            await turns(1)
        second = asyncio.create_task(layer.group_add("room", channel))
        await turns(after)
        is_done = first.done()
        first.cancel()
        await asyncio.wait([first, second])
        await second
        assert (is_member(layer, channel), layer.present()) == (True, 1), f"after {after} turns"
        await layer.group_discard("room", channel)
    await close(layer)


async def test_who_leaves_is_absent_for_those_who_ask_then(kind: str, redis_server: RedisServer) -> None:
    """Was, on the queue layer: perhaps still present."""
    layer = make(kind, redis_server.url)
    channel, other = await opened(layer), await opened(layer)
    for each in (channel, other):
        await layer.group_add("room", each)
    assert len((await layer.presence("room"))["ada"]["metas"]) == 2
    await layer.group_discard("room", channel)
    assert len((await layer.presence("room"))["ada"]["metas"]) == 1
    await close(layer)


async def test_a_discard_of_another_loop_that_is_cancelled_goes_on(kind: str, redis_url: str) -> None:
    """Was, on the pub/sub and the streams layer: no member any more, and present."""
    layer = make(kind, redis_url)
    channel = await opened(layer)
    await layer.group_add("room", channel)
    station = layer._stations.here()

    async def discard() -> None:
        discarding = asyncio.create_task(layer.group_discard("room", channel))
        await turns(1)
        until(lambda: "room" not in station.groups_of(channel), "it has left")
        discarding.cancel()
        await asyncio.wait([discarding])
        assert discarding.cancelled()

    await asyncio.to_thread(asyncio.run, discard())
    await until_async(lambda: layer.present() == 0, "it is absent")
    await close(layer)
