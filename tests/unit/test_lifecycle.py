"""Limits, heartbeats, closing from outside, unknown messages, handlers side by side."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.authentication import SimpleUser

from compat.closing import close_group, close_user, user_group
from compat.consumer import AsyncConsumer, SyncConsumer
from compat.engine import handshake
from compat.engine.admissions import admissions
from compat.engine.contracts import RESUMABLE_KEY
from compat.engine.events import Overflow
from compat.engine.inbox import Inbox
from compat.engine.limits import guarded
from compat.engine.reader import TaskReader
from compat.exceptions import (
    ImproperlyConfigured,
    InvalidChannelLayerError,
    LayerUnavailable,
    StopConsumer,
)
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.settings import override
from compat.testing import ApplicationCommunicator
from compat.types import Message, Receive, Scope, Send
from tests.support.clients import Client
from tests.support.conversations import Conversation
from tests.support.logs import recorded
from tests.support.servers import LiveServer
from tests.support.waiting import turns, until


def chat(flavour: str, **attributes: Any) -> Any:
    """An echo that keeps the codes it was disconnected with, sync or async."""
    codes: list[int] = []

    class Sync(WebsocketConsumer):
        thread_sensitive = flavour == "one thread"

        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            self.send(text_data, bytes_data)

        def disconnect(self, code: int) -> None:
            codes.append(code)

    class Async(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await self.send(text_data, bytes_data)

        async def disconnect(self, code: int) -> None:
            codes.append(code)

    base: Any = Async if flavour == "async" else Sync
    return type("Chat", (base,), {"codes": codes, **attributes})


@pytest.mark.parametrize("text", ["x" * 11, "é" * 6, b"x" * 11])
async def test_a_message_that_is_too_big(flavour: str, text: str | bytes) -> None:
    consumer = chat(flavour, max_message_size=10)
    client = await Conversation(consumer.as_asgi()).open()
    await client.send_to(text_data="x" * 10)
    assert await client.receive_from() == "x" * 10
    if isinstance(text, str):
        await client.send_to(text_data=text)
    else:
        await client.send_to(bytes_data=text)
    assert await client.closed() == 1009
    assert consumer.codes == [1009]


async def test_too_many_messages_a_second(flavour: str) -> None:
    consumer, loop = chat(flavour), asyncio.get_running_loop()
    with override(CHANNEL_MAX_MESSAGES_PER_SECOND=3):
        client = await Conversation(consumer.as_asgi()).open()
        began = loop.time()
        for number in range(3):
            await client.send_to(text_data=str(number))
        assert [await client.receive_from() for _ in range(3)] == ["0", "1", "2"]
        for _ in range(20):
            await client.send_to(text_data="one too many")
        echoes = 3
        while (message := await client.receive_output())["type"] == "websocket.send":
            echoes += 1
        assert echoes <= 3 + 3 * (loop.time() - began), "another one each third of a second"
        assert (message["type"], message["code"]) == ("websocket.close", 1008)
        await client.wait()
    assert consumer.codes == [1008]


async def test_a_silent_client(flavour: str, caplog: pytest.LogCaptureFixture) -> None:
    consumer = chat(flavour, idle_timeout=0.05)
    client = await Conversation(consumer.as_asgi(), "/ws/quiet/").open()
    assert await client.closed() == 1001
    assert consumer.codes == [1001]
    assert len(caplog.records) == 1 and "'/ws/quiet/': closed with 1001: silent for 0.05 s" in caplog.text


@pytest.mark.parametrize("silences", [1, 2, 3])
@pytest.mark.parametrize("kind", ["channel", "http"])
async def test_only_clients_of_websockets_can_be_silent(silences: int, kind: str) -> None:
    """Was: a quiet worker lost its consumer, with its state and groups, and a stream of events ended."""

    class Counts(AsyncConsumer):
        count = 0

        async def more(self, message: Message) -> None:
            self.count += 1
            await self.send({"type": "counted", "count": self.count})

    other = ApplicationCommunicator(Counts.as_asgi(), {"type": kind, "path": "/", "asgi": {"version": "3.0"}})
    with override(CHANNEL_IDLE_TIMEOUT=0.02):
        await other.send_input({"type": "more"})
        assert (await other.receive_output())["count"] == 1
        for _ in range(silences):  # a client that comes later is closed, and has been silent for less
            assert await (await Conversation(chat("async").as_asgi()).open()).closed() == 1001
        await other.send_input({"type": "more"})
        assert (await other.receive_output())["count"] == 2
    other.stop()


async def test_heartbeats(flavour: str) -> None:
    consumer = chat(flavour, heartbeat=0.02)
    client = await Conversation(consumer.as_asgi()).open()
    for _ in range(3):
        assert await client.receive_json_from() == {"type": "ping"}
    await client.disconnect()


@pytest.mark.parametrize(
    ("setting", "value", "frames", "code"),
    [
        ("CHANNEL_MAX_MESSAGE_SIZE", 10, ["x" * 11], 1009),
        ("CHANNEL_MAX_MESSAGE_SIZE", 10, [b"x" * 11], 1009),
        ("CHANNEL_MAX_MESSAGES_PER_SECOND", 0.01, ["one", "two"], 1008),
        ("CHANNEL_IDLE_TIMEOUT", 0.2, [], 1001),
    ],
)
def test_the_settings_hold_for_every_consumer_behind_a_server(
    flavour: str, setting: str, value: float, frames: list[str | bytes], code: int
) -> None:
    consumer = chat(flavour, receive=quiet(flavour))
    with override(**{setting: value}), LiveServer(consumer.as_asgi()) as server:
        client = Client(server, "/")
        for frame in frames:
            client.send(frame)
        assert client.wait_closed()[0] == code
        until(lambda: consumer.codes, "disconnect() has run")
    assert consumer.codes == [code]


def quiet(flavour: str) -> Any:
    """A receive() that answers nothing."""

    async def receive(self: Any, text_data: str | None = None, bytes_data: bytes | None = None) -> None: ...

    def plain(self: Any, text_data: str | None = None, bytes_data: bytes | None = None) -> None: ...

    plain.__name__ = "receive"
    return receive if flavour == "async" else plain


def test_the_heartbeat_of_the_settings(flavour: str) -> None:
    with override(CHANNEL_HEARTBEAT=0.05), LiveServer(chat(flavour).as_asgi()) as server:
        with Client(server, "/") as client:
            assert [client.receive_json() for _ in range(2)] == [{"type": "ping"}] * 2


@pytest.mark.parametrize("on_overflow", ["drop", "drop_oldest", "close"])
@pytest.mark.parametrize("capacity", [1, 2, 3])
async def test_heartbeats_take_no_place_of_a_message(
    flavour: str, capacity: int, on_overflow: Overflow, request: pytest.FixtureRequest
) -> None:
    """Was: the inbox of a long handler filled with them, and lost the group's messages; then all came."""
    layer = InMemoryChannelLayer(capacity=capacity, on_overflow=on_overflow)
    register_channel_layer("default", layer)
    request.addfinalizer(lambda: unregister_channel_layer("default"))
    awaited, blocking = asyncio.Event(), threading.Event()

    async def receive(self: Any, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send("busy")
        await awaited.wait()

    def wait(self: Any, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send("busy")
        blocking.wait(20)

    async def say(self: Any, event: Message) -> None:
        await self.send(event["text"])

    def say_in_thread(self: Any, event: Message) -> None:
        self.send(event["text"])

    handlers: dict[str, Any] = {"receive": receive, "say": say}
    if flavour != "async":
        handlers = {"receive": wait, "say": say_in_thread}
    consumer = chat(flavour, groups=["room"], heartbeat=0.05, **handlers)
    client = await Conversation(consumer.as_asgi()).open()
    await client.send_to(text_data="x")
    while await client.receive_from(timeout=20) != "busy":
        pass  # heartbeats of before
    other = await Conversation(chat("async", heartbeat=0.05).as_asgi()).open()
    for _ in range(capacity + 2):
        assert await other.receive_json_from() == {"type": "ping"}
    texts = [str(number) for number in range(capacity)]
    for text in texts:
        assert (await layer.group_send("room", {"type": "say", "text": text})).dropped == 0
    awaited.set()
    blocking.set()
    got: list[str | bytes] = []
    while texts[-1] not in got:
        got.append(await client.receive_from(timeout=20))
    assert got[:2] == ['{"type": "ping"}', texts[0]], "one has waited"
    assert [text for text in got if text in texts] == texts
    for one in (client, other):
        await one.disconnect()


async def test_a_consumer_that_is_always_behind_has_heartbeats(layer: InMemoryChannelLayer) -> None:
    async def say(self: Any, event: Message) -> None:
        await layer.group_send("room", event)  # so that one always waits

    consumer = chat("async", groups=["room"], heartbeat=0.05, say=say)
    client = await Conversation(consumer.as_asgi()).open()
    for _ in range(2):
        await layer.group_send("room", {"type": "say"})
    for _ in range(3):
        assert await client.receive_json_from(timeout=20) == {"type": "ping"}
    await client.disconnect()


class Raw(AsyncConsumer):
    """Has a handler for each event of a websocket, and none for the engine's own."""

    async def websocket_connect(self, message: Message) -> None:
        await self.send({"type": "websocket.accept"})

    async def websocket_receive(self, message: Message) -> None:
        await self.send({"type": "websocket.send", "text": message["text"]})

    async def websocket_disconnect(self, message: Message) -> None:
        raise StopConsumer


class RawInThreads(SyncConsumer):
    """The same for a sync consumer."""

    def websocket_connect(self, message: Message) -> None:
        self.send({"type": "websocket.accept"})

    def websocket_receive(self, message: Message) -> None:
        self.send({"type": "websocket.send", "text": message["text"]})

    def websocket_disconnect(self, message: Message) -> None:
        raise StopConsumer


@pytest.mark.parametrize("beats", [1, 2, 3])
@pytest.mark.parametrize("consumer", [Raw, RawInThreads])
async def test_a_consumer_without_heartbeats_is_sent_none(consumer: Any, beats: int) -> None:
    """Was: CHANNEL_HEARTBEAT closed it with 1011."""
    with override(CHANNEL_HEARTBEAT=0.02):
        client = await Conversation(consumer.as_asgi()).open()
        other = await Conversation(chat("async").as_asgi()).open()
        for _ in range(beats):
            assert await other.receive_json_from() == {"type": "ping"}
        await client.send_to(text_data="x")
        assert await client.receive_from() == "x"
    for one in (client, other):
        await one.disconnect()


@pytest.mark.parametrize("value", [0, -1, "5", True])
async def test_a_limit_that_is_no_number(value: Any) -> None:
    consumer = chat("async", idle_timeout=value)
    with pytest.raises(ImproperlyConfigured, match=r"Chat\.idle_timeout must be a number above 0"):
        await Conversation(consumer.as_asgi(), served=False).connect()


class Seats:
    """Connections to one consumer, each from a client of its own."""

    def __init__(self) -> None:
        self.app = chat("async").as_asgi()

    async def take(self, client: str = "10.0.0.1", user: Any = None) -> Conversation | None:
        conversation = Conversation(self.app)
        conversation.scope["client"] = (client, 12345)
        if user is not None:
            conversation.scope["user"] = SimpleNamespace(pk=user, is_authenticated=True)
        connected, _ = await conversation.connect()
        if not connected:
            await conversation.wait()
        return conversation if connected else None


@pytest.mark.parametrize(
    ("setting", "first", "second", "other"),
    [
        ("CHANNEL_MAX_CONNECTIONS", {}, {"client": "10.0.0.2"}, None),
        ("CHANNEL_MAX_CONNECTIONS_PER_CLIENT", {}, {}, {"client": "10.0.0.2"}),
        ("CHANNEL_MAX_CONNECTIONS_PER_USER", {"user": 1}, {"user": 1, "client": "10.0.0.2"}, {"user": 2}),
    ],
)
async def test_how_many_may_connect(
    setting: str, first: Any, second: Any, other: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seats = Seats()
    with override(**{setting: 1}):
        one = await seats.take(**first)
        assert one is not None
        assert await seats.take(**second) is None
        assert "1 connections" in caplog.text
        if other is not None:
            third = await seats.take(**other)
            assert third is not None
            await third.disconnect()
        await one.disconnect()
        again = await seats.take(**second)
        assert again is not None, "a place is free again when its connection has ended"
        await again.disconnect()


@pytest.mark.parametrize("made", [SimpleUser, str, lambda user: {"sub": user}])
async def test_the_users_of_a_framework_have_one_place_each(made: Any) -> None:
    app = chat("async").as_asgi()
    clients = [Conversation(app) for _ in range(3)]
    with override(CHANNEL_MAX_CONNECTIONS_PER_USER=1):
        for client, user in zip(clients, ("ada", "ada", "eve"), strict=True):
            client.scope["user"] = made(user)  # another object for each connection
        assert [(await client.connect())[0] for client in clients] == [True, False, True]
    for client in clients:
        await client.disconnect()


@pytest.fixture
def draining() -> Iterator[None]:
    admissions.draining = True
    yield
    admissions.draining = False


async def test_nobody_is_admitted_while_the_server_drains(draining: None) -> None:
    assert await Seats().take() is None


@pytest.mark.parametrize("name", ["heartbeat", "idle_timeout", "max_message_size", "concurrency"])
async def test_a_method_with_the_name_of_a_limit_is_the_applications(flavour: str, name: str) -> None:
    consumer = chat(flavour, **{name: quiet(flavour)})
    client = await Conversation(consumer.as_asgi()).open()
    await client.send_to(text_data="x")
    assert await client.receive_from() == "x"
    with override(CHANNEL_MAX_MESSAGE_SIZE=10):  # the setting holds all the same
        client = await Conversation(consumer.as_asgi()).open()
        await client.send_to(text_data="x" * 11)
        assert await client.closed() == 1009


async def test_an_instance_may_use_the_name_concurrency(flavour: str) -> None:
    base: Any = chat(flavour)

    class Busy(base):  # type: ignore[misc]  # of a class made at run time
        def __init__(self) -> None:
            super().__init__()
            self.concurrency: dict[str, int] = {}

    client = await Conversation(Busy.as_asgi()).open()
    await client.send_to(text_data="x")
    assert await client.receive_from() == "x"
    await client.disconnect()


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Every log record of the engine meets a filter that raises."""

    def fails(record: logging.LogRecord) -> bool:
        raise OSError("disk full")

    loggers = [logging.getLogger(name) for name in ("compat.consumer", "compat.limits")]
    for logger in loggers:
        logger.addFilter(fails)
    yield
    for logger in loggers:
        logger.removeFilter(fails)


async def test_a_handshake_is_refused_whatever_the_log_raises(flavour: str, full_disk: None) -> None:
    consumer = chat(flavour, connect=quiet(flavour))
    with override(CHANNEL_HANDSHAKE_SECONDS=0.05):
        assert await Conversation(consumer.as_asgi()).connect(20) == (False, 1000)


async def test_a_test_may_wait_for_a_late_accept_as_long_as_the_settings_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The limit of tests is 0 here, so that the handshake is refused before the accept unless it is set."""
    monkeypatch.setattr(handshake, "IN_A_TEST_S", 0)

    async def connect(self: Any) -> None:
        async def later() -> None:
            for _ in range(1000):  # turns of the event loop, in which a refusal would have been sent
                await asyncio.sleep(0)
            await self.accept()

        self.accepting = asyncio.create_task(later())

    app = chat("async", connect=connect).as_asgi()
    assert not (await Conversation(app, served=False).connect(20))[0]
    with override(CHANNEL_HANDSHAKE_SECONDS=20):
        assert (await Conversation(app, served=False).connect(20))[0]


async def test_a_handshake_is_refused_whose_accept_the_server_refused(flavour: str) -> None:
    """The consumer has caught what the server raised, so that nobody else answers the client."""

    async def connect(self: Any) -> None:
        with contextlib.suppress(ValueError):
            await self.accept(headers=[(b"Bad Name", b"")])

    def connect_sync(self: Any) -> None:
        with contextlib.suppress(ValueError):
            self.accept(headers=[(b"Bad Name", b"")])  # on the pool it is sent, and raises, afterwards

    consumer = chat(flavour, connect=connect if flavour == "async" else connect_sync)
    app = consumer.as_asgi()

    async def strict(scope: Scope, receive: Receive, send: Send) -> None:
        async def checking(message: Message) -> None:
            if message.get("headers"):
                raise ValueError("no header can have this name")
            await send(message)

        await app(scope, receive, checking)

    with override(CHANNEL_HANDSHAKE_SECONDS=0.05):
        assert not (await Conversation(strict).connect(20))[0]


async def test_whatever_receive_raises_the_consumer_ends(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """The layer is away, so the handshake was answered with 503; a middleware fails then."""

    async def away(self: Any) -> None:
        await self.channel_layer.group_add("room", self.channel_name)
        raise LayerUnavailable("gone fishing")

    app = chat("async", connect=away).as_asgi()

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        async def once() -> Message:
            message = await receive()
            if message["type"] == "websocket.connect":
                return message
            raise KeyError("a middleware")

        await app(scope, once, send)

    client = Conversation(failing)
    client.scope["extensions"] = {"websocket.http.response": {}}
    await client.send_input({"type": "websocket.connect"})
    assert (await client.receive_output())["status"] == 503
    assert (await client.receive_output())["type"] == "websocket.http.response.body"
    await client.send_input({"type": "websocket.disconnect", "code": 1006})
    await client.wait()
    assert layer.groups == {} and layer.channels == {}
    assert "could not wait for the end of its socket: 'a middleware'" in caplog.text


async def test_a_limit_holds_whatever_the_log_raises(flavour: str, full_disk: None) -> None:
    consumer = chat(flavour, max_message_size=10)
    client = await Conversation(consumer.as_asgi()).open()
    await client.send_to(text_data="x" * 11)
    assert await client.closed() == 1009
    assert consumer.codes == [1009]


async def test_a_client_is_turned_away_whatever_the_log_raises(draining: None, full_disk: None) -> None:
    assert await Seats().take() is None


async def test_close_a_group(flavour: str, layer: InMemoryChannelLayer) -> None:
    consumer = chat(flavour, groups=["room"])
    clients = [await Conversation(consumer.as_asgi()).open() for _ in range(3)]
    assert (await close_group("room", 4003, "closed for today")).delivered == 3
    for client in clients:
        message = await client.receive_output()
        assert message == {"type": "websocket.close", "code": 4003, "reason": "closed for today"}
        await client.disconnect()


async def test_close_a_user(flavour: str, layer: InMemoryChannelLayer) -> None:
    consumer = chat(flavour, user_groups=True)
    clients = {}
    for user in ("ann", "bob", None):
        client = Conversation(consumer.as_asgi())
        client.scope["user"] = SimpleNamespace(pk=user, is_authenticated=user is not None)
        clients[user] = await client.open()
    assert set(layer.groups) == {user_group("ann"), user_group("bob")}
    await close_user("ann", 4001)
    assert (await clients["ann"].receive_output())["code"] == 4001
    assert await clients["bob"].receive_nothing()
    for client in clients.values():
        await client.disconnect()
    assert layer.groups == {}


async def test_a_user_of_starlette_is_closed_by_the_name(layer: InMemoryChannelLayer) -> None:
    client = Conversation(chat("async", user_groups=True).as_asgi())
    client.scope["user"] = SimpleUser("ada")
    await client.open()
    await close_user("ada", 4001)
    assert (await client.receive_output())["code"] == 4001
    await client.disconnect()


@pytest.mark.parametrize("made", [str, lambda name: SimpleNamespace(id=name)], ids=["text", "object"])
async def test_an_applications_own_user_is_closed(layer: InMemoryChannelLayer, made: Any) -> None:
    """Was: one who had no ``is_authenticated`` was nobody, and a logout closed no connection."""
    clients = [Conversation(chat("async", user_groups=True).as_asgi()) for _ in range(2)]
    for client, user in zip(clients, ("ada", "eve"), strict=True):
        client.scope["user"] = made(user)
        await client.open()
    await close_user(made("ada"), 4001)
    assert (await clients[0].receive_output())["code"] == 4001
    assert await clients[1].receive_nothing()
    for client in clients:
        await client.disconnect()


@pytest.mark.parametrize("key", [7, "seven", uuid.UUID(int=7), "user"], ids=lambda key: type(key).__name__)
async def test_a_user_is_closed_by_its_key_or_by_itself(layer: InMemoryChannelLayer, key: Any) -> None:
    user = SimpleNamespace(pk=7 if key == "user" else key, is_authenticated=True)
    client = Conversation(chat("async", user_groups=True).as_asgi())
    client.scope["user"] = user
    await client.open()
    await close_user(user if key == "user" else key, 4001)
    assert (await client.receive_output())["code"] == 4001
    await client.disconnect()


@pytest.mark.parametrize("found", [None, object(), ["ada"], b"ada", SimpleNamespace(name="ada")])
async def test_what_is_neither_a_user_nor_a_key_closes_nobody_with_an_error(
    layer: InMemoryChannelLayer, found: Any
) -> None:
    with pytest.raises(TypeError, match=rf"a str, an int or a UUID; found {type(found).__name__} "):
        await close_user(found)


async def test_closing_without_a_layer() -> None:
    with pytest.raises(InvalidChannelLayerError, match="there is no layer 'default'"):
        await close_group("room")


@pytest.mark.parametrize("policy", ["log", "ignore"])
async def test_an_unknown_message_may_be_let_pass(
    flavour: str, layer: InMemoryChannelLayer, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    consumer = chat(flavour, groups=["room"], unknown_message=policy)
    client = await Conversation(consumer.as_asgi()).open()
    await layer.group_send("room", {"type": "no.such.handler"})
    await client.send_to(text_data="still here")
    assert await client.receive_from() == "still here"
    await client.disconnect()
    assert len(caplog.records) == (1 if policy == "log" else 0)


async def test_the_type_of_an_unknown_message_forges_no_line_of_the_log(
    flavour: str, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    client = await Conversation(chat(flavour, groups=["room"], unknown_message="log").as_asgi()).open()
    await layer.group_send("room", {"type": "x\nERROR compat.auth"})
    await client.send_to(text_data="still here")
    assert await client.receive_from() == "still here"
    await client.disconnect()
    (record,) = caplog.records
    assert "No handler for message type 'x\\nERROR compat.auth'; ignored" in record.getMessage()


@pytest.mark.parametrize("kind", ["x\nERROR compat.auth", "x\u2028ERROR", "x" * 100_000])
async def test_nor_does_it_where_such_a_message_ends_the_consumer(
    flavour: str, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """Was: it did so in the log record, in the exception and in the hint."""
    client = await Conversation(chat(flavour, groups=["room"]).as_asgi()).open()
    await layer.group_send("room", {"type": kind})
    assert await client.closed() == 1011
    (record,) = caplog.records
    said = record.getMessage()
    assert said.isprintable() and len(said) < 1500 and "failed in 'x" in said and "its_type" in said
    assert record.exc_info is not None and str(record.exc_info[1]).isprintable()


async def test_an_unknown_policy() -> None:
    with override(CHANNEL_UNKNOWN_MESSAGE="shrug"):
        client = await Conversation(chat("async").as_asgi(), served=False).open()
        await client.send_input({"type": "no.such"})
        with pytest.raises(ImproperlyConfigured, match="'raise', 'log' or 'ignore'; found 'shrug'"):
            await client.wait()


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_handlers_side_by_side(kind: str) -> None:
    gate, seen = threading.Event(), []

    class Async(AsyncWebsocketConsumer):
        concurrency = 3

        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            if text_data == "slow":
                await asyncio.to_thread(gate.wait, 20)
            await self.send(text_data=text_data)

        async def disconnect(self, code: int) -> None:
            seen.append(code)

    class Sync(WebsocketConsumer):
        concurrency = 3

        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            if text_data == "slow":
                gate.wait(20)
            self.send(text_data=text_data)

        def disconnect(self, code: int) -> None:
            seen.append(code)

    consumer: Any = {"async": Async, "sync": Sync}[kind]
    client = await Conversation(consumer.as_asgi()).open()
    await client.send_to(text_data="slow")
    for number in range(10):
        await client.send_to(text_data=str(number))
    assert {await client.receive_from(timeout=20) for _ in range(10)} == {str(number) for number in range(10)}
    gate.set()
    assert await client.receive_from(timeout=20) == "slow"
    await client.disconnect(code=4000)
    assert seen == [4000]


async def test_a_disconnect_is_not_held_up_by_a_long_handler(layer: InMemoryChannelLayer) -> None:
    cancelled, codes = asyncio.Event(), []

    class Long(AsyncWebsocketConsumer):
        concurrency = 2
        groups = ["room"]

        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        async def disconnect(self, code: int) -> None:
            codes.append(code)

    client = await Conversation(Long.as_asgi()).open()
    await client.send_to(text_data="x")
    await asyncio.wait_for(client.disconnect(), 20)
    assert codes == [1000] and cancelled.is_set() and layer.groups == {}


async def test_an_error_beside_a_long_handler(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(AsyncWebsocketConsumer):
        concurrency = 5

        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            if text_data == "fail":
                raise LookupError("side by side")
            await asyncio.Event().wait()

    client = await Conversation(Failing.as_asgi()).open()
    await client.send_to(text_data="x")
    await client.send_to(text_data="fail")
    assert await client.closed() == 1011
    assert len(caplog.records) == 1 and "side by side" in caplog.text


async def test_a_sync_consumers_frames_end_with_an_outside_close() -> None:
    def receive(self: Any, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        for number in range(20):
            self.send(text_data=str(number))

    consumer = chat("sync", receive=receive, max_message_size=3)
    client = await Conversation(consumer.as_asgi()).open()
    await client.send_to(text_data="go")
    await client.send_to(text_data="too much")
    kinds: list[str] = []
    while not kinds or kinds[-1] != "websocket.close":
        kinds.append((await client.receive_output())["type"])
    await client.wait()
    assert client.output_queue.empty(), "nothing is sent after the close"


class Away:
    """A client that is away when it is looked for so many times, then has just come back so many times."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.looks = 0

    @property
    def here_since(self) -> float:
        self.looks += 1
        if self.looks <= self.times:
            return math.inf
        return asyncio.get_running_loop().time() if self.looks <= 2 * self.times else -math.inf


@pytest.mark.parametrize("waits", [1, 2, 3])
async def test_silence_begins_when_a_client_is_back(waits: int) -> None:
    """Was: who came back was closed for the time in which it had been away."""
    away = Away(waits)
    closes: list[int] = []

    async def receive() -> Message:
        never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await never

    async def close(code: int) -> None:
        closes.append(code)

    consumer = chat("async", idle_timeout=0.02)()
    consumer.scope = {"type": "websocket", "path": "/", RESUMABLE_KEY: away}
    with recorded():
        message = await guarded(consumer, receive, close)()
    assert message["type"] == "websocket.disconnect" and closes == [1001]
    assert away.looks == 2 * waits + 1


async def test_a_frame_that_comes_as_the_client_has_been_silent_too_long() -> None:
    """Was: ``wait_for()`` lost the cancellation on Python 3.11, and the reader ended at the next silence."""
    frames: asyncio.Queue[Message] = asyncio.Queue()
    closes: list[int] = []
    loop = asyncio.get_running_loop()

    async def receive() -> Message:
        return await asyncio.wait_for(frames.get(), 60)

    async def close(code: int) -> None:
        closes.append(code)

    def busy() -> None:
        frames.put_nowait({"type": "websocket.receive", "text": "x"})
        until = loop.time() + 2 * consumer.idle_timeout
        while loop.time() < until:
            pass

    consumer = chat("async", idle_timeout=0.02)()
    consumer.scope = {"type": "websocket", "path": "/"}
    limited = guarded(consumer, receive, close)
    loop.call_later(consumer.idle_timeout / 2, busy)
    with recorded():
        kinds = [(await limited())["type"]]
        while kinds[-1] != "websocket.disconnect":  # the frame, unless the client is closed at once
            kinds.append((await limited())["type"])
    assert closes == [1001]


@pytest.mark.parametrize("turns_before", range(4))
async def test_a_reader_stops_although_a_frame_has_just_come(turns_before: int) -> None:
    """Was: the cancellation was lost with the frame, before Python 3.12, and the reader went on for ever."""
    frames: asyncio.Queue[Message] = asyncio.Queue()

    async def close(code: int) -> None:
        raise AssertionError("nothing is closed")

    consumer = chat("async", idle_timeout=60)()
    consumer.scope = {"type": "websocket", "path": "/"}
    reader = TaskReader(guarded(consumer, frames.get, close), Inbox(asyncio.get_running_loop()))
    await turns()
    frames.put_nowait({"type": "websocket.receive", "text": "x"})
    await turns(turns_before)
    await reader.stop()
    assert reader.task.done()


@pytest.mark.parametrize("limit", ["max_message_size", "idle_timeout"])
async def test_a_time_limit_of_a_middleware_is_its_own(limit: str) -> None:
    """Was: an AssertionError without a text, or the client was closed as a silent one."""

    async def receive() -> Message:
        raise asyncio.TimeoutError("of the middleware")

    async def close(code: int) -> None:
        raise AssertionError("nothing is closed")

    consumer = chat("async", **{limit: 100})()
    consumer.scope = {"type": "websocket", "path": "/"}
    with pytest.raises(asyncio.TimeoutError, match="of the middleware"):
        await guarded(consumer, receive, close)()
