"""A subclass of a layer of ours sees what it overrides: people decrypt, count and filter there."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from compat.exceptions import ChannelFull
from compat.generic.websocket import AsyncJsonWebsocketConsumer
from compat.layers import (
    BaseChannelLayer,
    InMemoryChannelLayer,
    register_channel_layer,
    unregister_channel_layer,
)
from compat.testing.websocket import WebsocketCommunicator
from tests.support.waiting import until_async

Make = Callable[..., Any]
WITHIN_S = 20.0


class Member(AsyncJsonWebsocketConsumer):
    groups = ["members"]
    channel_layer_alias = "subclassed"

    async def said(self, event: Any) -> None:
        await self.send_json(event["what"])


def reading(base: type[Any]) -> type[Any]:
    """A subclass of ``base`` that changes what is received."""

    class Reading(base):  # type: ignore[misc]
        async def receive(self, channel: str) -> Any:
            message = await super().receive(channel)
            return {**message, "what": message["what"].upper()}

    return Reading


@pytest.mark.layers(ours=True)
async def test_consumers_are_read_through_an_own_receive(layer: Any) -> None:
    layer.__class__ = reading(type(layer))
    register_channel_layer("subclassed", layer)
    try:
        member = WebsocketCommunicator(Member.as_asgi(), "/")
        assert (await member.connect(timeout=WITHIN_S))[0]
        await layer.group_send("members", {"type": "said", "what": "hello"})
        assert await member.receive_json_from(timeout=WITHIN_S) == "HELLO"
        await member.disconnect(timeout=WITHIN_S)
        await layer.group_send("members", {"type": "said", "what": "to nobody"})
        await until_async(lambda: layer.depth() == 0, "nothing waits for a member that has left")
    finally:
        unregister_channel_layer("subclassed")


def speaking_json(base: type[Any]) -> type[Any]:
    """A subclass of ``base`` whose messages are texts, as redis-py allows."""

    class SpeakingJSON(base):  # type: ignore[misc]
        def serialize(self, message: Any) -> str:
            return json.dumps(message)

        def deserialize(self, message: bytes) -> Any:
            return json.loads(message)

    return SpeakingJSON


@pytest.mark.layers(ours=True, serializes=True)
async def test_an_own_serialize_may_return_a_text(layer: Any) -> None:
    layer.__class__ = speaking_json(type(layer))
    channel = await layer.new_channel()
    heard = asyncio.ensure_future(layer.receive(channel))
    await layer.group_add("members", channel)
    await layer.group_send("members", {"type": "said", "what": "to all"})
    assert await asyncio.wait_for(heard, WITHIN_S) == {"type": "said", "what": "to all"}
    await layer.send(channel, {"type": "said", "what": "to one"})
    assert await asyncio.wait_for(layer.receive(channel), WITHIN_S) == {"type": "said", "what": "to one"}


async def test_a_group_message_passes_an_own_send() -> None:
    sent: list[str] = []

    class Counting(InMemoryChannelLayer):
        async def send(self, channel: str, message: Any) -> None:
            sent.append(channel)
            await super().send(channel, message)

    layer = Counting(capacity=1)
    for channel in "abc":
        await layer.group_add("room", channel)
    assert await layer.group_send("room", {"type": "x"}, exclude=["b"]) == (2, 0)
    assert await layer.group_send("room", {"type": "x"}) == (1, 2), "full members are skipped, as ever"
    assert sent == ["a", "c", "a", "b", "c"]
    assert await asyncio.wait_for(layer.receive("b"), WITHIN_S) == {"type": "x"}


async def test_a_subclass_may_have_other_rules_for_names() -> None:
    class Scoped(InMemoryChannelLayer):
        MAX_NAME_LENGTH = 120
        group_name_regex = re.compile(r"^[a-z]+:[a-z]+$")

    layer = Scoped()
    await layer.group_add("tenant:room", "a" * 110)
    with pytest.raises(TypeError, match=r"Group name must be .* Found 'room'\."):
        await layer.group_send("room", {"type": "x"})
    with pytest.raises(TypeError, match="Channel name must be"):
        await layer.send("a" * 120, {"type": "x"})
    with pytest.raises(TypeError, match="must end at the !, not 'a!b'"):
        layer.require_valid_channel_name("a!b", receive=True)
    assert layer.require_valid_channel_name("a!", receive=True)
    assert BaseChannelLayer().require_valid_group_name("room")


async def test_a_layer_wrapped_in_another_object_is_asked() -> None:
    class Wrapper:
        """What people write who do not want a subclass: everything else goes to the layer inside."""

        def __init__(self, inside: Any) -> None:
            self.inside = inside

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inside, name)

        async def receive(self, channel: str) -> Any:
            return {**await self.inside.receive(channel), "what": "wrapped"}

    inside = InMemoryChannelLayer()
    register_channel_layer("subclassed", Wrapper(inside))
    try:
        member = WebsocketCommunicator(Member.as_asgi(), "/")
        assert (await member.connect(timeout=WITHIN_S))[0]
        await inside.group_send("members", {"type": "said", "what": "hello"})
        assert await member.receive_json_from(timeout=WITHIN_S) == "wrapped"
        await member.disconnect(timeout=WITHIN_S)
    finally:
        unregister_channel_layer("subclassed")


class Copied(InMemoryChannelLayer):
    """Its methods are written for the queues that the in-memory layer of Channels has."""

    def queue(self, channel: str) -> Any:
        bound: Any = asyncio.Queue(maxsize=self.get_capacity(channel))
        return self.channels.setdefault(channel, bound)

    async def send(self, channel: str, message: Any) -> None:
        try:
            self.queue(channel).put_nowait((time.time() + self.expiry, dict(message)))
        except asyncio.QueueFull:
            raise ChannelFull(channel) from None


class CopiedWithPut(Copied):
    async def send(self, channel: str, message: Any) -> None:
        await self.queue(channel).put((time.time() + self.expiry, dict(message)))


class ReceivesToo(Copied):
    async def receive(self, channel: str) -> Any:
        queue = self.queue(channel)
        try:
            _, message = await queue.get()
        finally:
            if queue.empty():
                self.channels.pop(channel, None)
        return message


@pytest.mark.parametrize("kind", [Copied, CopiedWithPut, ReceivesToo])
async def test_a_send_copied_from_channels_delivers(kind: type[InMemoryChannelLayer]) -> None:
    layer = kind(capacity=2)
    channel = await layer.new_channel()
    for n in range(2):
        await layer.send(channel, {"type": "x", "n": n})
    with pytest.raises(ChannelFull):
        await layer.send(channel, {"type": "x", "n": 2})
    assert layer.depth() == 2
    assert [(await layer.receive(channel))["n"] for _ in range(2)] == [0, 1]
    waiting = asyncio.ensure_future(layer.receive(channel))
    await asyncio.sleep(0)
    await layer.send(channel, {"type": "x", "n": 3})
    assert (await asyncio.wait_for(waiting, WITHIN_S))["n"] == 3
    assert channel not in layer.channels


@pytest.mark.parametrize("kind", [Copied, CopiedWithPut, ReceivesToo])
async def test_a_send_copied_from_channels_reaches_consumers(kind: type[InMemoryChannelLayer]) -> None:
    layer = kind()
    register_channel_layer("subclassed", layer)
    try:
        member = WebsocketCommunicator(Member.as_asgi(), "/")
        assert (await member.connect(timeout=WITHIN_S))[0]
        for what in ("one", "two"):
            await layer.group_send("members", {"type": "said", "what": what})
        (channel,) = layer.groups["members"]
        await layer.send(channel, {"type": "said", "what": "three"})
        got = [await member.receive_json_from(timeout=WITHIN_S) for _ in range(3)]
        assert got == ["one", "two", "three"]
        await member.disconnect(timeout=WITHIN_S)
    finally:
        unregister_channel_layer("subclassed")


async def test_what_waits_in_a_channel_may_be_looked_at_as_in_channels() -> None:
    layer = InMemoryChannelLayer(expiry=60, capacity=2)
    for n in range(2):
        await layer.send("tasks", {"type": "x", "n": n})
    queue: Any = layer.channels["tasks"]
    assert (queue.qsize(), queue.empty(), queue.full()) == (2, False, True)
    before = time.time()
    expiry, message = queue.get_nowait()
    assert message == {"type": "x", "n": 0} and 0 < expiry - before <= 61
    assert (await queue.get())[1]["n"] == 1
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()
    queue.put_nowait((time.time() - 1, {"type": "late"}))
    queue.put_nowait((time.time() + 1e9, {"type": "y"}))
    assert await layer.receive("tasks") == {"type": "y"}
