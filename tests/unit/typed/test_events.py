"""Events: from anywhere, over the layer, to the handler for their type; with and without an event loop."""

from __future__ import annotations

import asyncio
import enum
import logging
import threading
from typing import Any, Literal

import pytest

from compat.exceptions import ChannelFull, InvalidChannelLayerError
from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.typed import (
    AsyncJsonWebsocketConsumer,
    BaseMessage,
    PingMessage,
    PongMessage,
    Topic,
    event_handler,
    ws_handler,
)
from tests.unit.typed.room import Alert, Note, Room, Said, Talk


class ClientDisconnected(OSError):
    """What uvicorn raises for a frame to a client that has left."""


async def talk(consumer: Any = Room) -> Talk:
    opened = Talk(consumer.as_asgi())
    await opened.open()
    return opened


def said(text: str) -> dict[str, Any]:
    return {"action": "said", "payload": {"text": text, "room_name": None}}


class Passing(AsyncJsonWebsocketConsumer):
    """Passes events on as they are, but those that it handles."""

    groups = ["passing"]
    passthrough_events = [Note, Alert]

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()


async def test_an_event_is_handled_by_everybody_in_the_groups_of_the_class(
    layer: InMemoryChannelLayer,
) -> None:
    one, two = await talk(), await talk()
    await Room.broadcast_event(Alert(payload="fire"))
    assert await one.hear() == await two.hear() == said("fire")
    await one.leave()
    await two.leave()


@pytest.mark.parametrize("groups", ["other", ["other"], ("other", "third")])
async def test_an_event_goes_to_the_groups_that_are_named(layer: InMemoryChannelLayer, groups: Any) -> None:
    class Other(Room):
        groups = ["other"]

    one, other = await talk(), await talk(Other)
    await Room.broadcast_event(Alert(payload="there"), groups)
    assert await other.hear() == said("there")
    await one.hears_nothing()
    await one.leave()
    await other.leave()


async def test_an_event_to_one_channel(layer: InMemoryChannelLayer) -> None:
    one, two = await talk(), await talk()
    (first, _) = layer.groups["room"]
    await Room.send_event(Alert(payload="you"), first)
    assert await one.hear() == said("you")
    await two.hears_nothing()
    await one.leave()
    await two.leave()


async def test_a_full_channel_is_an_error_for_the_sender(layer: InMemoryChannelLayer) -> None:
    layer.capacity = 1
    await Room.send_event(Alert(payload="1"), "nobody")
    with pytest.raises(ChannelFull):
        await Room.send_event(Alert(payload="2"), "nobody")


def test_sync_forms_for_code_without_an_event_loop(layer: InMemoryChannelLayer) -> None:
    async def main() -> None:
        client = await talk()
        (channel,) = layer.groups["room"]
        await asyncio.to_thread(Room.broadcast_event_sync, Alert(payload="from a thread"))
        await asyncio.to_thread(Room.send_event_sync, Alert(payload="to one"), channel)
        assert [await client.hear(), await client.hear()] == [said("from a thread"), said("to one")]
        await client.leave()

    asyncio.run(main())


def test_sync_forms_from_a_thread_of_its_own(layer: InMemoryChannelLayer) -> None:
    failures: list[BaseException] = []

    def send() -> None:
        try:
            for number in range(100):
                Room.broadcast_event_sync(Alert(payload=str(number)))
        except BaseException as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    async def main() -> None:
        client = await talk()
        thread = threading.Thread(target=send)
        thread.start()
        heard = [(await client.hear())["payload"]["text"] for _ in range(100)]
        await asyncio.to_thread(thread.join)
        assert heard == [str(number) for number in range(100)]
        await client.leave()

    asyncio.run(main())
    assert not failures


async def test_sync_forms_in_a_running_loop_name_the_other_one(layer: InMemoryChannelLayer) -> None:
    with pytest.raises(RuntimeError, match=r"Write: await Room\.broadcast_event\(\.\.\.\)"):
        Room.broadcast_event_sync(Alert(payload="x"))
    with pytest.raises(RuntimeError, match=r"Write: await Room\.send_event\(\.\.\.\)"):
        Room.send_event_sync(Alert(payload="x"), "somebody")


async def test_events_without_their_layer_say_which() -> None:
    class Elsewhere(Room):
        channel_layer_alias = "elsewhere"

    register_channel_layer("here", InMemoryChannelLayer())
    try:
        with pytest.raises(
            InvalidChannelLayerError, match=r"Elsewhere sends over.*'elsewhere'.*Configured: 'here'"
        ):
            await Elsewhere.broadcast_event(Alert(payload="x"))
    finally:
        unregister_channel_layer("here")


async def test_events_of_a_class_that_wants_no_layer(layer: InMemoryChannelLayer) -> None:
    class Alone(Room):
        channel_layer_alias = None

    with pytest.raises(InvalidChannelLayerError, match="Alone has no channel layer to send over"):
        await Alone.broadcast_event(Alert(payload="x"))


async def test_an_event_to_no_group_is_logged(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    class Nowhere(AsyncJsonWebsocketConsumer):
        pass

    await Nowhere.broadcast_event(Alert(payload="x"))
    assert "Nowhere.broadcast_event(Alert) was sent to no group" in caplog.text


async def test_events_that_are_passed_on(layer: InMemoryChannelLayer) -> None:
    client = await talk(Passing)
    await Passing.broadcast_event(Note(payload={"own_key": 1}))
    await Passing.broadcast_event(Alert(payload="as it is"))
    assert await client.hear() == {"action": "note", "payload": {"own_key": 1}}
    assert await client.hear() == {"action": "alert", "payload": "as it is"}
    await client.leave()


async def test_a_handler_goes_before_passing_on(layer: InMemoryChannelLayer) -> None:
    from compat.typed import event_handler

    class Handling(Passing):
        groups = ["handling"]

        @event_handler
        async def alert(self, event: Alert) -> Note:
            return Note(payload=f"handled {event.payload}")

    client = await talk(Handling)
    await Handling.broadcast_event(Alert(payload="fire"))
    assert await client.hear() == {"action": "note", "payload": "handled fire"}
    await client.leave()


async def test_events_are_passed_on_in_the_consumers_own_form(layer: InMemoryChannelLayer) -> None:
    class Camel(AsyncJsonWebsocketConsumer):
        groups = ["camel"]
        camelize = True
        passthrough_events = [Said]

    from tests.unit.typed.room import Line

    client = await talk(Camel)
    await Camel.broadcast_event(Said(payload=Line(text="x", room_name="y")))
    assert await client.hear() == {"action": "said", "payload": {"text": "x", "roomName": "y"}}
    await client.leave()


class ReceivingEvents(Passing):
    groups = ["receiving"]

    async def receive_event(self, event: BaseMessage) -> None:
        if event.payload != "secret":
            await super().receive_event(event)


class HandlingResults(Passing):
    groups = ["results"]

    async def handle_result(self, result: BaseMessage) -> None:
        if result.payload != "secret":
            await super().handle_result(result)


class SendingMessages(Passing):
    groups = ["sending"]

    async def send_message(self, message: BaseMessage, *, validate: bool = False) -> None:
        if message.payload != "secret":
            await super().send_message(message, validate=validate)


class PassingItself(Passing):
    groups = ["itself"]

    async def handle_passthrough_alert(self, event: Alert) -> Alert | None:
        return None if event.payload == "secret" else event


class Filter:
    async def receive_event(self, event: BaseMessage) -> None:
        if event.payload != "secret":
            await super().receive_event(event)  # type: ignore[misc]


class Mixed(Filter, Passing):
    groups = ["mixed"]


@pytest.mark.parametrize(
    "consumer", [ReceivingEvents, HandlingResults, SendingMessages, PassingItself, Mixed]
)
async def test_events_that_are_passed_on_reach_what_a_class_overrides(
    layer: InMemoryChannelLayer, consumer: Any
) -> None:
    client = await talk(type("Sub", (consumer,), {"groups": ["sub"]}))
    await Passing.broadcast_event(Alert(payload="secret"), "sub")
    await Passing.broadcast_event(Alert(payload="open"), "sub")
    assert await client.hear() == {"action": "alert", "payload": "open"}
    await client.leave()


async def test_events_that_are_passed_on_are_completed(layer: InMemoryChannelLayer) -> None:
    class Complete(Passing):
        groups = ["complete"]
        send_completion = True

    client = await talk(Complete)
    await Complete.broadcast_event(Alert(payload="x"))
    assert [(await client.hear())["action"] for _ in range(2)] == ["alert", "event_complete"]
    await client.leave()


async def test_an_event_that_nobody_handles_is_logged_and_ends_nothing(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    client = await talk()
    await Room.broadcast_event(Note(payload=1))  # type: ignore[arg-type]  # mypy sees it as well
    await client.hears_nothing()
    assert "received an event 'note' without a handler; it handles: 'alert'" in caplog.text
    await layer.group_send("room", {"type": "typed.event", "action": "alert", "text": '{"action":"alert"}'})
    await client.hears_nothing()
    assert "received an invalid event 'alert'" in caplog.text
    await client.leave()


class Till(AsyncJsonWebsocketConsumer):
    """Takes payments from its client, and prices from groups."""

    groups = ["till"]
    unknown_message: Any = "log"

    @ws_handler
    async def handle_ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler
    async def handle_pay(self, message: Note) -> Note:
        return message

    @event_handler
    async def on_alert(self, event: Alert) -> Alert:
        return event

    async def price(self, event: dict[str, Any]) -> None:
        await self.send_message(Note(payload=event["price"]))


class Discount(Till):
    async def handle_pay(self, message: Note) -> Note:
        return message


@pytest.mark.parametrize("consumer", [Till, Discount])
async def test_a_message_to_a_group_cannot_speak_as_the_client(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture, consumer: type[Till]
) -> None:
    client = await talk(consumer)
    own = [
        name for name in dir(AsyncJsonWebsocketConsumer) if not name.startswith(("_", "websocket", "compat"))
    ]
    for_events = {"handle_channel_event", "handle_group_message", "handle_topic_event"}
    for_events |= {"topic_event", "typed_event"}
    closed = [*(name for name in own if name not in for_events), "handle_pay", "on_alert"]
    for name in [*closed, "handle.pay"]:
        message = {"type": name, "action": "note", "payload": 5}
        await layer.group_send("till", message)
        await client.hears_nothing()
        assert f"No handler for message type {name!r}; ignored" in caplog.text
    await layer.group_send("till", {"type": "price", "price": 3})
    assert await client.hear() == {"action": "note", "payload": 3}
    await Till.broadcast_event(Alert(payload="fire"))
    assert await client.hear() == {"action": "alert", "payload": "fire"}
    await client.leave()


async def test_a_message_to_a_person_cannot_speak_as_the_client(layer: InMemoryChannelLayer) -> None:
    class Present(Till):
        unknown_message = "raise"

        async def post_authentication(self) -> None:
            await self.presence.track("till", "7")

    client = await talk(Present)
    await client.hears_nothing()
    for kind in ("handle_pay", "handle_json"):
        await layer.send_to_user("7", {"type": kind, "action": "note", "payload": 5})
        await client.hears_nothing()
    await layer.send_to_user("7", {"type": "price", "price": 3})
    assert await client.hear() == {"action": "note", "payload": 3}
    await client.leave()


async def test_the_error_says_why_a_method_is_no_handler_of_a_group(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    class Strict(Till):
        unknown_message = "raise"

    client = await talk(Strict)
    await layer.group_send("till", {"type": "handle_pay", "payload": 5})
    assert await client.closed() == 1011
    assert "Strict.handle_pay is called by an action" in caplog.text


async def test_an_event_handler_that_fails_is_logged_and_ends_nothing(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Room):
        groups = ["failing"]

        @event_handler
        async def on_alert(self, event: Alert) -> Said:
            raise LookupError("no such alert")

    client = await talk(Failing)
    await Failing.broadcast_event(Alert(payload="x"))
    await client.hears_nothing()
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "the handler of event 'alert' failed" in record.getMessage()
    await client.leave()


async def test_event_completion(layer: InMemoryChannelLayer) -> None:
    class Complete(Room):
        groups = ["complete"]
        send_completion = True

    client = await talk(Complete)
    await Complete.broadcast_event(Alert(payload="x"))
    assert [(await client.hear())["action"] for _ in range(2)] == ["said", "event_complete"]
    await client.leave()


async def test_events_and_messages_keep_their_order(layer: InMemoryChannelLayer) -> None:
    client = await talk()
    for number in range(90):
        await Room.broadcast_event(Alert(payload=str(number)))
    assert [(await client.hear())["payload"]["text"] for _ in range(90)] == [
        str(number) for number in range(90)
    ]
    await client.leave()


@pytest.mark.parametrize("what", ["an event", "a message", "the end of a topic"])
async def test_a_client_that_has_left_is_no_error_of_a_handler(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    """What is sent to it fails before the server says that it has left."""
    came: asyncio.Queue[Any] = asyncio.Queue()
    accepted, tried = asyncio.Event(), asyncio.Event()
    arrives = iter([what == "the end of a topic"])  # the answer to its `subscribe`

    async def send(message: Any) -> None:
        if message["type"] == "websocket.accept":
            accepted.set()
        elif message["type"] == "websocket.send" and not next(arrives, False):
            tried.set()
            raise ClientDisconnected

    class Leaving(Topic):
        pattern = "leaving"

        async def on_unsubscribe(self) -> None:
            await self.send_message(Note(payload="bye"))

    class Console(Room):
        topics = [Leaving]

    scope = {"type": "websocket", "asgi": {"version": "3.0"}, "path": "/", "headers": [], "query_string": b""}
    with caplog.at_level(logging.INFO):
        serving = asyncio.ensure_future(Console.as_asgi()(scope, came.get, send))
        came.put_nowait({"type": "websocket.connect"})
        await asyncio.wait_for(accepted.wait(), 15)
        if what == "an event":
            await Room.broadcast_event(Alert(payload="late"))
        elif what == "the end of a topic":
            for action in ("subscribe", "unsubscribe"):
                text = f'{{"topic": "leaving", "action": "{action}"}}'
                came.put_nowait({"type": "websocket.receive", "text": text})
        else:
            came.put_nowait({"type": "websocket.receive", "text": '{"action": "ping"}'})
        await asyncio.wait_for(tried.wait(), 15)
        came.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await asyncio.wait_for(serving, 15)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


class Kind(str, enum.Enum):
    MARKED = "marked"


class Marked(BaseMessage):
    action: Literal[Kind.MARKED] = Kind.MARKED
    payload: str = ""


class Tagged(BaseMessage):
    action: Literal["tagged"] = "tagged"
    kind: Literal["k.tagged"] = "k.tagged"
    payload: str = ""


class Marking(AsyncJsonWebsocketConsumer):
    groups = ["marking"]

    @event_handler
    async def marked(self, event: Marked) -> Marked:
        return event


class Tagging(AsyncJsonWebsocketConsumer):
    groups = ["tagging"]
    discriminator_field = "kind"

    @event_handler
    async def tagged(self, event: Tagged) -> Tagged:
        return event


@pytest.mark.parametrize(
    ("consumer", "event", "tag"),
    [
        (Marking, Marked(payload="x"), {"action": "marked"}),
        (Tagging, Tagged(payload="x"), {"kind": "k.tagged"}),
    ],
)
async def test_an_event_travels_under_its_tag_on_the_wire(
    layer: InMemoryChannelLayer, consumer: Any, event: BaseMessage, tag: dict[str, str]
) -> None:
    """Was: under its action, so the receiver knew no handler for it."""
    client = await talk(consumer)
    await consumer.broadcast_event(event)
    got = await client.hear()
    assert got == {**event.model_dump(mode="json"), **tag}
    await client.leave()


def test_an_action_of_an_enum_without_strings_is_refused() -> None:
    class Plain(enum.Enum):
        MARKED = "marked"

    with pytest.raises(TypeError, match="needs an action that is a Literal of strings"):

        class Unread(BaseMessage):
            action: Literal[Plain.MARKED] = Plain.MARKED
