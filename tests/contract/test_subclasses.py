"""A subclass of a layer of ours sees what it overrides: people decrypt, count and filter there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

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
