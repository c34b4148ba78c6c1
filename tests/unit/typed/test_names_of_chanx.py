"""Names that Chanx' users know, beside those that other tests go by: each does what it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from starlette.requests import Request

from compat.layers import InMemoryChannelLayer
from compat.settings import override
from compat.testing.websocket import WebsocketCommunicator as PlainCommunicator
from compat.typed import (
    AsyncJsonWebsocketConsumer,
    BaseMessage,
    PingMessage,
    PongMessage,
    Topic,
    TopicErrorReason,
    UserAuthenticator,
    config,
    ws_handler,
)
from compat.typed.asyncapi import document, generate_asyncapi_schema
from compat.typed.testing import DjangoWebsocketCommunicator, WebsocketCommunicatorMixin
from tests.unit.typed.room import Alert, Line, Note, Room, Said, Say, Talk
from tests.unit.typed.test_topics import RunTopic, TeamTopic


class HTTPRoomConsumer(AsyncJsonWebsocketConsumer):
    """One that only passes on."""

    passthrough_events = [Alert, Note]
    passthrough_method_prefix = "pass_"

    async def pass_note(self, event: Note) -> None:
        """One's own of that name stays."""


class Helpful(AsyncJsonWebsocketConsumer):
    """Speaks under topics from its own handlers."""

    topics = [RunTopic, TeamTopic]

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler
    async def note(self, message: Note) -> None:
        await self.send_topic_message("team:a:member:b", Said(payload=Line(text="x", room_name="y")))
        await self.send_topic_error("team:a:member:b", TopicErrorReason.UNAUTHORIZED, "not today")
        await self.send_topic_json("team:a:member:b", {"any_thing": message.payload})


async def talk(consumer: Any) -> Talk:
    client = Talk(consumer.as_asgi())
    await client.open()
    return client


# Of a class


def test_names_are_the_classes_without_consumer() -> None:
    assert (HTTPRoomConsumer.name, HTTPRoomConsumer.snake_name) == ("HTTPRoom", "http_room")
    assert (RunTopic.name, RunTopic.snake_name) == ("RunTopic", "run_topic")
    assert Room().name == "Room"

    class Named(Room):
        name = "mine"

    assert (Named.name, Named.snake_name) == ("mine", "named")


def test_adapters_validate_what_comes_in() -> None:
    assert Room.incoming_message_adapter is not None and Room.incoming_event_adapter is not None
    say = Say(payload=Line(text="x"))
    assert Room.incoming_message_adapter.validate_python(say.model_dump()) == say
    assert Room.incoming_event_adapter.validate_python({"action": "alert", "payload": "x"}) == Alert(
        payload="x"
    )
    assert RunTopic.incoming_event_adapter is not None
    assert HTTPRoomConsumer.incoming_message_adapter is None


async def test_an_event_that_is_passed_on_has_a_method() -> None:
    consumer: Any = HTTPRoomConsumer()
    alert = Alert(payload="x")
    assert await consumer.pass_alert(alert) is alert
    assert await consumer.pass_note(Note()) is None
    assert not hasattr(consumer, "handle_passthrough_alert")


# Options as they hold


def test_options_are_the_classes_or_the_configured() -> None:
    class Camel(Room):
        camelize = True
        send_completion = False
        log_ignored_actions = ["ping"]

    assert (Camel().should_camelize, Room().should_camelize) == (True, False)
    with override(CHANX={"SEND_COMPLETION": True, "CAMELIZE": True, "LOG_IGNORED_ACTIONS": ["say"]}):
        assert (Camel().should_send_completion, Room().should_send_completion) == (False, True)
        assert Room().should_camelize is True
        completions = {"complete", "event_complete", "group_complete"}
        assert Camel().all_log_ignored_actions == {"ping", *completions}
        assert Room().all_log_ignored_actions == {"say", *completions}


async def test_whether_it_sends_completions_can_be_decided_for_each_connection(
    layer: InMemoryChannelLayer,
) -> None:
    class Deciding(Room):
        @property
        def should_send_completion(self) -> bool:
            return True

    client = await talk(Deciding)
    assert (await client.ask({"action": "ping"}))["action"] == "pong"
    assert (await client.hear())["action"] == "complete"
    await client.leave()


def test_camel_case_is_decided_for_the_class() -> None:
    with pytest.raises(TypeError, match=r"Deciding overrides should_camelize.* Set camelize = True"):

        class Deciding(Room):
            @property
            def should_camelize(self) -> bool:
                return True


# Topics


async def test_a_consumer_speaks_under_a_topic(layer: InMemoryChannelLayer) -> None:
    client = await talk(Helpful)
    envelope = {"version": 1, "topic": "team:a:member:b", "ref": "7"}
    said = {"action": "said", "payload": {"text": "x", "room_name": "y"}, **envelope}
    assert await client.ask({"action": "note", "payload": 5, "ref": "7"}) == said
    error = {"reason": "unauthorized", "detail": "not today"}
    assert await client.hear() == {"action": "error", "payload": error, **envelope}
    assert await client.hear() == {"any_thing": 5, **envelope}
    await client.leave()


async def test_a_subclass_that_overrides_send_topic_json_sees_everything(layer: InMemoryChannelLayer) -> None:
    class Seeing(Helpful):
        async def send_topic_json(self, topic: str, content: Mapping[str, Any]) -> None:
            await super().send_topic_json(topic, {**content, "seen": True})

    client = await talk(Seeing)
    assert (await client.ask({"action": "subscribe", "topic": "run:1"}))["seen"]
    assert (await client.hear())["seen"]  # on_subscribe
    assert (await client.ask({"action": "sing", "topic": "run:1"}))["seen"]
    assert (await client.ask({"action": "subscribe", "topic": "walk:1"}))["seen"]
    await client.leave()


async def test_a_topic_can_send_json_and_close(layer: InMemoryChannelLayer) -> None:
    class Closing(Topic):
        pattern = "closing"

        async def on_subscribe(self) -> None:
            await self.send_json({"last": 1}, close=4001)

    class Host(AsyncJsonWebsocketConsumer):
        topics = [Closing]

    client = await talk(Host)
    await client.ask({"action": "subscribe", "topic": "closing"})
    assert await client.hear() == {"last": 1, "version": 1, "topic": "closing"}
    assert (await client.receive_output(timeout=15))["code"] == 4001


async def test_a_topics_event_from_a_process_that_runs_chanx_is_understood(
    layer: InMemoryChannelLayer,
) -> None:
    client = await talk(Helpful)
    await client.ask({"action": "subscribe", "topic": "run:1"})
    await client.hear()
    for topic in ("run:2", "run:1"):  # the first has no subscriber
        event = {"topic": topic, "seq": 3, "event_data": {"action": "alert", "payload": "go"}}
        await layer.group_send(RunTopic.group_name("run:1"), {"type": "handle_topic_event", **event})
    line = {"text": "go", "room_name": None}
    assert await client.hear() == {
        "action": "said",
        "payload": line,
        "version": 1,
        "topic": "run:1",
        "seq": 3,
    }
    await client.hears_nothing()
    await client.leave()


# Around consumers


def test_a_schema_for_a_request() -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "scheme": "https", "headers": []}
    request = Request({**scope, "server": ("chat.example", 443), "query_string": b""})
    app: Any = Room.as_asgi()
    made = generate_asyncapi_schema(request, app, {"title": "Named"})
    assert made["info"]["title"] == "Named"
    assert made["servers"] == {"default": {"host": "chat.example", "protocol": "wss"}}
    assert made["channels"] == document(app)["channels"]


async def test_a_communicator_of_ones_own_speaks_in_messages(layer: InMemoryChannelLayer) -> None:
    class Mine(WebsocketCommunicatorMixin, PlainCommunicator):
        """With something of its own."""

    async with Mine(Room.as_asgi(), "/", consumer=Room) as client:
        await client.send_message(PingMessage())
        assert await client.receive_message(PongMessage, timeout=15) == PongMessage()


class Member:
    """Somebody who is logged in."""

    is_authenticated = True


class Members(Room):
    authenticator_class = UserAuthenticator


async def test_authentication_is_awaited_as_in_chanx(layer: InMemoryChannelLayer) -> None:
    consumer: Any = Members
    async with DjangoWebsocketCommunicator(consumer.as_asgi(), "/", consumer=consumer, user=Member()) as one:
        status: BaseMessage | None = await one.wait_for_auth(max_auth_time=15, after_auth_time=0)
        assert status is not None and status.payload.status_code == 200
    async with DjangoWebsocketCommunicator(consumer.as_asgi(), "/", consumer=consumer, user=Member()) as one:
        await one.assert_authenticated_status_ok(max_auth_time=15)
    try:
        config.send_authentication_message = False
        app = consumer.as_asgi()
        async with DjangoWebsocketCommunicator(app, "/", consumer=consumer, user=Member()) as one:
            assert await one.wait_for_auth(max_auth_time=0) is None
            await one.send_message(PingMessage())
            assert await one.receive_message(PongMessage, timeout=15) == PongMessage()
    finally:
        config.reset()
