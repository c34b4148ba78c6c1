"""S0-17 to S0-36: messages, decorators, and which handler gets what."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
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


def test_S0_17_a_message_has_an_action_and_a_payload_of_its_model(src: Src) -> None:
    messages = src("apps.room_chat.messages")
    message = messages.RoomChatMessage(payload={"message": "hi"})
    assert isinstance(message, BaseMessage)
    assert isinstance(message.payload, messages.RoomMessagePayload)
    assert message.model_dump() == {"action": "room_chat", "payload": {"message": "hi", "room_name": None}}
    with pytest.raises(ValidationError):
        messages.RoomChatMessage(action="another", payload={"message": "hi"})


def test_S0_18_a_message_is_required_and_a_room_is_not(src: Src) -> None:
    payload = src("apps.room_chat.messages").RoomMessagePayload
    assert payload(message="hi").room_name is None
    assert payload(message="hi", room_name="lobby").room_name == "lobby"
    for wrong in ({}, {"room_name": "lobby"}, {"message": None}, {"message": "hi", "room_name": 3}):
        with pytest.raises(ValidationError):
            payload(**wrong)


@pytest.mark.parametrize(
    ("name", "action"),
    [
        pytest.param("RoomChatMessage", "room_chat", id="S0_19"),
        pytest.param("RoomNotificationMessage", "room_notification", id="S0_20"),
    ],
)
def test_S0_19_S0_20_actions(src: Src, name: str, action: str) -> None:
    assert getattr(src("apps.room_chat.messages"), name)(payload={"message": "x"}).action == action


def test_S0_21_two_messages_share_one_payload(src: Src) -> None:
    messages = src("apps.room_chat.messages")
    payload = messages.RoomMessagePayload(message="hi")
    made = [kind(payload=payload) for kind in (messages.RoomChatMessage, messages.RoomNotificationMessage)]
    assert {type(message.payload) for message in made} == {messages.RoomMessagePayload}


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


@pytest.fixture
async def two(src: Src, chat: InMemoryChannelLayer) -> AsyncIterator[tuple[Talk, Talk]]:
    """Two in one room; what entering caused has been heard."""
    one, other = await enter(src, "general"), await enter(src, "general")
    assert (await one.hear())["action"] == "room_notification"
    await other.hears_nothing()
    yield one, other
    await one.leave()
    await other.leave()


async def test_S0_33_the_annotation_decides_who_handles_what(two: tuple[Talk, Talk]) -> None:
    one, _ = two
    assert (await one.ask({"action": "ping"}))["action"] == "pong"
    said = await one.ask({"action": "room_chat", "payload": {"message": "hi"}})
    assert (said["action"], said["payload"]["message"]) == ("room_notification", "💬 hi")


async def test_S0_34_a_parameter_may_begin_with_an_underscore(src: Src, two: tuple[Talk, Talk]) -> None:
    handler = src("apps.room_chat.consumer").RoomChatConsumer.handle_ping
    assert list(inspect.signature(handler).parameters) == ["self", "_message"]
    assert (await two[0].ask({"action": "ping"}))["action"] == "pong"


async def test_S0_35_what_a_handler_returns_goes_to_its_caller_only(two: tuple[Talk, Talk]) -> None:
    one, other = two
    assert await one.ask({"action": "ping"}) == {"action": "pong", "payload": None}
    await other.hears_nothing()


async def test_S0_36_a_handler_that_returns_none_sends_nothing(two: tuple[Talk, Talk]) -> None:
    one, other = two
    await one.say({"action": "room_chat", "payload": {"message": "hi"}})
    assert await one.hear() == await other.hear()  # by its broadcast
    await one.hears_nothing()


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
