"""Consumers: dispatch, order, scope, and every way to end, in every flavour.

``make`` builds the same consumer as async, as sync on the pool, and as sync on asgiref's one thread, so that
each test says once what must hold for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import async_to_sync

from compat import timings
from compat.consumer import AsyncConsumer, ConsumerApp, SyncConsumer
from compat.exceptions import InvalidChannelLayerError, LayerUnavailable, StopConsumer
from compat.generic.http import AsyncHttpConsumer
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import (
    BaseChannelLayer,
    InMemoryChannelLayer,
    get_channel_layer,
    register_channel_layer,
    unregister_channel_layer,
)
from compat.metrics import connections
from compat.testing import ApplicationCommunicator, HttpCommunicator, WebsocketCommunicator
from compat.types import Message
from tests.support.conversations import Conversation

Action = Callable[[Any], None]


def make(flavour: str, actions: dict[str, Action | None] | None = None, **attributes: Any) -> Any:
    """A chat in the given flavour. ``actions`` are called at the hook of that name, and may raise."""
    actions = actions or {}

    def act(self: Any, hook: str) -> None:
        self.log.append(hook)
        action = actions.get(hook)
        if action is not None:
            action(self)

    class Sync(WebsocketConsumer):
        log: list[str] = []
        thread_sensitive = flavour == "one thread"

        def connect(self) -> None:
            async_to_sync(self.channel_layer.group_add)("room", self.channel_name)
            act(self, "connect")
            self.accept()

        def receive(self, text_data: str) -> None:  # as the tutorial has it
            act(self, "receive")
            async_to_sync(self.channel_layer.group_send)("room", {"type": "chat.message", "text": text_data})

        def chat_message(self, event: Message) -> None:
            act(self, "chat_message")
            self.send(text_data=event["text"])

        def disconnect(self, code: int) -> None:
            act(self, f"disconnect {code}")
            act(self, "disconnect")

    class Async(AsyncWebsocketConsumer):
        log: list[str] = []

        async def connect(self) -> None:
            await self.channel_layer.group_add("room", self.channel_name)
            act(self, "connect")
            await self.accept()

        async def receive(self, text_data: str) -> None:
            act(self, "receive")
            await self.channel_layer.group_send("room", {"type": "chat.message", "text": text_data})

        async def chat_message(self, event: Message) -> None:
            act(self, "chat_message")
            await self.send(text_data=event["text"])

        async def disconnect(self, code: int) -> None:
            act(self, f"disconnect {code}")
            act(self, "disconnect")

    base: Any = Async if flavour == "async" else Sync
    return type("Chat", (base,), {"log": [], **attributes})


def fail(text: str) -> Action:
    def action(self: Any) -> None:
        raise LookupError(text)

    return action


def stop(self: Any) -> None:
    raise StopConsumer


def ends(chat: Any) -> list[str]:
    """The disconnects that a consumer has seen, with their codes."""
    return [entry for entry in chat.log if entry.startswith("disconnect ")]


# The ordinary course of things


async def test_a_conversation(flavour: str, layer: InMemoryChannelLayer) -> None:
    chat = make(flavour)
    one = await Conversation(chat.as_asgi()).open()
    two = await Conversation(chat.as_asgi()).open()
    await one.send_to(text_data="hello")
    assert await one.receive_from() == await two.receive_from() == "hello"
    await one.disconnect(code=4001)
    await two.send_to(text_data="still here")
    assert await two.receive_from() == "still here"
    await two.disconnect()
    assert ends(chat) == ["disconnect 4001", "disconnect 1000"]
    assert layer.groups == {} and layer.channels == {}


async def test_messages_are_handled_one_at_a_time_in_order(flavour: str, layer: InMemoryChannelLayer) -> None:
    chat = make(flavour)
    sender = await Conversation(chat.as_asgi()).open()
    for number in range(80):
        await sender.send_to(text_data=str(number))
    assert [await sender.receive_from() for _ in range(80)] == [str(number) for number in range(80)]
    await sender.disconnect()


async def test_every_connection_has_its_own_consumer(flavour: str, layer: InMemoryChannelLayer) -> None:
    seen: list[Any] = []
    chat = make(flavour, {"connect": seen.append})
    app = chat.as_asgi()
    for _ in range(2):
        await (await Conversation(app).open()).disconnect()
    assert seen[0] is not seen[1]
    assert seen[0].channel_name != seen[1].channel_name


async def test_initkwargs_reach_the_constructor(flavour: str, layer: InMemoryChannelLayer) -> None:
    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        self.given = kwargs

    seen: list[Any] = []
    chat = make(flavour, {"connect": lambda self: seen.append(self.given)}, __init__=remember)
    await (await Conversation(chat.as_asgi(room="lobby")).open()).disconnect()
    assert seen == [{"room": "lobby"}]


async def test_groups_of_the_class_are_joined_and_left(flavour: str, layer: InMemoryChannelLayer) -> None:
    chat = make(flavour, groups=["news", "weather"])
    client = await Conversation(chat.as_asgi()).open()
    assert set(layer.groups) == {"news", "weather", "room"}
    await layer.group_send("news", {"type": "chat.message", "text": "extra"})
    assert await client.receive_from() == "extra"
    await client.disconnect()
    assert layer.groups == {}


@pytest.mark.parametrize("own_constructor", [False, True])
async def test_groups_are_never_shared(
    flavour: str, layer: InMemoryChannelLayer, own_constructor: bool
) -> None:
    def append(self: Any) -> None:
        self.groups.append(f"extra-{len(self.log)}")

    extra: dict[str, Any] = {"__init__": lambda self: None} if own_constructor else {}
    chat = make(flavour, {"connect": append}, groups=["shared"], **extra)
    clients = [await Conversation(chat.as_asgi()).open() for _ in range(3)]
    assert chat.groups == ["shared"]
    assert set(layer.groups) == {"shared", "room"}, (
        "appending does not join, and no connection joins another's"
    )
    for client in clients:
        await client.disconnect()
    assert layer.groups == {}


async def test_a_consumer_works_without_a_layer(flavour: str) -> None:
    class Echo(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await self.send(text_data, bytes_data)

    client = await Conversation(Echo.as_asgi()).open()
    await client.send_to(text_data="hello")
    assert await client.receive_from() == "hello"
    await client.disconnect()


# Every way to end


@pytest.mark.parametrize("hook", ["receive", "chat_message"])
async def test_a_handler_that_raises(
    flavour: str, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture, hook: str
) -> None:
    chat, healthy = make(flavour, {hook: fail("no such thing")}), make(flavour)
    client = await Conversation(chat.as_asgi(), "/ws/lobby/").open()
    other = await Conversation(healthy.as_asgi()).open()
    await client.send_to(text_data="hello")
    assert await client.closed() == 1011
    assert ends(chat) == ["disconnect 1011"]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR and record.exc_info is not None
    for part in ("Chat", "/ws/lobby/", "no such thing", "LookupError", hook.split("_")[-1]):
        assert part in record.getMessage()
    assert len(layer.groups["room"]) == 1, "the failed one has left, the other one is still there"
    if hook == "chat_message":
        assert await other.receive_from() == "hello"
    await other.send_to(text_data="everybody else goes on")
    assert await other.receive_from() == "everybody else goes on"
    await other.disconnect()


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("error", [GeneratorExit, StopIteration])
async def test_a_handler_that_raises_what_ends_generators(
    flavour: str,
    layer: InMemoryChannelLayer,
    caplog: pytest.LogCaptureFixture,
    concurrency: int,
    error: type[BaseException],
) -> None:
    """GeneratorExit: the event loop dropped its task; it did not. StopIteration: no future takes it."""

    def leave(self: Any) -> None:
        raise error

    chat = make(flavour, {"receive": leave})
    if flavour == "async":
        chat.concurrency = concurrency
    client = await Conversation(chat.as_asgi()).open()
    await client.send_to(text_data="x")
    assert await client.closed() == 1011
    assert ends(chat) == ["disconnect 1011"]
    assert layer.groups == {}
    assert len(caplog.records) == 1 and error.__name__ in caplog.text


async def test_a_disconnect_that_raises_what_ends_generators(
    flavour: str, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """Was: the end of a connection waited for ever for a sync one, before Python 3.12."""

    def leave(self: Any) -> None:
        raise StopIteration

    chat = make(flavour, {"receive": fail("a bug"), "disconnect": leave})
    client = await Conversation(chat.as_asgi()).open()
    await client.send_to(text_data="x")
    assert await client.closed() == 1011
    await asyncio.wait((client.future,), timeout=15)
    assert client.future.done() and layer.groups == {}
    assert ends(chat) == ["disconnect 1011"]
    assert len(caplog.records) == 1 and "a bug" in caplog.text


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_dropped_task_runs_nothing(
    flavour: str, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture, concurrency: int
) -> None:
    """An event loop that is no more drops its tasks: their coroutines are closed."""
    chat = make(flavour)
    if flavour == "async":
        chat.concurrency = concurrency
    before = connections.current
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        client = loop.run_until_complete(Conversation(chat.as_asgi()).open())
        assert connections.current == before + 1
        running: Any = client.future.get_coro()
        contextvars.copy_context().run(running.close)  # asgiref changes the context that it is in
        assert connections.current == before
        loop.run_until_complete(wind_up(client.future))
    assert ends(chat) == [] and not caplog.records


async def wind_up(*done: asyncio.Future[Any]) -> None:
    """Cancel all other tasks of the event loop; wait for them, and for ``done``, which raise nothing."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*done, *tasks, return_exceptions=True)


async def test_connect_that_raises(
    flavour: str, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    chat = make(flavour, {"connect": fail("not today")})
    client = Conversation(chat.as_asgi())
    assert await client.connect() == (False, 1011)
    await client.wait()
    assert ends(chat) == ["disconnect 1011"]
    assert layer.groups == {}
    assert len(caplog.records) == 1 and "not today" in caplog.text


async def test_disconnect_that_raises(
    flavour: str, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    chat = make(flavour, {"disconnect": fail("cannot say goodbye")})
    client = await Conversation(chat.as_asgi()).open()
    await client.disconnect()
    assert ends(chat) == ["disconnect 1000"]
    assert layer.groups == {}
    assert len(caplog.records) == 1 and "cannot say goodbye" in caplog.text


async def test_both_a_handler_and_disconnect_raise(
    flavour: str, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """The first is logged before anything else is done; the second, most often its consequence, at INFO."""
    chat = make(flavour, {"receive": fail("first"), "disconnect": fail("second")})
    with caplog.at_level(logging.INFO, "compat.consumer"):
        client = await Conversation(chat.as_asgi()).open()
        await client.send_to(text_data="x")
        assert await client.closed() == 1011
    first, second = caplog.records
    assert (
        first.levelno == logging.ERROR and "failed in websocket.receive: LookupError: first" in first.message
    )
    assert second.levelno == logging.INFO and "websocket.disconnect: LookupError: second" in second.message
    assert layer.groups == {}


@pytest.mark.parametrize("hook", ["connect", "receive", "chat_message"])
async def test_stop_consumer(
    flavour: str, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture, hook: str
) -> None:
    chat = make(flavour, {hook: stop})
    client = Conversation(chat.as_asgi())
    connected, code = await client.connect()
    if hook == "connect":
        assert (connected, code) == (False, 1000)
        await client.wait()
    else:
        await client.send_to(text_data="x")
        assert await client.closed() == 1000
    assert ends(chat) == ["disconnect 1000"]
    assert layer.groups == {} and not caplog.records


async def test_an_unknown_message_type(
    flavour: str, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    chat = make(flavour)
    client = await Conversation(chat.as_asgi()).open()
    await layer.group_send("room", {"type": "no.such.handler"})
    assert await client.closed() == 1011
    assert len(caplog.records) == 1 and "No handler for message type no.such.handler" in caplog.text
    assert ends(chat) == ["disconnect 1011"]


async def test_a_private_method_cannot_be_reached(
    flavour: str, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    client = await Conversation(make(flavour).as_asgi()).open()
    await layer.group_send("room", {"type": "_join"})
    assert await client.closed() == 1011
    assert "leading underscore" in caplog.text


async def test_a_cancelled_task(flavour: str, layer: InMemoryChannelLayer) -> None:
    chat = make(flavour)
    client = await Conversation(chat.as_asgi()).open()
    client.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.future
    assert ends(chat) == ["disconnect 1001"]
    assert layer.groups == {}


async def test_in_a_test_the_error_is_the_tests(flavour: str, layer: InMemoryChannelLayer) -> None:
    chat = make(flavour, {"receive": fail("no such thing")})
    client = await Conversation(chat.as_asgi(), served=False).open()
    await client.send_to(text_data="x")
    with pytest.raises(LookupError, match="no such thing"):
        await client.receive_from()
    assert ends(chat) == ["disconnect 1011"]
    assert layer.groups == {}


async def test_frames_after_close_are_dropped_without_noise(
    flavour: str, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    class Closing(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await self.close(code=4002)
            await self.send(text_data="too late")
            await self.close()

    client = await Conversation(Closing.as_asgi()).open()
    await client.send_to(text_data="x")
    assert await client.receive_output() == {"type": "websocket.close", "code": 4002}
    assert await client.receive_nothing()
    await client.disconnect()
    assert not caplog.records


@pytest.mark.parametrize("policy", ["drop", "drop_oldest", "close"])
async def test_a_consumer_that_does_not_keep_up(
    layer: InMemoryChannelLayer, policy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    layer.capacity, layer.on_overflow = 3, policy
    stuck = asyncio.Event()

    class Slow(AsyncWebsocketConsumer):
        groups = ["room"]

        async def chat_message(self, event: Message) -> None:
            await self.send(text_data=event["text"])
            await stuck.wait()

    client = await Conversation(Slow.as_asgi()).open()
    await layer.group_send("room", {"type": "chat.message", "text": "0"})
    assert await client.receive_from() == "0"
    results = [await layer.group_send("room", {"type": "chat.message", "text": str(n)}) for n in range(1, 6)]
    if policy == "close":
        assert await client.closed() == 1013
        assert layer.groups == {}
        return
    assert [result.dropped for result in results] == [0, 0, 0, 1, 1]
    stuck.set()
    kept = [await client.receive_from() for _ in range(3)]
    assert kept == (["1", "2", "3"] if policy == "drop" else ["3", "4", "5"])
    assert layer.metrics.dropped == {"overflow": 2}
    await client.disconnect()


# Layers that are missing, or somebody else's


async def test_an_alias_that_is_not_configured(
    flavour: str, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    chat = make(flavour, channel_layer_alias="chat")
    with pytest.raises(
        InvalidChannelLayerError, match=r"Chat uses channel layer 'chat'.*Configured: default"
    ):
        await Conversation(chat.as_asgi(), served=False).connect()


async def test_a_consumer_that_wants_no_layer(flavour: str, layer: InMemoryChannelLayer) -> None:
    """As terminals and streams say it, so that an outage of Redis does not end them."""
    base = AsyncWebsocketConsumer if flavour == "async" else WebsocketConsumer
    alone = {"channel_layer_alias": None, "thread_sensitive": flavour == "one thread"}
    terminal: Any = type("Terminal", (base,), alone)
    client = Conversation(terminal.as_asgi())
    assert await client.connect() == (True, None)
    assert get_channel_layer(None) is None
    await client.disconnect()


@pytest.mark.parametrize(
    ("used", "said"),
    [
        ("groups", "Terminal has no channel layer: its channel_layer_alias is None. Set that"),
        ("channel_layer", "Terminal has no channel layer: its channel_layer_alias is None. Set that"),
        ("channel_name", "only with a channel layer, and channel_layer_alias is None"),
    ],
)
async def test_using_a_layer_that_is_not_wanted(
    used: str, said: str, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """Was: "no layer None is configured", and that None should be added to CHANNEL_LAYERS."""

    class Terminal(AsyncWebsocketConsumer):
        channel_layer_alias = None
        groups = ["all"] if used == "groups" else []

        async def connect(self) -> None:
            await getattr(self, used).group_add("all", self.channel_name)

    await Conversation(Terminal.as_asgi()).connect()
    assert said in caplog.text


async def test_using_a_layer_where_there_is_none(flavour: str, caplog: pytest.LogCaptureFixture) -> None:
    chat = make(flavour)
    client = Conversation(chat.as_asgi())
    assert await client.connect() == (False, 1011)
    await client.wait()
    assert len(caplog.records) == 1
    assert (
        "InvalidChannelLayerError: Chat uses channel layer 'default', which is not configured" in caplog.text
    )


async def test_groups_where_there_is_no_layer(flavour: str) -> None:
    chat = make(flavour, groups=["news"])
    with pytest.raises(InvalidChannelLayerError, match="BACKEND is unconfigured or doesn't support groups"):
        await Conversation(chat.as_asgi(), served=False).connect()


class AskedLayer(BaseChannelLayer):
    """Somebody's layer: it can be asked for messages, and cannot push."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = InMemoryChannelLayer()
        self.send = self.memory.send  # type: ignore[method-assign]
        self.receive = self.memory.receive  # type: ignore[method-assign]
        self.new_channel = self.memory.new_channel  # type: ignore[method-assign]
        self.group_add = self.memory.group_add  # type: ignore[method-assign]
        self.group_discard = self.memory.group_discard  # type: ignore[method-assign]
        self.group_send = self.memory.group_send  # type: ignore[method-assign]


async def test_a_layer_that_can_only_be_asked(flavour: str) -> None:
    layer = AskedLayer()
    register_channel_layer("default", layer)
    try:
        chat = make(flavour)
        client = await Conversation(chat.as_asgi()).open()
        for number in range(50):
            await client.send_to(text_data=str(number))
        assert [await client.receive_from() for _ in range(50)] == [str(number) for number in range(50)]
        await client.disconnect()
        assert ends(chat) == ["disconnect 1000"]
    finally:
        unregister_channel_layer("default")


@pytest.mark.parametrize("kind", [mock.Mock, mock.MagicMock, mock.AsyncMock])
async def test_a_layer_that_is_a_mock(
    flavour: str, kind: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: a warning that its groups could not be left, because a mock has any attribute."""
    monkeypatch.setattr(timings, "_watched", True)  # was: a TypeError
    monkeypatch.setattr(timings, "_classes", {})
    queue: asyncio.Queue[Message] = asyncio.Queue()
    layer = kind(group_add=mock.AsyncMock(), group_discard=mock.AsyncMock())
    layer.new_channel = mock.AsyncMock(return_value="channel")
    layer.receive = lambda channel: queue.get()
    register_channel_layer("default", layer)
    try:
        chat = make(flavour, groups=["news"])
        client = await Conversation(chat.as_asgi()).open()
        layer.group_add.assert_any_await("news", "channel")
        await queue.put({"type": "chat.message", "text": "from the layer"})
        assert await client.receive_from() == "from the layer"
        await client.disconnect()
        assert ends(chat) == ["disconnect 1000"] and not caplog.records
        layer.group_discard.assert_awaited_once_with("news", "channel")
    finally:
        unregister_channel_layer("default")


async def test_a_layer_that_fails_under_a_consumer(flavour: str, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(AskedLayer):
        def __init__(self) -> None:
            super().__init__()
            self.receive = self.fail  # type: ignore[method-assign]

        async def fail(self, channel: str) -> Message:
            raise OSError("the layer's server has gone")

    register_channel_layer("default", Failing())
    try:
        client = Conversation(make(flavour).as_asgi())
        await client.connect()
        await client.wait()
        assert len(caplog.records) == 1 and "the layer's server has gone" in caplog.text
    finally:
        unregister_channel_layer("default")


@pytest.mark.parametrize("base", [AsyncConsumer, SyncConsumer])
async def test_a_request_during_an_outage(base: Any) -> None:
    """Was: an error of the application (500), where a websocket is told when to try again."""

    class Away(InMemoryChannelLayer):
        async def new_channel(self, prefix: str = "specific") -> str:
            raise LayerUnavailable("gone fishing")

    register_channel_layer("default", Away())
    try:
        client = HttpCommunicator(base.as_asgi(), "GET", "/")
        client.scope["asgi"] = {"version": "3.0"}
        answer = await client.get_response()
        assert answer["status"] == 503 and (b"retry-after", b"5") in answer["headers"]
        with pytest.raises(LayerUnavailable):  # in a test it is the test's
            await HttpCommunicator(base.as_asgi(), "GET", "/").get_response()
    finally:
        unregister_channel_layer("default")


# Mistakes


def test_decorated_hooks_are_left_alone() -> None:
    def undecided(function: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    class Fine(AsyncWebsocketConsumer):
        @undecided
        async def connect(self) -> None:
            await self.accept()

    assert Fine.as_asgi().consumer_class is Fine


@pytest.mark.parametrize("kind", [SyncConsumer, WebsocketConsumer, AsyncWebsocketConsumer, AsyncHttpConsumer])
def test_each_name_that_dir_lists_can_be_read_also_before_a_connection(kind: type[AsyncConsumer]) -> None:
    for what in (kind, kind()):
        for name in dir(what):  # as generators of schemas do
            assert name.startswith("__") or hasattr(what, name), name


def test_dir_lists_what_a_project_has_under_these_names() -> None:
    class Chat(AsyncWebsocketConsumer):
        async def presence(self, event: Message) -> None:  # type: ignore[override]
            """A handler of messages."""

    assert "presence" in dir(Chat())


# The application object


def test_as_asgi_carries_what_upstreams_does() -> None:
    class Chat(AsyncWebsocketConsumer):
        """What it does."""

    app = Chat.as_asgi(room="lobby")
    assert isinstance(app, ConsumerApp)
    assert app.consumer_class is Chat and app.consumer_initkwargs == {"room": "lobby"}
    shown: Any = app
    assert (shown.__name__, shown.__doc__, shown.__module__) == ("Chat", "What it does.", __name__)
    assert shown.__qualname__ == Chat.__qualname__


async def test_path_parameters_become_the_url_route(layer: InMemoryChannelLayer) -> None:
    seen: list[Any] = []
    app = make("async", {"connect": lambda self: seen.append(self.scope["url_route"])}).as_asgi()
    client = WebsocketCommunicator(app, "/ws/lobby/")
    client.scope["path_params"] = {"room_name": "lobby"}
    await client.connect()
    await client.disconnect()
    assert seen == [{"args": (), "kwargs": {"room_name": "lobby"}}]


async def test_raw_consumers(layer: InMemoryChannelLayer) -> None:
    class Raw(AsyncConsumer):
        async def websocket_connect(self, message: Message) -> None:
            await self.send({"type": "websocket.accept"})

        async def websocket_receive(self, message: Message) -> None:
            await self.send({"type": "websocket.send", "text": message["text"]})

    client = await Conversation(Raw.as_asgi()).open()
    await client.send_to(text_data="hello")
    assert await client.receive_from() == "hello"
    await client.disconnect()  # it has no handler for that, and needs none behind a server

    instance = Raw()
    communicator = ApplicationCommunicator(instance, {"type": "websocket"})
    await communicator.send_input({"type": "websocket.disconnect", "code": 1000})
    with pytest.raises(ValueError, match=r"No handler for message type websocket\.disconnect"):
        await communicator.wait()


class Registry(AsyncConsumer):
    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Forget super(), as registries of routes do."""


async def test_classes_without_our_init_subclass_share_no_handlers(layer: InMemoryChannelLayer) -> None:
    class Told(Registry):
        async def told(self, event: Message) -> None:
            await self.send({"type": "websocket.send", "text": "told"})

    class Other(Registry):
        pass

    communicator = ApplicationCommunicator(Told.as_asgi(), {"type": "websocket"})
    await communicator.send_input({"type": "told"})
    assert (await communicator.receive_output())["text"] == "told"
    other = ApplicationCommunicator(Other.as_asgi(), {"type": "websocket"})
    await other.send_input({"type": "told"})
    with pytest.raises(ValueError, match="No handler for message type told"):
        await other.wait()
    communicator.stop()


async def test_an_instance_is_an_application(layer: InMemoryChannelLayer) -> None:
    results: list[Any] = []

    class Raw(SyncConsumer):
        def test_sync(self, message: Message) -> None:
            results.append(message["n"])
            if message["n"] == 2:
                raise StopConsumer

    communicator = ApplicationCommunicator(Raw(), {"type": "test"})
    for number in range(3):
        await communicator.send_input({"type": "test.sync", "n": number})
    await communicator.wait()
    assert results == [0, 1, 2]


async def test_an_instance_that_serves_again_has_a_new_channel(layer: InMemoryChannelLayer) -> None:
    """Was: what was made of the first one stayed."""
    consumer: Any = AsyncWebsocketConsumer()
    channels = set()
    for _ in range(2):
        client = await Conversation(consumer).open()
        assert consumer.channel_receive.args == (consumer.channel_name,)
        assert consumer.presence._channel == consumer.channel_name
        channels.add(consumer.channel_name)
        await client.disconnect()
    assert len(channels) == 2


async def test_the_socket_is_read_one_message_ahead_at_most(layer: InMemoryChannelLayer) -> None:
    gate = asyncio.Event()

    class Slow(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await gate.wait()

    client = await Conversation(Slow.as_asgi()).open()
    for number in range(10):
        await client.send_to(text_data=str(number))
    for _ in range(20):
        await asyncio.sleep(0)
    assert client.input_queue.qsize() >= 8, "one in the handler, one ahead"
    gate.set()
    await client.disconnect()


async def test_consumers_are_counted(layer: InMemoryChannelLayer, flavour: str) -> None:
    from compat.metrics import snapshot

    before = snapshot()["connections"]
    client = await Conversation(make(flavour).as_asgi()).open()
    during = snapshot()
    await client.disconnect()
    assert during["connections"] == {"current": before["current"] + 1, "total": before["total"] + 1}
    assert during["layers"]["default"]["dropped"] == {}
    assert snapshot()["connections"]["current"] == before["current"]


class Refusing(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.close()


class SyncRefusing(WebsocketConsumer):
    def connect(self) -> None:
        self.close()


@pytest.mark.parametrize("refusing", [Refusing, SyncRefusing])
async def test_a_refused_handshake_is_no_accepted_websocket(refusing: Any) -> None:
    from compat.metrics import snapshot

    before = snapshot()["connections"]
    for _ in range(5):
        assert not (await WebsocketCommunicator(refusing.as_asgi(), "/").connect())[0]
    assert snapshot()["connections"]["total"] == before["total"]


def test_an_inbox_is_attached_to_push_layers_only() -> None:
    assert not hasattr(BaseChannelLayer, "attach"), "a subclass that cannot push must not seem to"
    assert hasattr(InMemoryChannelLayer, "attach")


async def test_an_error_is_not_lost_when_the_task_is_cancelled_while_it_disconnects() -> None:
    disconnecting = asyncio.Event()

    class Slow(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            raise LookupError("boom")

        async def disconnect(self, code: int) -> None:
            disconnecting.set()
            await asyncio.Event().wait()

    communicator = WebsocketCommunicator(Slow.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(text_data="x")
    await asyncio.wait_for(disconnecting.wait(), 10)
    communicator.future.cancel()
    with pytest.raises(LookupError, match="boom"):
        await communicator.wait(10)
