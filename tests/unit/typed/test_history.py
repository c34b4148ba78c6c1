"""Typed consumers and groups with a history: what a newcomer is told, and what is returned of a group."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from compat.exceptions import ImproperlyConfigured
from compat.layers import InMemoryChannelLayer, channel_layers, register_channel_layer
from compat.typed import AsyncJsonWebsocketConsumer, PingMessage, PongMessage, ws_handler
from tests.unit.typed.room import Alert, Line, Note, Room, Said, Say, Talk


class Late(AsyncJsonWebsocketConsumer[Alert]):
    """Joins when it is asked to; handles events as the room does."""

    passthrough_events = [Alert]

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler
    async def note(self, message: Note) -> None:
        await self.join_group("room", last=message.payload)

    @ws_handler
    async def say(self, message: Say) -> None:
        await self.broadcast_message(Said(payload=message.payload), ["room"], exclude_current=True)


@pytest.fixture(autouse=True)
def layer() -> Iterator[InMemoryChannelLayer]:
    before = dict(channel_layers.backends)
    made = InMemoryChannelLayer(history={"room": {"count": 10}})
    register_channel_layer("default", made)
    yield made
    channel_layers.backends.clear()
    channel_layers.backends.update(before)


@pytest.fixture
async def talk() -> AsyncIterator[Any]:
    opened: list[Talk] = []

    async def open_one(consumer: Any = Room) -> Talk:
        opened.append(Talk(consumer.as_asgi()))
        await opened[-1].open()
        return opened[-1]

    yield open_one
    for one in opened:
        await one.leave()


def said(text: str) -> dict[str, Any]:
    return {"action": "said", "payload": {"text": text, "room_name": None}}


async def test_who_joins_handles_the_earlier_ones(talk: Any) -> None:
    first, late = await talk(), await talk(Late)
    for text in ("one", "two"):
        assert await first.ask({"action": "say", "payload": {"text": text}}) == said(text)
    await Room.broadcast_event(Alert(payload="fire"))
    assert await first.hear() == said("fire")
    await late.say({"action": "note", "payload": 2})
    assert [await late.hear(), await late.hear()] == [said("two"), {"action": "alert", "payload": "fire"}]
    await late.hears_nothing()


async def test_the_history_of_a_group_is_of_its_messages(talk: Any, layer: InMemoryChannelLayer) -> None:
    first = await talk()
    assert await first.ask({"action": "say", "payload": {"text": "one"}}) == said("one")
    await Room.broadcast_event(Alert(payload="fire"))
    await layer.group_send("room", {"type": "chat.message", "text": "of another consumer"})
    found = await Room.history("room")
    assert found == [
        said("one"),
        {"action": "alert", "payload": "fire"},
        {"type": "chat.message", "text": "of another consumer"},
    ]
    assert Said.model_validate(found[0]).payload.text == "one"
    assert await Room.history("room", since=found[0].id) == found[1:]
    assert found.complete and found.position == found[-1].id
    with pytest.raises(ImproperlyConfigured, match="hall"):
        await Room.history("hall")


def test_without_an_event_loop(layer: InMemoryChannelLayer) -> None:
    Room.broadcast_event_sync(Alert(payload="fire"))
    assert Room.history_sync("room", 1) == [{"action": "alert", "payload": "fire"}]


async def test_the_sender_is_left_out_in_the_history_too(talk: Any, layer: InMemoryChannelLayer) -> None:
    late, first = await talk(Late), await talk()
    await late.say({"action": "note", "payload": 0})
    await late.say({"action": "say", "payload": Line(text="not to me").model_dump()})
    assert await first.hear() == said("not to me")
    await late.hears_nothing()
    (entry,) = await layer.history("room")
    assert "exclude" not in entry, "the layer knows who is excluded, under any later name"
