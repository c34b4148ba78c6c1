"""Consumers on other event loops than their layer's reader, and loops that end before their consumers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from compat.engine.inbox import Inbox
from compat.engine.parts import inbox_of
from compat.exceptions import LayerUnavailable
from tests.support.layers import ON_REDIS, close, member, unique_prefix
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async, until_awaited

WITHIN_S = 20.0


@pytest.fixture(params=["queue", "pubsub"])
def make(
    request: pytest.FixtureRequest, make_queue: Callable[..., Any], make_pubsub: Callable[..., Any]
) -> Callable[..., Any]:
    return make_queue if request.param == "queue" else make_pubsub


async def test_a_consumer_on_another_loop(make: Callable[..., Any]) -> None:
    """As in Django's async tests: the channel was made on one loop, and is read on another."""
    layer = make()
    channel = await layer.new_channel()
    got: list[Any] = []

    async def read() -> None:
        inbox = inbox_of(asyncio.get_running_loop())
        layer.attach(channel, inbox)
        for _ in range(3):
            got.append(await asyncio.wait_for(inbox.get(), WITHIN_S))

    await layer.send(channel, {"type": "before"})
    await until_async(lambda: layer.depth() == 1 or not hasattr(layer, "ping_interval"), "it has arrived")
    thread = threading.Thread(target=asyncio.run, args=(read(),))
    thread.start()
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "group"})
    await layer.send(channel, {"type": "direct"})
    await until_async(lambda: len(got) == 3, "all have come")
    await asyncio.to_thread(thread.join)
    assert sorted(message["type"] for message in got) == ["before", "direct", "group"]
    await layer.detach(channel)


async def test_a_loop_that_ends_before_its_consumer(make: Callable[..., Any]) -> None:
    layer = make()
    channel = await layer.new_channel()
    dead = asyncio.new_event_loop()
    layer.attach(channel, inbox_of(dead))
    await asyncio.sleep(0)
    await layer.group_add("room", channel)
    dead.close()
    await layer.group_send("room", {"type": "x"})
    await until_async(lambda: layer.metrics.dropped.get("gone") == 1, "the loss is counted")
    await layer.detach(channel)


async def test_a_channel_that_was_not_made_by_new_channel(make_pubsub: Callable[..., Any]) -> None:
    layer = make_pubsub()
    inbox = inbox_of(asyncio.get_running_loop())
    layer.attach("a name", inbox)
    await layer.group_add("room", "a name")
    await layer.group_send("room", {"type": "x"})
    assert await asyncio.wait_for(inbox.get(), WITHIN_S) == {"type": "x"}
    await layer.detach("a name")


async def test_mailboxes_that_nobody_reads_are_forgotten(make_queue: Callable[..., Any]) -> None:
    layer = make_queue(expiry=2)
    channels = [await layer.new_channel() for _ in range(20)]
    waiting = asyncio.ensure_future(layer.receive(channels[0]))
    for channel in channels:
        await layer.send(channel, {"type": "x"})
    assert await asyncio.wait_for(waiting, WITHIN_S) == {"type": "x"}
    await until_async(lambda: len(layer.receive_buffer) == 19, "the others have arrived")

    async def left() -> set[str]:
        """Those that are there still, while others come and go."""
        await asyncio.sleep(0.5)
        other = await layer.new_channel()
        await layer.send(other, {"type": "y"})
        await asyncio.wait_for(layer.receive(other), WITHIN_S)
        return set(channels) & set(layer._stations.all()[0].boxes)

    nobody: set[str] = set()
    await until_awaited(left, nobody)
    assert layer.metrics.dropped == {"expired": 19}


async def test_consumers_are_told_of_an_outage_by_a_whole_message(make: Callable[..., Any]) -> None:
    layer = make(on_disconnect={"type": "redis.gone", "retry": True}, on_reconnect="redis.back")
    assert layer.on_disconnect == {"type": "redis.gone", "retry": True}
    assert layer.on_reconnect == {"type": "redis.back"}


async def test_news_of_an_outage_for_a_full_inbox_are_counted(make: Callable[..., Any]) -> None:
    layer = make(capacity=1)
    channel = await layer.new_channel()
    inbox = inbox_of(asyncio.get_running_loop())
    layer.attach(channel, inbox)
    (station,) = layer._stations.all()
    station.announce({"type": "redis.gone"})
    assert layer.metrics.dropped == {}
    station.announce({"type": "redis.back"})
    assert layer.metrics.dropped == {"overflow": 1}
    assert await inbox.get() == {"type": "redis.gone"}
    await layer.detach(channel)


@pytest.mark.parametrize("kind", ["queue", "pubsub"])
async def test_closing_fails_those_who_wait_for_a_connection(kind: str, redis_server: RedisServer) -> None:
    """They are not cancelled: nobody has asked for that."""
    layer = ON_REDIS[kind]([redis_server.url])
    channel = await layer.new_channel()
    redis_server.pause()
    sending = asyncio.ensure_future(layer.group_send("room", {"type": "x"}))
    joining = asyncio.ensure_future(layer.group_add("room", channel))
    station = layer._stations.here()
    await until_async(lambda: station.shards._opening, "a connection is being opened")
    await asyncio.sleep(0)
    await close(layer)
    for task in (sending, joining):
        with pytest.raises(LayerUnavailable, match="were closed meanwhile"):
            await asyncio.wait_for(task, WITHIN_S)


@pytest.mark.parametrize("kind", ON_REDIS)
async def test_closing_in_the_turn_of_the_first_call(kind: str, redis_url: str) -> None:
    """Was: the connection that had not begun to open was waited for by all later calls of this loop."""
    layer = ON_REDIS[kind](hosts=[redis_url], prefix=unique_prefix())
    await asyncio.gather(layer.send("jobs", {"type": "x"}), layer.close_pools(), return_exceptions=True)
    await layer.send("jobs", {"type": "x"})
    await close(layer)


async def test_what_is_told_while_the_layer_closes(make_queue: Callable[..., Any], wire: Any) -> None:
    """It need not arrive, but what is told later does."""
    layer = make_queue()
    await layer.new_channel()
    shards, key = layer._stations.here().shards, f"{layer.prefix}:told"
    shards.tell(0, (b"SET", key, 1))
    (post,) = shards._posts
    closing = asyncio.ensure_future(shards.aclose())
    await asyncio.sleep(0)

    def tell_more(_: object) -> None:
        shards.retire(0)
        shards.tell(0, (b"SET", key, 2))

    post.add_done_callback(tell_more)  # is called after that of aclose()
    await closing
    shards.tell(0, (b"SET", key, 3, b"EX", 60))
    await until_awaited(lambda: wire.get(key), b"3")


async def test_closing_does_not_hide_a_cancellation(redis_server: RedisServer) -> None:
    layer = ON_REDIS["pubsub"]([redis_server.url])
    redis_server.pause()
    first, second = (asyncio.ensure_future(layer.group_send("room", {"type": "x"})) for _ in range(2))
    await until_async(lambda: layer._stations.here().shards._opening, "a connection is being opened")
    first.cancel()
    await asyncio.wait((first,))
    assert first.cancelled() and not second.done()
    redis_server.resume()
    await second
    await close(layer)


async def test_flush_while_a_consumer_runs(make: Callable[..., Any]) -> None:
    """It goes on, outside all groups, as with the in-memory layer."""
    layer = make()
    channel = await layer.new_channel()
    inbox = inbox_of(asyncio.get_running_loop())
    layer.attach(channel, inbox)
    await layer.group_add("room", channel)
    await layer.flush()
    assert inbox.groups == set()
    await layer.group_send("room", {"type": "not for it"})
    await layer.send(channel, {"type": "direct"})
    assert await asyncio.wait_for(inbox.get(), WITHIN_S) == {"type": "direct"}
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "group"})
    assert await asyncio.wait_for(inbox.get(), WITHIN_S) == {"type": "group"}
    await layer.detach(channel)


@pytest.mark.parametrize("kind", ON_REDIS)
@pytest.mark.parametrize("history", [None, {"room": {"count": 10, "seconds": 60}}], ids=["plain", "history"])
async def test_a_member_whose_loop_was_closed_is_in_no_group(redis_url: str, kind: str, history: Any) -> None:
    """Was, on the queue layer: messages of the group went into a mailbox that nobody reads, for a day."""
    presence = {"room": {"key": "user"}}
    layer: Any = ON_REDIS[kind]([redis_url], prefix=unique_prefix(), history=history, presence=presence)
    channel, stays = await layer.new_channel(), await member(layer, "room")
    other = asyncio.new_event_loop()

    async def attach() -> None:
        layer.attach(channel, inbox_of(other))

    await asyncio.to_thread(other.run_until_complete, attach())
    station = layer._stations.here()
    await until_async(lambda: isinstance(station.boxes.get(channel), Inbox), "it is attached")
    layer.attend(channel, {"user": "ada"}, hears=False)
    await layer.group_add("room", channel)
    assert layer.present() == 1
    other.close()
    await layer.send(channel, {"type": "x"})
    await until_async(lambda: channel not in station.boxes, "it is known to be gone")
    for _ in range(2):
        await layer.group_send("room", {"type": "y"})
        await layer.send(channel, {"type": "x"})
        assert (await asyncio.wait_for(stays.get(), WITHIN_S))["type"] == "y"
    memberships = getattr(station, "_memberships", {}).values()
    await until_async(lambda: not any(one._owed for one in memberships), "Redis knows it too")
    assert channel not in station.boxes and not station.groups_of(channel)
    assert layer.present() == 0
    assert not any(channel in one.groups.get("room", ()) for one in memberships)
    await layer.flush()
    assert not station.kept.groups
    await close(layer)


@pytest.mark.parametrize("kind", ON_REDIS)
async def test_a_channel_that_nobody_reads_is_in_no_group_after_a_flush(redis_url: str, kind: str) -> None:
    layer: Any = ON_REDIS[kind]([redis_url], prefix=unique_prefix())
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    station = layer._stations.here()
    assert station.groups_of(channel) == {"room"}
    await layer.flush()
    assert not station.groups_of(channel)
    await close(layer)
