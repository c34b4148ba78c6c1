"""Handlers are read off the class when it is made, and what cannot work fails there, with its place."""

from __future__ import annotations

from typing import Any, Literal, Union

import pytest

from compat.layers import InMemoryChannelLayer
from compat.typed import (
    AsyncJsonWebsocketConsumer,
    BaseMessage,
    PingMessage,
    PongMessage,
    channel,
    event_handler,
    ws_handler,
)
from compat.typed.decorators import ChannelInfo, handler_of
from tests.unit.typed.room import Note, Room, Said, Say
from tests.unit.typed.test_topics import RunTopic


def outputs(cls: Any, method: str) -> tuple[Any, ...]:
    handler = handler_of(getattr(cls, method))
    assert handler is not None
    return handler.output_types


def test_a_decorated_method_stays_itself() -> None:
    async def method(self: Any, message: PingMessage) -> PongMessage:
        """What it does."""
        return PongMessage()

    handler = handler_of(method)
    assert handler is None
    assert ws_handler(method) is method
    handler = handler_of(method)
    assert handler is not None
    assert (handler.kind, handler.name, handler.input_type) == ("message", "method", PingMessage)
    assert handler.output_types == (PongMessage,)
    assert handler.description == "What it does."


def test_what_the_decorators_say_is_kept() -> None:
    handler = handler_of(Room.handle_ping)
    assert handler is not None
    assert (handler.summary, handler.description) == ("Are you there?", "Answers a ping")
    assert Room._compat_channel_info == ChannelInfo("room", "A room to talk in", ("chat", "rooms"))
    assert outputs(Room, "handle_say") == (Said,)


@pytest.mark.parametrize(
    "output",
    [
        Say | Said,
        Union[Say, Said],  # noqa: UP007 - the other spelling
        [Say, Said],
        (Say, Said),
        [Say, Said | None],
        Say | Said | None,
    ],
)
def test_outputs_may_be_given_in_several_ways(output: Any) -> None:
    class Consumer(AsyncJsonWebsocketConsumer):
        @ws_handler(output_type=output)
        async def handle(self, message: Say) -> None: ...

    assert outputs(Consumer, "handle") == (Say, Said)


def test_a_union_in_the_return_annotation() -> None:
    class Consumer(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def handle(self, message: Say) -> Note | Said | None: ...

        @ws_handler
        async def anything(self, message: Note) -> BaseMessage:
            return message

    assert outputs(Consumer, "handle") == (Note, Said)
    assert outputs(Consumer, "anything") == ()


def test_names_of_the_enclosing_function_are_seen() -> None:
    class Local(BaseMessage):
        action: Literal["local"] = "local"
        payload: None = None

    class Consumer(AsyncJsonWebsocketConsumer):
        class Inner(BaseMessage):
            action: Literal["inner"] = "inner"
            payload: None = None

        @ws_handler
        async def local(self, message: Local) -> Local:
            return message

        @ws_handler(summary="…")
        async def inner(self, message: Inner) -> None: ...

    assert Consumer._compat_messages.tags == ("local", "inner")


def test_input_type_stands_in_for_the_annotation() -> None:
    class Consumer(AsyncJsonWebsocketConsumer):
        @ws_handler(input_type=Say)
        async def handle(self, message) -> None:  # type: ignore[no-untyped-def]
            ...

        @event_handler(input_type=Said, output_type=Said)
        async def event(self, event: BaseMessage) -> BaseMessage:
            return event

    assert Consumer._compat_messages.methods == {Say: "handle"}
    assert Consumer._compat_events.methods == {Said: "event"}


def test_a_handler_must_take_a_message() -> None:
    with pytest.raises(
        TypeError, match=r"handle \(.*test_decorators.py:\d+\).*'message' is int, which is not a"
    ):

        class Consumer(AsyncJsonWebsocketConsumer):
            @ws_handler  # type: ignore[type-var]  # the error that it is about
            async def handle(self, message: int) -> None: ...


def test_a_handler_must_be_annotated() -> None:
    with pytest.raises(TypeError, match=r"'message' has no annotation.*input_type=SomeMessage"):

        class Consumer(AsyncJsonWebsocketConsumer):
            @ws_handler
            async def handle(self, message) -> None:  # type: ignore[no-untyped-def]
                ...


def test_an_annotation_that_cannot_be_evaluated_says_which() -> None:
    with pytest.raises(TypeError, match=r"annotation 'Nowhere' cannot be evaluated.*input_type="):

        class Consumer(AsyncJsonWebsocketConsumer):
            @ws_handler
            async def handle(self, message: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


def test_a_handler_takes_exactly_one_message() -> None:
    with pytest.raises(TypeError, match="must have one parameter besides self; found one, two"):

        class Two(AsyncJsonWebsocketConsumer):
            @ws_handler  # type: ignore[arg-type]
            async def handle(self, one: Say, two: Note) -> None: ...

    with pytest.raises(TypeError, match="found none"):

        class None_(AsyncJsonWebsocketConsumer):
            @ws_handler  # type: ignore[arg-type]
            async def handle(self) -> None: ...


def test_a_handler_must_be_async() -> None:
    with pytest.raises(TypeError, match=r"must be an 'async def'"):

        class Consumer(AsyncJsonWebsocketConsumer):
            @ws_handler  # type: ignore[arg-type]
            def handle(self, message: Say) -> None: ...


def test_a_handler_answers_with_messages() -> None:
    with pytest.raises(TypeError, match="returns int: a handler must return a message"):

        class Consumer(AsyncJsonWebsocketConsumer):
            @ws_handler  # type: ignore[type-var]
            async def handle(self, message: Say) -> int:
                return 3


def test_two_handlers_for_one_action_fail_naming_both() -> None:
    class Chat(BaseMessage):
        action: Literal["say"] = "say"
        payload: str

    with pytest.raises(TypeError) as failure:

        class Consumer(AsyncJsonWebsocketConsumer):
            @ws_handler
            async def first(self, message: Say) -> None: ...

            @ws_handler
            async def second(self, message: Chat) -> None: ...

    text = str(failure.value)
    assert "two message handlers for the action 'say'" in text
    assert text.count("test_decorators.py:") == 2
    assert "Consumer.first" in text and "takes Say" in text
    assert "Consumer.second" in text and "takes Chat" in text


def test_two_event_handlers_for_one_action_fail_as_well() -> None:
    with pytest.raises(TypeError, match="two event handlers for the action 'say'"):

        class Consumer(AsyncJsonWebsocketConsumer):
            @event_handler
            async def first(self, event: Say) -> None: ...

            @event_handler
            async def second(self, event: Say) -> None: ...


def test_a_message_and_an_event_may_have_one_action() -> None:
    class Consumer(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def message(self, message: Say) -> None: ...

        @event_handler
        async def event(self, event: Say) -> None: ...

    assert Consumer._compat_messages.tags == Consumer._compat_events.tags == ("say",)


def test_handlers_are_inherited_overridden_and_taken_away() -> None:
    class Child(Room):
        async def handle_ping(self, _message: PingMessage) -> PongMessage:  # handles what the other did
            return PongMessage()

        handle_note = None  # type: ignore[assignment]

    assert Child._compat_messages.methods[PingMessage] == "handle_ping"
    assert Note not in Child._compat_messages.methods
    assert Note in Room._compat_messages.methods


def test_an_overriding_handler_may_take_another_message() -> None:
    class Loud(BaseMessage):
        action: Literal["loud"] = "loud"
        payload: None = None

    class Child(Room):
        @ws_handler
        async def handle_note(self, message: Loud) -> None: ...  # type: ignore[override]

    assert Child._compat_messages.methods[Loud] == "handle_note"
    assert Note not in Child._compat_messages.methods


def test_what_is_passed_on_or_emitted_must_be_messages() -> None:
    with pytest.raises(TypeError, match=r"passthrough_events must hold message classes.*found 'alert'"):
        type("Consumer", (AsyncJsonWebsocketConsumer,), {"passthrough_events": ["alert"]})
    with pytest.raises(TypeError, match=r"emits must hold message classes"):
        type("Consumer", (AsyncJsonWebsocketConsumer,), {"emits": [BaseMessage]})


def test_channel_has_defaults() -> None:
    @channel()
    class Plain(AsyncJsonWebsocketConsumer):
        pass

    assert Plain._compat_channel_info == ChannelInfo(None, None, ())


def test_channel_without_parentheses_and_a_single_tag() -> None:
    @channel
    class Bare(AsyncJsonWebsocketConsumer):
        pass

    @channel(tags="chat")
    class Tagged(AsyncJsonWebsocketConsumer):
        @ws_handler(tags="talk")
        async def handle_ping(self, message: PingMessage) -> None: ...

    handler = handler_of(Tagged.handle_ping)
    assert Bare._compat_channel_info == ChannelInfo(None, None, ())
    assert Tagged._compat_channel_info.tags == ("chat",) and handler is not None and handler.tags == ("talk",)


@pytest.mark.parametrize("decorator", [ws_handler, event_handler])
def test_a_handler_that_nothing_would_reach(decorator: Any) -> None:
    with pytest.raises(TypeError, match=r"takes BaseMessage, which has no action"):

        class Consumer(AsyncJsonWebsocketConsumer):
            @decorator  # type: ignore[untyped-decorator]
            async def anything(self, message: BaseMessage) -> None: ...


def test_a_handler_may_not_replace_what_consumers_have() -> None:
    with pytest.raises(TypeError, match=r"would replace the method.*such as handle_receive"):

        class Consumer(AsyncJsonWebsocketConsumer):
            @ws_handler
            async def receive(self, message: Note) -> None: ...  # type: ignore[override]


@pytest.mark.parametrize(
    ("attributes", "fix"),
    [
        ({"groups": "room"}, r"groups = \['room'\]"),
        ({"extra_groups": "room"}, r"extra_groups = \['room'\]"),
        ({"topics": RunTopic}, r"topics = \[RunTopic\]"),
        ({"topics": [Note]}, "must hold subclasses of Topic"),
        ({"passthrough_events": Note}, r"passthrough_events = \[Note\]"),
        ({"authenticator_class": "token"}, "must be a class; found 'token'"),
    ],
)
def test_one_thing_where_a_list_of_them_is_meant(attributes: dict[str, Any], fix: str) -> None:
    with pytest.raises(TypeError, match=fix):
        type("Consumer", (AsyncJsonWebsocketConsumer,), attributes)


async def test_an_event_must_be_a_message(layer: InMemoryChannelLayer) -> None:
    with pytest.raises(TypeError, match=r"an event for .* must be a message, not \{'action': 'alert'\}"):
        await Room.broadcast_event({"action": "alert"})  # type: ignore[arg-type]


def test_a_handler_that_becomes_one_of_events_is_no_client_s_any_more() -> None:
    """Was: a client could send the event, because the base class had a handler of that name."""

    class Base(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def handle_note(self, message: Note) -> None: ...

    class Events(Base):
        @event_handler
        async def handle_note(self, event: Note) -> None: ...

    class Same(Base):
        async def handle_note(self, message: Note) -> None: ...

    assert set(Base._compat_messages.handlers) == set(Same._compat_messages.handlers) == {"handle_note"}
    assert not Events._compat_messages.handlers and set(Events._compat_events.handlers) == {"handle_note"}
