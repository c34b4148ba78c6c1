"""A typed consumer in conversation: what is answered, in which order, and what a mistake costs."""

from __future__ import annotations

import asyncio
import json
import logging
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, ConfigDict

from compat.closing import close_user
from compat.exceptions import (
    AcceptConnection,
    DenyConnection,
    InvalidChannelLayerError,
    LayerUnavailable,
    StopConsumer,
)
from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.settings import override
from compat.testing.layers import FaultyChannelLayer
from compat.typed import (
    AsyncJsonWebsocketConsumer,
    BaseMessage,
    ErrorMessage,
    PingMessage,
    PongMessage,
    Topic,
    config,
    ws_handler,
)
from compat.typed.events import GroupMessageEvent
from tests.unit.typed.room import Alert, Note, Room, Said, Say, Talk

PONG = {"action": "pong", "payload": None}


async def talk(consumer: Any = Room, path: str = "/ws/room/", **kwargs: Any) -> Talk:
    opened = Talk(consumer.as_asgi(), path, **kwargs)
    await opened.open()
    return opened


def said(text: str, room_name: str | None = None) -> dict[str, Any]:
    return {"action": "said", "payload": {"text": text, "room_name": room_name}}


# Messages


async def test_a_message_goes_to_the_handler_for_its_type(layer: InMemoryChannelLayer) -> None:
    client = await talk()
    assert await client.ask({"action": "ping"}) == PONG
    assert await client.ask({"action": "note", "payload": {"any": ["thing", 1, None]}}) == {
        "action": "note",
        "payload": {"any": ["thing", 1, None]},
    }
    assert await client.ask({"action": "say", "payload": {"text": "💬 hé"}}) == said("💬 hé")
    await client.leave()
    assert layer.groups == {} and layer.channels == {}


async def test_an_answer_goes_to_the_caller_alone(layer: InMemoryChannelLayer) -> None:
    one, two = await talk(), await talk()
    assert await one.ask({"action": "note", "payload": 1}) == {"action": "note", "payload": 1}
    await two.hears_nothing()
    await one.leave()
    await two.leave()


async def test_one_instance_per_connection(layer: InMemoryChannelLayer) -> None:
    class Counting(AsyncJsonWebsocketConsumer):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.count = 0

        @ws_handler
        async def count_up(self, message: PingMessage) -> Note:
            self.count += 1
            return Note(payload=self.count)

    one, two = await talk(Counting), await talk(Counting)
    assert [(await one.ask({"action": "ping"}))["payload"] for _ in range(3)] == [1, 2, 3]
    assert (await two.ask({"action": "ping"}))["payload"] == 1
    await one.leave()
    await two.leave()


async def test_ten_thousand_messages_are_handled_in_order(layer: InMemoryChannelLayer) -> None:
    handled: list[int] = []

    class Ordered(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def note(self, message: Note) -> None:
            if message.payload % 7 == 0:
                await asyncio.sleep(0)  # a handler that waits holds up what comes after it
            handled.append(message.payload)

        @ws_handler
        async def ping(self, message: PingMessage) -> PongMessage:
            return PongMessage()

    client = await talk(Ordered)
    for number in range(10_000):
        await client.say({"action": "note", "payload": number})
    await client.say({"action": "ping"})
    assert await client.receive_json_from(timeout=60) == PONG
    assert handled == list(range(10_000))
    await client.leave()


async def test_a_model_that_waits_for_a_later_definition(layer: InMemoryChannelLayer) -> None:
    class Early(BaseMessage):
        action: Literal["early"] = "early"
        payload: Later | None = None

    class Waiting(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def early(self, message: Early) -> Early:
            return message

    class Later(BaseModel):
        value: int

    Early.model_rebuild()
    client = await talk(Waiting)
    assert await client.ask({"action": "early", "payload": {"value": 3}}) == {
        "action": "early",
        "payload": {"value": 3},
    }
    await client.leave()


async def test_json_rules_hold_for_strict_models(layer: InMemoryChannelLayer) -> None:
    import datetime

    class Strict(BaseMessage):
        model_config = ConfigDict(strict=True, extra="forbid")
        action: Literal["strict"] = "strict"
        payload: datetime.datetime

    class Consumer(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def strict(self, message: Strict) -> Strict:
            return message

    class Camel(Consumer):
        camelize = True

    for consumer in (Consumer, Camel):
        client = await talk(consumer)
        frame = {"action": "strict", "payload": "2026-01-31T12:00:00Z"}
        assert await client.ask(frame) == frame
        await client.leave()


# Errors


@pytest.mark.parametrize(
    ("frame", "kind", "loc"),
    [
        ("{not json", "json_invalid", []),
        ("", "json_invalid", []),
        ({"action": "unknown"}, "union_tag_invalid", []),
        ({"payload": 1}, "union_tag_not_found", []),
        ({"action": 3}, "union_tag_invalid", []),
        ([1, 2], "dict_type", []),
        ("3", "dict_type", []),
        ({"action": "say"}, "missing", ["say", "payload"]),
        ({"action": "say", "payload": {}}, "missing", ["say", "payload", "text"]),
        ({"action": "say", "payload": {"text": 3}}, "string_type", ["say", "payload", "text"]),
        (b"binary", "json_invalid", []),
    ],
)
async def test_what_is_wrong_is_answered_and_the_socket_stays_open(
    layer: InMemoryChannelLayer, frame: Any, kind: str, loc: list[str]
) -> None:
    client = await talk()
    if isinstance(frame, bytes):
        await client.send_to(bytes_data=frame)
    elif frame == "":
        await client.send_input({"type": "websocket.receive", "text": ""})
    else:
        await client.say(frame)
    answer = await client.hear()
    assert answer["action"] == "error"
    (error,) = answer["payload"]
    assert set(error) == {"type", "loc", "msg"}
    assert (error["type"], error["loc"]) == (kind, loc)
    assert await client.ask({"action": "ping"}) == PONG
    await client.leave()


async def test_an_unknown_action_is_told_which_there_are(layer: InMemoryChannelLayer) -> None:
    client = await talk()
    answer = await client.ask({"action": "sing"})
    assert "'ping', 'say', 'note', 'fail'" in answer["payload"][0]["msg"]
    await client.leave()


async def test_a_consumer_of_one_message_has_the_same_errors(layer: InMemoryChannelLayer) -> None:
    class Only(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def ping(self, message: PingMessage) -> PongMessage:
            return PongMessage()

    client = await talk(Only)
    assert (await client.ask({"action": "sing"}))["payload"][0]["type"] == "union_tag_invalid"
    assert (await client.ask({}))["payload"][0]["type"] == "union_tag_not_found"
    assert await client.ask({"action": "ping"}) == PONG
    await client.leave()


async def test_many_errors_are_cut_short(layer: InMemoryChannelLayer) -> None:
    class Many(BaseMessage):
        action: Literal["many"] = "many"
        payload: list[int]

    class Consumer(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def many(self, message: Many) -> None: ...

    client = await talk(Consumer)
    payload = (await client.ask({"action": "many", "payload": ["x"] * 1000}))["payload"]
    assert len(payload) == 51
    assert payload[-1] == {"type": "more_errors", "loc": [], "msg": "and 950 more"}
    await client.leave()


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ({"action": "ping"}, "union_tag_invalid"),
        ({"action": ["ping"]}, "union_tag_invalid"),
        ({}, "union_tag_not_found"),
        ({"ref": "1"}, "union_tag_not_found"),
        ([1], "dict_type"),
        ("{", "json_invalid"),
        ("[" * 100_000, "json_invalid"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_frame_to_a_consumer_without_handlers_is_the_clients_mistake(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture, frame: Any, kind: str
) -> None:
    class Silent(AsyncJsonWebsocketConsumer):
        pass

    client = await talk(Silent)
    answer = await client.ask(frame)
    assert answer["action"] == "error" and answer["payload"][0]["type"] == kind
    await client.leave()
    assert not caplog.records


async def test_a_failing_handler_is_answered_with_the_id_in_the_log(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    client = await talk()
    answer = await client.ask({"action": "fail"})
    assert answer["action"] == "error"
    assert set(answer["payload"]) == {"detail", "error_id"}
    assert "secret" not in json.dumps(answer)

    (record,) = caplog.records
    assert (record.name, record.levelname) == ("compat.typed", "ERROR")
    assert answer["payload"]["error_id"] in record.getMessage()
    assert "Room at '/ws/room/'" in record.getMessage()
    assert record.exc_info is not None and "a secret of the house" in str(record.exc_info[1])
    assert await client.ask({"action": "ping"}) == PONG
    await client.leave()


async def test_a_handler_that_returns_no_message_fails(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    class Wrong(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def ping(self, message: PingMessage) -> PongMessage:
            return {"action": "pong"}  # type: ignore[return-value]

    client = await talk(Wrong)
    assert (await client.ask({"action": "ping"}))["action"] == "error"
    assert "a handler must return a message or None, not dict" in caplog.text
    await client.leave()


async def test_stop_consumer_ends_the_connection(layer: InMemoryChannelLayer) -> None:
    class Leaving(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def ping(self, message: PingMessage) -> None:
            raise StopConsumer

    client = await talk(Leaving)
    await client.say({"action": "ping"})
    assert await client.closed() == 1000


async def test_error_answers_can_be_overridden(layer: InMemoryChannelLayer) -> None:
    class Polite(Room):
        async def handle_validation_error(self, error: Any) -> None:
            await self.send_message(ErrorMessage(payload=error.error_count()))

        async def handle_message_handler_error(
            self, error: Exception, action: str, message: BaseMessage
        ) -> None:
            await self.send_message(ErrorMessage(payload=f"{action}: {error}"))

    client = await talk(Polite)
    assert await client.ask({}) == {"action": "error", "payload": 1}
    assert await client.ask({"action": "fail"}) == {
        "action": "error",
        "payload": "fail: a secret of the house",
    }
    await client.leave()


# The course of a connection


async def test_the_order_of_a_connection(layer: InMemoryChannelLayer) -> None:
    seen: list[str] = []

    class Watching(AsyncJsonWebsocketConsumer):
        groups = ["watched"]
        extra_groups = ["also"]

        async def connect(self) -> None:
            seen.append("connect")
            await self.accept(subprotocol="chosen")

        async def post_authentication(self) -> None:
            members = sorted(
                group for group, channels in layer.groups.items() if self.channel_name in channels
            )
            seen.append(f"post_authentication in {members}")

        @ws_handler
        async def ping(self, message: PingMessage) -> PongMessage:
            seen.append("ping")
            return PongMessage()

        async def disconnect(self, code: int) -> None:
            seen.append(f"disconnect {code}")

    client = Talk(Watching.as_asgi(), subprotocols=["chosen"])
    await client.send_input({"type": "websocket.connect"})
    await client.say({"action": "ping"})  # before the handshake is answered
    assert await client.receive_output() == {"type": "websocket.accept", "subprotocol": "chosen"}
    assert await client.hear() == PONG
    await client.disconnect(code=4001)
    assert seen == ["connect", "post_authentication in ['also', 'watched']", "ping", "disconnect 4001"]
    assert layer.groups == {}


async def test_a_connect_that_refuses_ends_there(layer: InMemoryChannelLayer) -> None:
    class Closed(AsyncJsonWebsocketConsumer):
        async def connect(self) -> None:
            await self.close(4003)

        async def post_authentication(self) -> None:
            raise AssertionError("nobody is in")

    client = Talk(Closed.as_asgi())
    assert await client.connect() == (False, 4003)
    await client.leave()


@pytest.mark.parametrize(("decision", "expected"), [(AcceptConnection, True), (DenyConnection, False)])
async def test_connect_may_decide_by_an_exception(
    layer: InMemoryChannelLayer, decision: type[Exception], expected: bool
) -> None:
    class Deciding(AsyncJsonWebsocketConsumer):
        async def connect(self) -> None:
            raise decision

    client = Talk(Deciding.as_asgi(), served=False)
    assert (await client.connect())[0] is expected
    await client.leave()


async def test_a_user_is_closed_from_outside_and_gets_no_broadcast_by_it(layer: InMemoryChannelLayer) -> None:
    class Mine(Room):
        user_groups = True

    class Elsewhere(Mine):
        groups = []

    async def of(user: Any, consumer: Any) -> Talk:
        client = Talk(consumer.as_asgi())
        client.scope["user"] = user
        await client.open()
        return client

    ann, bob = (SimpleNamespace(pk=name, is_authenticated=True) for name in ("ann", "bob"))
    room, elsewhere, other = await of(ann, Mine), await of(ann, Elsewhere), await of(bob, Mine)
    await room.say({"action": "say", "payload": {"text": "hi"}})
    assert await room.hear() == await other.hear() == said("hi")
    for client in (room, elsewhere, other):
        await client.hears_nothing()
    await close_user("ann", 4001)
    assert await room.closed() == await elsewhere.closed() == 4001
    await other.hears_nothing()
    await other.leave()
    assert layer.groups == {}


async def test_groups_are_the_connections_own(layer: InMemoryChannelLayer) -> None:
    class Joining(Room):
        async def post_authentication(self) -> None:
            await self.join_group(self.url_params["room"])
            await self.join_group(self.url_params["room"])

        @ws_handler
        async def handle_note(self, message: Note) -> None:  # type: ignore[override]
            await self.leave_group(message.payload)

    one = Talk(Joining.as_asgi(), "/a/")
    one.scope["path_params"] = {"room": "a"}
    two = Talk(Joining.as_asgi(), "/b/")
    two.scope["path_params"] = {"room": "b"}
    await one.open()
    await two.open()
    assert {group: len(members) for group, members in layer.groups.items()} == {"room": 2, "a": 1, "b": 1}
    assert Joining.groups == Room.groups == ["room"]
    await one.say({"action": "note", "payload": "a"})
    await one.hears_nothing()
    assert "a" not in layer.groups
    await one.leave()
    await two.leave()
    assert layer.groups == {}


async def test_extra_groups_of_all_bases_count(layer: InMemoryChannelLayer) -> None:
    class Presence:
        extra_groups: ClassVar = ["presence"]

    class Child(Presence, Room):
        extra_groups: ClassVar = ["child", "room"]

    assert Child.default_groups() == ["room", "child", "presence"]


async def test_groups_without_a_layer_are_an_error_that_names_it() -> None:
    client = Talk(Room.as_asgi(), served=False)
    assert await client.connect() == (True, None)
    with pytest.raises(InvalidChannelLayerError, match="Room uses channel layer 'default'"):
        await client.receive_output()


# Broadcasts


async def test_a_broadcast_reaches_the_groups_that_are_named(layer: InMemoryChannelLayer) -> None:
    class Rooms(Room):
        groups = None  # type: ignore[assignment]

        async def post_authentication(self) -> None:
            await self.join_group(self.scope["path"].strip("/"))

        @ws_handler
        async def handle_say(self, message: Say) -> None:
            await self.broadcast_message(Said(payload=message.payload))

        @ws_handler
        async def handle_note(self, message: Note) -> None:  # type: ignore[override]
            await self.broadcast_message(Note(payload="to b and c"), groups=["b", "c"])

    a, b, c = await talk(Rooms, "/a/"), await talk(Rooms, "/b/"), await talk(Rooms, "/c/")
    await a.say({"action": "say", "payload": {"text": "hi"}})
    assert await a.hear() == said("hi")
    await a.say({"action": "note"})
    assert await b.hear() == await c.hear() == {"action": "note", "payload": "to b and c"}
    for client in (a, b, c):
        await client.hears_nothing()
        await client.leave()


async def test_the_sender_can_be_left_out(layer: InMemoryChannelLayer) -> None:
    class Shy(Room):
        @ws_handler
        async def handle_say(self, message: Say) -> None:
            await self.broadcast_message(Said(payload=message.payload), exclude_current=True)

    one, two = await talk(Shy), await talk(Shy)
    await one.say({"action": "say", "payload": {"text": "hi"}})
    assert await two.hear() == said("hi")
    await one.hears_nothing()
    await two.hears_nothing()
    await one.leave()
    await two.leave()


async def test_a_dict_can_be_broadcast(layer: InMemoryChannelLayer) -> None:
    class Loose(Room):
        @ws_handler
        async def handle_note(self, message: Note) -> None:  # type: ignore[override]
            await self.broadcast_message({"action": "anything", "payload": message.payload}, "room")

    client = await talk(Loose)
    assert await client.ask({"action": "note", "payload": 1}) == {"action": "anything", "payload": 1}
    await client.leave()


async def test_a_consumer_that_leaves_can_still_broadcast(layer: InMemoryChannelLayer) -> None:
    class Parting(Room):
        async def websocket_disconnect(self, message: Any) -> None:
            note = Note(payload="gone")
            await self.broadcast_message(note, exclude_current=True)
            await self.channel_layer.group_discard("room", self.channel_name)
            await super().websocket_disconnect(message)

    one, two = await talk(Parting), await talk(Parting)
    await one.leave()
    assert await two.hear() == {"action": "note", "payload": "gone"}
    await two.leave()


async def test_a_broadcast_is_encoded_once_for_all_members(layer: InMemoryChannelLayer) -> None:
    encoded: list[str] = []

    class Counted(BaseModel):
        value: int

        def __repr__(self) -> str:
            return f"{self.value}"

    class Tick(BaseMessage):
        action: Literal["tick"] = "tick"
        payload: Counted

        def model_dump_json(self, **kwargs: Any) -> str:
            text = super().model_dump_json(**kwargs)
            encoded.append(text)
            return text

    class Ticking(Room):
        @ws_handler
        async def handle_note(self, message: Note) -> None:  # type: ignore[override]
            await self.broadcast_message(Tick(payload=Counted(value=message.payload)))

    clients = [await talk(Ticking) for _ in range(20)]
    await clients[0].say({"action": "note", "payload": 5})
    texts = [await client.receive_from() for client in clients]
    assert encoded == [texts[0]]
    assert all(text is texts[0] for text in texts)
    for client in clients:
        await client.leave()


@pytest.mark.parametrize("kind", [RedisPubSubChannelLayer, RedisChannelLayer])
async def test_a_broadcast_over_redis_is_encoded_once_as_well(redis_url: str, kind: Any) -> None:
    encoded: list[str] = []

    class Tick(BaseMessage):
        action: Literal["tick"] = "tick"
        payload: str

        def model_dump_json(self, **kwargs: Any) -> str:
            encoded.append(super().model_dump_json(**kwargs))
            return encoded[-1]

    class Ticking(AsyncJsonWebsocketConsumer):
        channel_layer_alias = "ticking"
        groups = ["ticking"]

        @ws_handler
        async def ping(self, message: PingMessage) -> None:
            await self.broadcast_message(Tick(payload="💬"))

    layer = kind(hosts=[redis_url], prefix=f"typed-{kind.__name__}")
    register_channel_layer("ticking", layer)
    try:
        clients = [await talk(Ticking) for _ in range(5)]
        await until_joined(clients)
        await clients[0].say({"action": "ping"})
        texts = [await client.receive_from(timeout=15) for client in clients]
        assert encoded == [texts[0]] and set(texts) == {'{"action":"tick","payload":"💬"}'}
        for client in clients:
            await client.leave()
    finally:
        await layer.close_pools()
        unregister_channel_layer("ticking")


async def until_joined(clients: list[Talk]) -> None:
    """An answer to a frame shows that a connection's groups are joined."""
    for client in clients:
        assert (await client.ask("{"))["action"] == "error"


async def test_broadcasts_from_a_process_that_runs_chanx_are_understood(layer: InMemoryChannelLayer) -> None:
    one, two = await talk(), await talk()
    (first, _) = layer.groups["room"]
    message = {"action": "said", "payload": {"text": "elsewhere", "room_name": None}}
    event = {
        "type": "handle_group_message",
        "message": message,
        "exclude_current": True,
        "from_channel": first,
    }
    await layer.group_send("room", event)
    assert await two.hear() == said("elsewhere")
    await one.hears_nothing()
    await layer.group_send(
        "room", {"type": "handle_channel_event", "event_data": {"action": "alert", "payload": "fire"}}
    )
    assert await one.hear() == await two.hear() == said("fire")
    await one.leave()
    await two.leave()


# What a subclass sees


async def test_a_subclass_that_overrides_send_json_sees_everything(layer: InMemoryChannelLayer) -> None:
    class Stamping(Room):
        async def send_json(self, content: Any, close: bool | int = False) -> None:
            await super().send_json({**content, "stamped": True}, close)

    client = await talk(Stamping)
    assert await client.ask({"action": "ping"}) == {**PONG, "stamped": True}
    assert await client.ask({"action": "say", "payload": {"text": "hi"}}) == {**said("hi"), "stamped": True}
    await client.leave()


async def test_a_subclass_that_overrides_handle_group_message_sees_broadcasts(
    layer: InMemoryChannelLayer,
) -> None:
    class Filtering(Room):
        async def handle_group_message(self, event: GroupMessageEvent) -> None:
            if event.get("message", {})["payload"]["text"] != "secret":
                await super().handle_group_message(event)

    client = await talk(Filtering)
    await client.say({"action": "say", "payload": {"text": "secret"}})
    assert await client.ask({"action": "say", "payload": {"text": "open"}}) == said("open")
    await client.leave()


async def test_a_subclass_that_overrides_receive_json_sees_what_comes(layer: InMemoryChannelLayer) -> None:
    class Renaming(Room):
        async def receive_json(self, content: Any, **kwargs: Any) -> None:
            await super().receive_json({**content, "action": content["type"]}, **kwargs)

    client = await talk(Renaming)
    assert await client.ask({"type": "ping"}) == PONG
    await client.leave()


async def test_send_message_can_be_validated(layer: InMemoryChannelLayer) -> None:
    class Sending(Room):
        @ws_handler
        async def handle_note(self, message: Note) -> None:  # type: ignore[override]
            said = Said.model_construct(payload={"text": 3})
            await self.send_message(said, validate=True)

    client = await talk(Sending)
    assert (await client.ask({"action": "note"}))["payload"]["detail"] == "the handler of 'note' failed"
    await client.leave()


# Options


async def test_a_ref_comes_back_with_the_answer(layer: InMemoryChannelLayer) -> None:
    client = await talk()
    assert await client.ask({"action": "ping", "ref": "a"}) == {**PONG, "version": 1, "ref": "a"}
    assert (await client.ask({"action": "say", "ref": "b", "payload": {}}))["ref"] == "b"
    assert await client.ask({"action": "say", "ref": "c", "payload": {"text": "x"}}) == said("x")
    assert await client.ask({"action": "ping"}) == PONG
    assert (await client.ask({"action": "ping", "ref": 3}))["payload"][0]["loc"] == ["ref"]
    await client.leave()


async def test_a_message_may_have_a_field_that_the_envelope_has_too(layer: InMemoryChannelLayer) -> None:
    class Versioned(BaseMessage):
        action: Literal["versioned"] = "versioned"
        payload: None = None
        version: str

    class Consumer(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def versioned(self, message: Versioned) -> Versioned:
            return message

    client = await talk(Consumer)
    assert (await client.ask({"action": "versioned", "version": "1.2"}))["version"] == "1.2"
    await client.leave()


async def test_an_envelope_is_seen_without_a_ref(layer: InMemoryChannelLayer) -> None:
    """Was: its other members were part of the message, and a topic's message was handled by the consumer."""

    class Strict(BaseMessage):
        model_config = ConfigDict(extra="forbid")
        action: Literal["strict"] = "strict"
        payload: dict[str, Any] = {}

    class Consumer(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def strict(self, message: Strict) -> Strict:
            return message

    client = await talk(Consumer)
    strict: dict[str, Any] = {"action": "strict", "payload": {"topic": "of the payload"}}
    assert await client.ask(strict) == strict
    assert (await client.ask({**strict, "version": 1}))["action"] == "strict"
    assert (await client.ask({**strict, "topic": "room:1"}))["action"] == "error"
    for member in ("version", "seq"):
        assert (await client.ask({**strict, member: "x"}))["payload"][0]["loc"] == [member]
    await client.send_to(text_data='{"action": "strict", "\\u0072ef": "a"}')
    assert (await client.receive_json_from())["ref"] == "a"
    await client.leave()


async def test_completion_messages(layer: InMemoryChannelLayer) -> None:
    class Complete(Room):
        send_completion = True

    client = await talk(Complete)
    await client.say({"action": "ping"})
    assert [await client.hear(), await client.hear()] == [PONG, {"action": "complete", "payload": None}]
    await client.say({"action": "say", "payload": {"text": "x"}})
    heard = [await client.hear() for _ in range(3)]
    assert [frame["action"] for frame in heard] == ["complete", "said", "group_complete"]
    await client.leave()


async def test_camel_case(layer: InMemoryChannelLayer) -> None:
    class Camel(Room):
        camelize = True

        @ws_handler(output_type=Said)
        async def handle_say(self, message: Say) -> None:
            assert message.payload.room_name == "lobby"
            await self.send_message(Said(payload=message.payload))
            await self.broadcast_message(Said(payload=message.payload))

    client = await talk(Camel)
    expected = {"action": "said", "payload": {"text": "hi", "roomName": "lobby"}}
    assert await client.ask({"action": "say", "payload": {"text": "hi", "roomName": "lobby"}}) == expected
    assert await client.hear() == expected
    answer = await client.ask({"action": "note", "payload": {"own_key": 1}})
    assert answer["payload"] == {"own_key": 1}
    await client.leave()


async def test_the_discriminator_can_have_another_name(layer: InMemoryChannelLayer) -> None:
    class Kinds(Room):
        discriminator_field = "kind"

    client = await talk(Kinds)
    assert await client.ask({"kind": "ping"}) == {"kind": "pong", "payload": None}
    assert (await client.ask({"kind": "say", "payload": {"text": "x"}}))["kind"] == "said"
    pong = await client.ask({"kind": "ping", "action": "say"})
    assert pong["kind"] == "pong", "was: the key of the other name chose the message"
    error = await client.ask({"action": "ping"})
    assert error["kind"] == "error" and error["payload"][0]["type"] == "union_tag_not_found"
    await client.leave()


async def test_a_message_with_a_discriminator_of_its_own(layer: InMemoryChannelLayer) -> None:
    class Own(BaseMessage):
        action: Literal["own"] = "own"
        kind: Literal["special"] = "special"
        payload: None = None

    class Kinds(AsyncJsonWebsocketConsumer):
        discriminator_field = "kind"

        @ws_handler
        async def own(self, message: Own) -> Own:
            return message

    client = await talk(Kinds)
    assert await client.ask({"kind": "special"}) == {"action": "own", "kind": "special", "payload": None}
    await client.leave()


async def test_messages_can_be_logged(layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    class Logged(Room):
        log_websocket_message = True
        log_ignored_actions = ["pong"]

    with caplog.at_level(logging.INFO, "compat.typed"):
        client = await talk(Logged)
        await client.ask({"action": "ping"})
        await client.ask({"action": "say", "payload": {"text": "x"}})
        await client.leave()
    assert [record.getMessage().rpartition(") ")[2] for record in caplog.records] == [
        "received ping",
        "received say",
        "sent said",
    ]


async def test_options_come_from_config_and_settings(layer: InMemoryChannelLayer) -> None:
    with override(CHANX={"SEND_COMPLETION": True, "ASYNCAPI_TITLE": "…"}):
        client = await talk()
        await client.say({"action": "ping"})
        assert [await client.hear(), (await client.hear())["action"]] == [PONG, "complete"]
        await client.leave()
    try:
        config.send_completion = True
        with override(CHANX={"SEND_COMPLETION": False}):
            assert config.send_completion is True
    finally:
        config.reset()
    assert config.send_completion is False


def test_an_unknown_option_is_an_error() -> None:
    from compat.exceptions import ImproperlyConfigured

    with (
        override(CHANX={"CAMELISE": True}),
        pytest.raises(ImproperlyConfigured, match="did you mean 'CAMELIZE'"),
    ):
        _ = config.camelize
    with pytest.raises(AttributeError, match="config has no 'camel'"):
        config.camel = True  # type: ignore[attr-defined]


async def test_send_message_immediately_lets_others_have_their_turn(layer: InMemoryChannelLayer) -> None:
    class Streaming(AsyncJsonWebsocketConsumer):
        send_message_immediately = True

        @ws_handler
        async def note(self, message: Note) -> None:
            for number in range(message.payload):
                await self.send_message(Note(payload=number))

    client = await talk(Streaming)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    await client.say({"action": "note", "payload": 50})
    assert [(await client.hear())["payload"] for _ in range(50)] == list(range(50))
    counting.cancel()
    assert turns >= 50
    await client.leave()


class Notes(Topic):
    pattern = "notes"

    async def authorize(self) -> bool:
        for _ in range(5):  # time for a message to come first
            await asyncio.sleep(0)
        return True

    @ws_handler
    async def note(self, message: Note) -> Note:
        return message


class AcceptingLater(Room):
    """Accepts from a task; a room in whose `post_authentication()` a message may wait."""

    async def connect(self) -> None:
        self.admitted = asyncio.get_running_loop().create_task(self.accept())

    async def post_authentication(self) -> None:
        await self.broadcast_message(Note(payload="first"))
        await asyncio.sleep(0)
        await self.broadcast_message(Note(payload="second"))


class AcceptingWhenTold(AcceptingLater):
    async def connect(self) -> None:
        await self.channel_layer.send(self.channel_name, {"type": "admit"})

    async def admit(self, message: Any) -> None:
        await self.accept()


@pytest.mark.parametrize("consumer", [AcceptingLater, AcceptingWhenTold])
async def test_a_client_that_is_accepted_later_has_its_groups(
    layer: InMemoryChannelLayer, consumer: type[Room]
) -> None:
    """Was: it was in no group, and its `post_authentication()` was never called."""
    client = await talk(consumer)
    await client.say({"action": "ping"})
    got = [await client.hear() for _ in range(3)]
    assert sorted(str(one["payload"]) for one in got) == ["None", "first", "second"]
    await client.leave()
    assert layer.groups == {}


async def test_a_later_accept_that_fails_may_be_repeated(layer: InMemoryChannelLayer) -> None:
    """Was: the second one left the client in no group."""

    class Trying(AcceptingWhenTold):
        async def admit(self, message: Any) -> None:
            with pytest.raises(TypeError):
                await self.accept(headers=5)
            await self.accept()

    client = await talk(Trying)
    assert [(await client.hear())["payload"] for _ in range(2)] == ["first", "second"]
    await client.leave()


async def test_a_topic_of_its_own_route_may_accept_later(layer: InMemoryChannelLayer) -> None:
    class Route(AsyncJsonWebsocketConsumer):
        topics = [Notes]
        default_topic = Notes

        async def connect(self) -> None:
            self.admitted = asyncio.get_running_loop().create_task(self.accept())

    client = await talk(Route)
    await client.say({"action": "note"})
    assert [(await client.hear())["action"] for _ in range(2)] == ["subscribed", "note"]
    await client.leave()


@pytest.mark.parametrize("kind", ["broadcast", "broadcast of Chanx", "event", "event of Chanx"])
async def test_groups_speak_to_a_client_only_after_its_beginning(kind: str) -> None:
    """Was: a broadcast came before the accept, which servers refuse, and neither waited for the beginning."""

    class Busy(InMemoryChannelLayer):
        async def group_add(self, group: str, channel: str, last: int | None = None) -> None:
            await super().group_add(group, channel)
            if kind == "event":
                await Late.broadcast_event(Alert(payload="at once"), [group])
            elif kind == "event of Chanx":
                alert = {"action": "alert", "payload": "at once"}
                await self.group_send(group, {"type": "handle_channel_event", "event_data": alert})
            elif kind == "broadcast of Chanx":
                await self.group_send(group, {"type": "handle_group_message", "message": {"action": "said"}})
            else:
                await self.group_send(group, {"type": "websocket.send", "text": '{"action": "said"}'})
            for _ in range(5):  # time for it to be handled
                await asyncio.sleep(0)

    class Late(AcceptingLater):
        async def post_authentication(self) -> None:
            for _ in range(5):
                await asyncio.sleep(0)
            await self.send_message(Note(payload="begun"))

    layer = Busy()
    register_channel_layer("default", layer)
    try:
        client = await talk(Late)
        assert [(await client.hear())["action"] for _ in range(2)] == ["note", "said"]
        await client.leave()
        assert layer.groups == {}
    finally:
        unregister_channel_layer("default")


async def test_who_has_left_is_accepted_too_late_to_join_groups(layer: InMemoryChannelLayer) -> None:
    """Was: the channel was in the group for as long as memberships last."""
    left = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    class Late(Room):
        async def connect(self) -> None:
            tasks.append(asyncio.get_running_loop().create_task(self.admit()))

        async def admit(self) -> None:
            await left.wait()
            await self.accept()

    client = Talk(Late.as_asgi(), "/ws/room/")
    await client.send_input({"type": "websocket.connect"})
    await client.send_input({"type": "websocket.disconnect", "code": 1001})
    await client.wait()
    left.set()
    await asyncio.wait(tasks)
    assert layer.groups == {}


async def test_who_leaves_while_its_groups_are_joined_is_in_none() -> None:
    """Was: the channel was in the groups that were joined after its disconnect()."""
    layer = FaultyChannelLayer()
    register_channel_layer("default", layer)
    begun: list[Any] = []
    tasks: list[asyncio.Task[None]] = []

    class Late(Room):
        groups = ["one", "two"]

        async def connect(self) -> None:
            tasks.append(asyncio.get_running_loop().create_task(self.accept()))

        async def post_authentication(self) -> None:
            begun.append(self)

    try:
        with layer.held("group_add"):
            client = await talk(Late)
            await client.leave()
        await asyncio.wait(tasks)
        assert not any(layer.groups.values()) and begun == []
    finally:
        unregister_channel_layer("default")


@pytest.mark.parametrize("why", ["the layer is away", "it took too long"])
async def test_a_client_for_whom_the_late_beginning_fails_is_closed(why: str) -> None:
    """Was: it stayed open in no group, and its messages were handled though it had not begun."""
    layer = FaultyChannelLayer()
    register_channel_layer("default", layer)
    handled: list[Any] = []
    tasks: list[asyncio.Task[None]] = []

    class Late(Room):
        async def connect(self) -> None:
            tasks.append(asyncio.get_running_loop().create_task(self.accept()))

        async def post_authentication(self) -> None:
            await asyncio.Event().wait()

        @ws_handler
        async def handle_note(self, message: Note) -> Note:
            handled.append(message)
            return message

    try:
        if why == "the layer is away":
            layer.fail("group_add")
        client = await talk(Late)
        await client.say({"action": "note"})
        if why == "it took too long":
            tasks[0].cancel()
        assert await client.receive_output() == {"type": "websocket.close", "code": 1011}
        await client.leave()
        await asyncio.wait(tasks)
        assert tasks[0].cancelled() or isinstance(tasks[0].exception(), LayerUnavailable)
        assert not any(layer.groups.values()) and handled == []
    finally:
        unregister_channel_layer("default")


async def test_a_frame_that_waited_for_the_beginning_is_not_handled_after_a_close(
    layer: InMemoryChannelLayer,
) -> None:
    handled: list[Any] = []
    heard, closed = asyncio.Event(), asyncio.Event()

    class Late(Room):
        async def connect(self) -> None:
            self.admitted = asyncio.get_running_loop().create_task(self.accept())

        async def post_authentication(self) -> None:
            await heard.wait()
            await self.close(4003)
            closed.set()

        async def receive(self, *args: Any, **kwargs: Any) -> None:
            heard.set()
            await super().receive(*args, **kwargs)

        @ws_handler
        async def handle_note(self, message: Note) -> Note:
            handled.append(message)
            return message

    client = await talk(Late)
    await client.say({"action": "note"})
    await closed.wait()
    await client.leave()
    assert handled == []
