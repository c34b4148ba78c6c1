"""S0-17 to S0-36: messages, decorators, and which handler gets what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from compat.layers import InMemoryChannelLayer, register_channel_layer
from compat.typed import AsyncJsonWebsocketConsumer, BaseMessage, PingMessage, PongMessage, ws_handler
from compat.typed.asyncapi import document
from tests.support.clients import get
from tests.support.servers import Server
from tests.unit.typed.room import Talk

Src = Callable[[str], Any]
Imported = Callable[[str], dict[str, Any]]


@pytest.fixture
def chat(src: Src) -> InMemoryChannelLayer:
    """The layer "chat", in memory; `src` takes it away."""
    layer = InMemoryChannelLayer()
    register_channel_layer("chat", layer)
    return layer


async def enter(src: Src, room: str) -> Talk:
    client = Talk(src("apps.room_chat.consumer").RoomChatConsumer.as_asgi(), f"/room/{room}")
    client.scope["path_params"] = {"room_name": room}
    await client.open()
    return client


@pytest.mark.parametrize(
    "line",
    [
        "from chanx.messages.base import BaseMessage",
        "from chanx.core.decorators import channel, ws_handler",
        "from chanx.messages.incoming import PingMessage",
        "from chanx.messages.outgoing import PongMessage",
        "from fast_channels.type_defs import WebSocketDisconnectEvent",
    ],
)
def test_S0_17_S0_23_S0_24_S0_25_imports(line: str, imported: Imported) -> None:
    names = imported(line)
    for name in line.partition(" import ")[2].split(", "):
        assert names[name] is not None


def test_S0_17_to_S0_21_messages_and_their_payload(src: Src) -> None:
    messages = src("apps.room_chat.messages")
    payload = messages.RoomMessagePayload(message="hi")
    assert payload.room_name is None
    with pytest.raises(ValidationError):
        messages.RoomMessagePayload()
    assert messages.RoomChatMessage(payload=payload).action == "room_chat"
    assert messages.RoomNotificationMessage(payload=payload).action == "room_notification"


def test_S0_22_a_message_without_a_literal_action_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="needs an action that is a Literal"):

        class Nameless(BaseMessage):
            payload: str


def test_S0_26_S0_31_S0_32_what_the_decorators_say_is_in_the_document(typed_server: Server) -> None:
    made = get(typed_server, "/asyncapi.json").json()
    room = made["channels"]["room_chat"]
    assert room["description"] == "Room Chat Consumer - Dynamic room-based messaging"
    assert room["tags"] == [{"name": "chat"}, {"name": "rooms"}]
    ping = made["operations"]["room_chat_handle_ping"]
    assert ping["summary"] == "Handle ping requests"
    assert ping["description"] == "Simple ping-pong for connectivity testing"
    said = made["operations"]["room_chat_handle_room_chat"]
    assert said["reply"]["messages"] == [{"$ref": "#/channels/room_chat/messages/RoomNotificationMessage"}]


def test_S0_27_S0_28_the_users_own_base_and_its_layer(src: Src, chat: InMemoryChannelLayer) -> None:
    consumer = src("apps.room_chat.consumer").RoomChatConsumer
    assert src("base_consumer").BaseConsumer in consumer.__mro__
    assert consumer.channel_layer_alias == "chat"
    assert consumer.get_channel_layer(consumer.channel_layer_alias) is chat


async def test_S0_28_S0_29_S0_30_each_connection_is_an_instance_on_that_layer(
    src: Src, chat: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    module = src("apps.room_chat.consumer")
    original = module.RoomChatConsumer.post_authentication

    async def watched(self: Any) -> None:
        made.append((self, self.room_name, self.room_group_name))
        await original(self)

    monkeypatch.setattr(module.RoomChatConsumer, "post_authentication", watched)
    one, two = await enter(src, "a"), await enter(src, "b")
    await one.hears_nothing()
    await two.hears_nothing()
    (first, *before), (second, *_) = made
    assert before == [None, None]
    assert first is not second and (first.room_name, second.room_name) == ("a", "b")
    assert first.channel_layer is chat
    assert set(chat.groups) == {"room_a", "room_b"}
    await one.leave()
    await two.leave()


async def test_S0_33_to_S0_36_the_annotation_decides_who_handles_what(
    src: Src, chat: InMemoryChannelLayer
) -> None:
    client, other = await enter(src, "general"), await enter(src, "general")
    assert (await client.hear())["action"] == "room_notification"
    await client.say({"action": "ping"})
    assert await client.hear() == {"action": "pong", "payload": None}
    await other.hears_nothing()
    message = {"action": "room_chat", "payload": {"message": "hi"}}
    assert (await client.ask(message))["payload"]["message"].endswith("hi")
    await client.hears_nothing()  # a handler that returned None sends nothing by itself
    await other.hear()
    await client.leave()
    await other.leave()


async def test_S0_33_names_of_methods_do_not_matter(chat: InMemoryChannelLayer) -> None:
    class Named(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def anything_at_all(self, _ignored: PingMessage) -> PongMessage:
            return PongMessage()

    client = Talk(Named.as_asgi())
    await client.open()
    await client.hears_nothing()
    await client.leave()
    assert list(document(Named.as_asgi())["operations"]) == ["named_anything_at_all", "named_notices"]
