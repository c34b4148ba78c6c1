"""The pub/sub layer: what it says to Redis, what it does for several members, and what it cannot know."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest

from compat.engine.parts import inbox_of
from compat.exceptions import LayerUnavailable
from compat.layers.redis import RedisPubSubChannelLayer, pubsub_station
from tests.support.waiting import until_async

Make = Callable[..., RedisPubSubChannelLayer]
WITHIN_S = 20.0


async def receive(layer: RedisPubSubChannelLayer, channel: str) -> Any:
    return await asyncio.wait_for(layer.receive(channel), WITHIN_S)


async def subscriptions(wire: Any, layer: RedisPubSubChannelLayer) -> set[str]:
    return {name.decode()[len(layer.prefix) :] for name in await wire.pubsub_channels(f"{layer.prefix}*")}


async def until_subscribed(wire: Any, layer: RedisPubSubChannelLayer, *names: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while await subscriptions(wire, layer) != set(names):
        assert time.monotonic() < deadline, f"not {names}: {await subscriptions(wire, layer)}"
        await asyncio.sleep(0.02)


async def test_names_on_redis(make_pubsub: Make, wire: Any) -> None:
    layer = make_pubsub()
    channel = await layer.new_channel()
    assert re.fullmatch(rf"{layer.prefix}specific\.[0-9a-f]{{32}}", channel)
    await layer.group_add("room", channel)
    assert await subscriptions(wire, layer) == {channel[len(layer.prefix) :], "__group__room"}
    await layer.group_discard("room", channel)
    await until_subscribed(wire, layer, channel[len(layer.prefix) :])
    assert await wire.keys(f"{layer.prefix}*") == []


async def test_bytes_on_redis(make_pubsub: Make, wire: Any) -> None:
    layer = make_pubsub()
    listener = wire.pubsub()
    await listener.subscribe("plain", f"{layer.prefix}__group__room")
    await layer.send("plain", {"type": "a", "b": b"\x00"})
    await layer.group_send("room", {"type": "b"})
    await layer.group_send("room", {"type": "c"}, exclude=["me"])
    bodies = [item["data"] async for item in first(listener, 3)]
    assert bodies[:2] == [msgpack.packb({"type": "a", "b": b"\x00"}), msgpack.packb({"type": "b"})]
    assert msgpack.unpackb(bodies[2]) == {"type": "c", "__exclude__": ["me"]}
    await listener.aclose()


async def first(listener: Any, count: int) -> AsyncIterator[Any]:
    async for item in listener.listen():
        if item["type"] == "message":
            yield item
            count -= 1
            if not count:
                return


async def test_what_channels_redis_publishes_is_read(make_pubsub: Make, wire: Any) -> None:
    layer = make_pubsub()
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await wire.publish(channel, msgpack.packb({"type": "direct"}))
    await wire.publish(f"{layer.prefix}__group__room", msgpack.packb({"type": "group"}))
    assert [await receive(layer, channel) for _ in range(2)] == [{"type": "direct"}, {"type": "group"}]


async def test_one_subscription_for_all_members(make_pubsub: Make, wire: Any) -> None:
    layer = make_pubsub()
    topic = f"{layer.prefix}__group__room"
    channels = [await layer.new_channel() for _ in range(10)]
    await asyncio.gather(*(layer.group_add("room", channel) for channel in channels))
    assert await wire.pubsub_numsub(topic) == [(topic.encode(), 1)]
    assert layer.groups == {topic: set(channels)}
    for channel in channels[1:]:
        await layer.group_discard("room", channel)
    await layer.group_send("room", {"type": "x"})
    assert await receive(layer, channels[0]) == {"type": "x"}


@pytest.mark.own_redis
async def test_connections(make_pubsub: Make, wire: Any) -> None:
    layer = make_pubsub()
    before = (await wire.info("stats"))["total_connections_received"]
    channels = [await layer.new_channel() for _ in range(20)]
    await asyncio.gather(*(layer.group_add(f"room{n}", channel) for n, channel in enumerate(channels)))
    await asyncio.gather(*(layer.group_send(f"room{n}", {"type": "x"}) for n in range(20)))
    assert (await wire.info("stats"))["total_connections_received"] - before == 2, (
        "one to listen, one to speak"
    )


async def test_a_foreign_channel_cannot_join(make_pubsub: Make) -> None:
    layer = make_pubsub()
    with pytest.raises(RuntimeError, match=r"group_add\(\) on channels that exist in-process"):
        await layer.group_add("room", "foreign")


async def test_any_name_can_be_received_from(make_pubsub: Make) -> None:
    one, two = make_pubsub(), make_pubsub()
    waiting = asyncio.ensure_future(receive(one, "a plain: name"))
    await until_async(lambda: "a plain: name" in one.channels, "it listens")
    await one._stations.all()[0].open_channel("a plain: name")
    await two.send("a plain: name", {"type": "x"})
    assert await waiting == {"type": "x"}


async def test_a_channel_that_is_given_up(
    make_pubsub: Make, wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing tells a layer that a channel has ended but a receive that is cancelled and not called again."""
    monkeypatch.setattr(pubsub_station, "GRACE_S", 0.2)
    layer = make_pubsub()
    given_up, going_on = await layer.new_channel(), await layer.new_channel()
    for channel in (given_up, going_on):
        await layer.group_add("room", channel)
        waiting = asyncio.ensure_future(layer.receive(channel))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    waiting = asyncio.ensure_future(receive(layer, going_on))
    await until_async(lambda: given_up not in layer.channels, "it is forgotten")
    await until_subscribed(wire, layer, going_on[len(layer.prefix) :], "__group__room")
    await layer.group_send("room", {"type": "x"})
    assert await waiting == {"type": "x"}


async def test_detach_leaves_nothing_behind(make_pubsub: Make, wire: Any) -> None:
    layer = make_pubsub()
    channels = []
    for _ in range(5):
        channel = await layer.new_channel()
        channels.append(channel)
        layer.attach(channel, inbox_of(asyncio.get_running_loop()))
        await layer.group_add("room", channel)
    for channel in channels:
        await layer.detach(channel)
    assert layer.channels == {} and layer.groups == {}
    await until_subscribed(wire, layer)
    await layer.detach(channels[0])


async def test_joining_and_leaving_in_a_hurry(make_pubsub: Make) -> None:
    layer = make_pubsub()
    channel = await layer.new_channel()
    for _ in range(20):
        joining = [asyncio.ensure_future(layer.group_add("room", channel)) for _ in range(3)]
        await asyncio.sleep(0)
        joining[0].cancel()
        await asyncio.wait(joining)
        await layer.group_discard("room", channel)
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "x"})
    assert await receive(layer, channel) == {"type": "x"}
    assert layer.depth() == 0


async def test_messages_expire_where_it_was_asked_for(make_pubsub: Make) -> None:
    layer = make_pubsub(expiry=1)
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "old"})
    await until_async(lambda: layer.depth() == 1, "it has arrived")
    await asyncio.sleep(1.1)
    await layer.send(channel, {"type": "new"})
    assert await receive(layer, channel) == {"type": "new"}
    assert layer.metrics.dropped == {"expired": 1}


async def test_an_unreadable_message(make_pubsub: Make, wire: Any, caplog: pytest.LogCaptureFixture) -> None:
    layer = make_pubsub(symmetric_encryption_keys=["key"])
    channel = await layer.new_channel()
    await wire.publish(channel, b"not encrypted")
    await layer.send(channel, {"type": "x"})
    assert await receive(layer, channel) == {"type": "x"}
    assert layer.metrics.dropped == {"undecodable": 1} and "symmetric_encryption_keys" in caplog.text


async def test_closing_while_there_are_channels(make_pubsub: Make) -> None:
    layer = make_pubsub()
    channel = await layer.new_channel()
    await layer.close_pools()
    await layer.send(channel, {"type": "x"})
    assert await receive(layer, channel) == {"type": "x"}


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_receive_that_cannot_subscribe_costs_no_membership(
    make_pubsub: Make, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    """Was: the channel left its groups, with what waited for it, and heard nothing more of them."""
    layer = make_pubsub()
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "waits"})
    (station,) = layer._stations.all()

    async def fail(topic: str) -> None:
        if cancelled:
            raise asyncio.CancelledError
        raise LayerUnavailable("for a moment")

    with monkeypatch.context() as away:
        away.setattr(station.subscriptions, "subscribe", fail)
        with pytest.raises(asyncio.CancelledError if cancelled else LayerUnavailable):
            await layer.receive(channel)
    await layer.group_send("room", {"type": "later"})
    assert [await receive(layer, channel) for _ in range(2)] == [{"type": "waits"}, {"type": "later"}]


async def test_a_group_with_any_name_has_a_history_and_people_too(make_pubsub: Make) -> None:
    """As it has members: channels_redis has no rule for names here."""
    rules = {"history": {"*": {"count": 5}}, "presence": {"room:*": {"key": "channel"}}}
    layer, group = make_pubsub(**rules), "room:1 é"
    channel = await layer.new_channel()
    layer.attach(channel, inbox_of(asyncio.get_running_loop()))
    layer.attend(channel, {}, hears=False)
    await layer.group_add(group, channel)
    assert list(await layer.presence(group)) == [channel]
    await layer.untrack(group, channel)
    await layer.track(group, channel, "ada")
    assert list(await layer.presence(group)) == ["ada"]
    before = await layer.position(group)
    await layer.group_send(group, {"type": "x"})
    assert list(await layer.history(group, since=before)) == [{"type": "x"}]
    assert await layer.ticket([group])
    for wrong in ("", 5):
        for call in (layer.position, layer.presence):
            with pytest.raises(TypeError, match="group name must be a non-empty str"):
                await call(wrong)  # type: ignore[arg-type]
    await layer.detach(channel)
