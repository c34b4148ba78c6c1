"""What a client may have written, and a consumer passes on: nesting, and the keys that the layers reserve."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
import pytest_asyncio
import redis

from compat.engine.inbox import Inbox
from compat.exceptions import MessageTooLarge
from compat.layers.copies import DEEPEST
from tests.support.layers import ON_REDIS, close, member, unique_prefix
from tests.support.waiting import until_async

Make = Callable[..., Any]


@pytest.fixture(params=ON_REDIS, ids=str)
def kind(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest_asyncio.fixture
async def make(kind: str, redis_url: str) -> AsyncIterator[Make]:
    made: list[Any] = []

    def factory(**options: Any) -> Any:
        made.append(ON_REDIS[kind]([redis_url], unique_prefix(), **options))
        return made[-1]

    yield factory
    for layer in made:
        await layer.flush()
        await close(layer)


def nested(depth: int) -> Any:
    """So many lists in one another."""
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


def messages(inbox: Inbox) -> list[Any]:
    return [message for _, message, _ in inbox.events]


async def come(inbox: Inbox, *expected: Any) -> None:
    await until_async(lambda: len(messages(inbox)) >= len(expected), "the messages")
    assert messages(inbox) == list(expected)


@pytest.mark.parametrize("format", ["msgpack", "json"])
async def test_faults_redis_03_nesting_is_bounded_where_it_is_sent(make: Make, format: str) -> None:
    """Was: each member's copy of a message that was nested 490 deep raised RecursionError."""
    layer = make(serializer_format=format)
    inbox = await member(layer, "room")
    for depth in (DEEPEST, DEEPEST + 1, 490, 1000, 5000):
        value = nested(depth)
        with pytest.raises(MessageTooLarge, match="nested deeper"):
            await layer.group_send("room", {"type": "said", "value": value})
        with pytest.raises(MessageTooLarge, match="nested deeper"):
            await layer.send(inbox.channel, {"type": "said", "value": value})
    deepest = {"type": "said", "value": nested(DEEPEST - 1)}  # the message itself is one more
    await layer.group_send("room", deepest)
    await come(inbox, deepest)


async def test_faults_redis_03_what_others_have_nested_is_left_out(
    kind: str, make: Make, redis_url: str
) -> None:
    """Another program's message, too deep to copy for several members; those after it arrive."""
    layer = make()
    inboxes = [await member(layer, "room") for _ in range(3)]
    inner = b"\x90"
    for _ in range(5000):
        inner = b"\x91" + inner
    body = b"\x82" + _packed("type") + _packed("said") + _packed("value") + inner
    _deliver(kind, layer, inboxes[0], body, redis_url)
    await layer.group_send("room", {"type": "said"})
    for inbox in inboxes:
        await until_async(lambda inbox=inbox: inbox.events, "the next one")  # type: ignore[misc]
        assert messages(inbox)[-1] == {"type": "said"}
    assert layer.metrics.dropped.get("undecodable", 0) >= 1 and not layer.metrics.gaps


async def test_faults_redis_03_a_caller_of_receive_among_the_members(make: Make) -> None:
    """Was: a mailbox among consumers ended the reader of its process."""
    layer = make()
    inbox, channel = await member(layer, "room"), await layer.new_channel()
    await layer.group_add("room", channel)
    value = nested(DEEPEST - 1)
    await layer.group_send("room", {"type": "said", "value": value})
    assert await layer.receive(channel) == {"type": "said", "value": value}
    await come(inbox, {"type": "said", "value": value})


@pytest.mark.parametrize("value", [5, None, "specific", {"a": 1}, [5], [[]], True, 1.5])
async def test_faults_redis_04_reserved_keys_of_a_relayed_message(kind: str, make: Make, value: Any) -> None:
    """Was: the first of these ended a process's only subscription."""
    layer = make()
    inbox = await member(layer, "room")
    for key in ("__exclude__", "__asgi_channel__"):
        await layer.group_send("room", {"type": "said", key: value})
    await layer.group_send("room", {"type": "last"})
    await until_async(lambda: messages(inbox)[-1:] == [{"type": "last"}], "the last one")
    assert [message["type"] for message in messages(inbox)] == ["said", "said", "last"]
    reserved = "__asgi_channel__" if kind == "queue" else "__exclude__"
    assert not any(reserved in message for message in messages(inbox)), "the others are the application's"


@pytest.mark.parametrize("value", [5, None, {"a": 1}, [5], [[]], True, 1.5])
async def test_faults_redis_04_reserved_keys_of_another_program(
    kind: str, make: Make, value: Any, redis_url: str
) -> None:
    layer = make()
    inbox = await member(layer, "room")
    for key in ("__exclude__", "__asgi_channel__"):
        _deliver(kind, layer, inbox, _packed({"type": "said", key: value}), redis_url)
    await layer.group_send("room", {"type": "last"})
    await until_async(lambda: messages(inbox)[-1:] == [{"type": "last"}], "the last one")
    assert not layer.metrics.gaps


def _packed(value: Any) -> bytes:
    return bytes(msgpack.packb(value) or b"")


def _deliver(kind: str, layer: Any, inbox: Inbox, body: bytes, redis_url: str) -> None:
    """Write a message into Redis, as a program beside the layer may."""
    with redis.Redis.from_url(redis_url) as wire:
        if kind == "queue":
            now = wire.time()[0]
            wire.zadd(layer.keys.queue(inbox.channel), {b"0" * layer.mark_length + body: now})
        elif kind == "pubsub":
            wire.publish(layer.keys.topic("room"), body)
        else:
            from compat.redis.streams.history import APPEND, Place

            keys = [*layer.keys.history("room"), layer.keys.history_topic("room")]
            prefix = Place.made().encode() + b"0" * layer._serializer.random_prefix_length
            wire.eval(APPEND.text.decode(), 3, *keys, "PUBLISH", 100, 60, 60, "0" * 16, prefix + body, 0)
