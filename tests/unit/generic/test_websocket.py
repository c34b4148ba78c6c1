"""The four websocket consumers, message by message (what Channels 4.3 sends, key for key)."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from compat.consumer import AsyncConsumer, SyncConsumer
from compat.exceptions import AcceptConnection, DenyConnection
from compat.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from compat.layers import InMemoryChannelLayer
from compat.metrics import snapshot
from compat.settings import override
from compat.testing import WebsocketCommunicator
from tests.support.conversations import Conversation

Script = Callable[[Any], Any]


def scripted(kind: str, **hooks: Any) -> Any:
    """A consumer of the given kind whose hooks run ``(method, args, kwargs)`` steps on themselves."""
    base: Any = {
        "sync": WebsocketConsumer,
        "async": AsyncWebsocketConsumer,
        "sync json": JsonWebsocketConsumer,
        "async json": AsyncJsonWebsocketConsumer,
    }[kind]

    def hook(name: str, steps: list[Any]) -> Any:
        if kind.startswith("async"):

            async def run(self: Any, *args: Any, **kwargs: Any) -> None:  # pyright: ignore[reportRedeclaration]
                for step in steps:
                    chosen: Any = step(*args, **kwargs) if callable(step) else step
                    method, positional, keyword = chosen
                    await getattr(self, method)(*positional, **keyword)
        else:

            def run(self: Any, *args: Any, **kwargs: Any) -> None:  # type: ignore[misc]
                for step in steps:
                    chosen: Any = step(*args, **kwargs) if callable(step) else step
                    method, positional, keyword = chosen
                    getattr(self, method)(*positional, **keyword)

        run.__name__ = name
        return run

    return type("Scripted", (base,), {name: hook(name, steps) for name, steps in hooks.items()})


def step(method: str, *args: Any, **kwargs: Any) -> Any:
    return method, args, kwargs


plain = pytest.mark.parametrize("kind", ["sync", "async"])
jsons = pytest.mark.parametrize("kind", ["sync json", "async json"])


async def outputs(app: Any, *inputs: dict[str, Any], count: int) -> list[Any]:
    communicator = WebsocketCommunicator(app.as_asgi(), "/")
    await communicator.send_input({"type": "websocket.connect"})
    for message in inputs:
        await communicator.send_input(message)
    sent = [await communicator.receive_output() for _ in range(count)]
    await communicator.disconnect()
    return sent


@plain
async def test_accept_has_always_a_subprotocol_key(kind: str) -> None:
    assert await outputs(scripted(kind), count=1) == [{"type": "websocket.accept", "subprotocol": None}]


@plain
async def test_accept_with_subprotocol_and_headers(kind: str) -> None:
    headers = ((b"x-room", b"lobby"),)
    app = scripted(kind, connect=[step("accept", "v1", headers)])
    assert await outputs(app, count=1) == [
        {"type": "websocket.accept", "subprotocol": "v1", "headers": [(b"x-room", b"lobby")]}
    ]


@plain
async def test_accept_and_deny_by_exception(kind: str) -> None:
    def raises(error: type[Exception]) -> Any:
        def raise_it() -> Any:
            raise error

        return scripted(kind, connect=[raise_it])

    assert (await outputs(raises(AcceptConnection), count=1))[0]["type"] == "websocket.accept"
    assert await outputs(raises(DenyConnection), count=1) == [{"type": "websocket.close"}]


@plain
async def test_a_connect_that_decides_nothing_is_refused(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    assert await outputs(scripted(kind, connect=[]), count=1) == [{"type": "websocket.close"}]
    assert "connect() called neither accept() nor close()" in caplog.text


@plain
@pytest.mark.parametrize(
    ("frame", "keyword"),
    [
        ({"text": "hi"}, {"text_data": "hi"}),
        ({"text": "hi", "bytes": None}, {"text_data": "hi"}),
        ({"text": ""}, {"text_data": ""}),
        ({"bytes": b"hi"}, {"bytes_data": b"hi"}),
        ({"bytes": b"hi", "text": None}, {"bytes_data": b"hi"}),
    ],
)
async def test_receive_gets_exactly_the_one_that_came(kind: str, frame: dict[str, Any], keyword: Any) -> None:
    seen: list[Any] = []

    def look(**kwargs: Any) -> Any:
        seen.append(kwargs)
        return step("send", text_data="seen")

    await outputs(scripted(kind, receive=[look]), {"type": "websocket.receive", **frame}, count=2)
    assert seen == [keyword]


@plain
@pytest.mark.parametrize(
    ("call", "messages"),
    [
        (step("send", "text"), [{"type": "websocket.send", "text": "text"}]),
        (step("send", text_data=""), [{"type": "websocket.send", "text": ""}]),
        (step("send", bytes_data=b""), [{"type": "websocket.send", "bytes": b""}]),
        (step("send", "text", b"bytes"), [{"type": "websocket.send", "text": "text"}]),
        (
            step("send", "x", close=True),
            [{"type": "websocket.send", "text": "x"}, {"type": "websocket.close"}],
        ),
        (
            step("send", "x", close=4001),
            [{"type": "websocket.send", "text": "x"}, {"type": "websocket.close", "code": 4001}],
        ),
        (step("send", "x", close=False), [{"type": "websocket.send", "text": "x"}]),
        (step("close"), [{"type": "websocket.close"}]),
        (step("close", True), [{"type": "websocket.close"}]),
        (step("close", code=4002), [{"type": "websocket.close", "code": 4002}]),
        (step("close", 4003, "why"), [{"type": "websocket.close", "code": 4003, "reason": "why"}]),
        (step("close", reason=""), [{"type": "websocket.close"}]),
    ],
)
async def test_what_send_and_close_send(kind: str, call: Any, messages: list[Any]) -> None:
    app = scripted(kind, receive=[call])
    got = await outputs(app, {"type": "websocket.receive", "text": "x"}, count=1 + len(messages))
    assert got[1:] == messages


@plain
async def test_send_wants_something_to_send(kind: str) -> None:
    app = scripted(kind, receive=[step("send")])
    with pytest.raises(ValueError, match="You must pass one of bytes_data or text_data"):
        await outputs(app, {"type": "websocket.receive", "text": "x"}, count=2)


@plain
async def test_disconnect_gets_the_code_by_position(kind: str) -> None:
    seen: list[Any] = []

    def look(*args: Any) -> Any:
        seen.append(args)
        return step("__class__")

    communicator = WebsocketCommunicator(scripted(kind, disconnect=[look]).as_asgi(), "/")
    await communicator.connect()
    if kind == "sync":
        await communicator.disconnect(code=4009)
    else:
        with pytest.raises(TypeError):  # the step is not awaitable; the code has been seen
            await communicator.disconnect(code=4009)
    assert seen == [(4009,)]


@jsons
async def test_json_in_and_out(kind: str) -> None:
    app = scripted(kind, receive_json=[lambda content: step("send_json", {"got": content, "ü": 1})])
    got = await outputs(app, {"type": "websocket.receive", "text": '{"a": [1, null]}'}, count=2)
    assert got[1] == {"type": "websocket.send", "text": json.dumps({"got": {"a": [1, None]}, "ü": 1})}


@jsons
@pytest.mark.parametrize("frame", [{"bytes": b"{}"}, {"text": ""}])
async def test_json_wants_text(kind: str, frame: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="No text section for incoming WebSocket frame!"):
        await outputs(scripted(kind), {"type": "websocket.receive", **frame}, count=2)


@jsons
async def test_json_that_is_none(kind: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        await outputs(scripted(kind), {"type": "websocket.receive", "text": "{nope"}, count=2)


@jsons
async def test_codecs_are_class_methods_that_can_be_overridden(kind: str) -> None:
    app = scripted(kind, receive_json=[lambda content: step("send_json", content, close=True)])
    if kind == "async json":

        async def encode(cls: Any, content: Any) -> str:  # pyright: ignore[reportRedeclaration]
            return f"<{content}>"

        async def decode(cls: Any, text: str) -> Any:  # pyright: ignore[reportRedeclaration]
            return str(text).upper()
    else:

        def encode(cls: Any, content: Any) -> str:  # type: ignore[misc]
            return f"<{content}>"

        def decode(cls: Any, text: str) -> Any:  # type: ignore[misc]
            return str(text).upper()

    app.encode_json, app.decode_json = classmethod(encode), classmethod(decode)
    got = await outputs(app, {"type": "websocket.receive", "text": "hi"}, count=3)
    assert got[1:] == [{"type": "websocket.send", "text": "<HI>"}, {"type": "websocket.close"}]


def test_the_constructor_swallows_arguments() -> None:
    for base in (WebsocketConsumer, AsyncWebsocketConsumer):
        consumer = base("positional", keyword=1)
        assert consumer.groups == []


@plain
async def test_a_frame_sent_to_a_group_goes_out_as_it_is(kind: str, layer: InMemoryChannelLayer) -> None:
    consumer = scripted(kind)
    consumer.groups = ["room"]
    talk = WebsocketCommunicator(consumer.as_asgi(), "/")
    await talk.connect()
    await layer.group_send("room", {"type": "websocket.send", "text": "ready made"})
    assert await talk.receive_from() == "ready made"
    await talk.disconnect()


async def test_a_replaced_base_send_sees_every_frame() -> None:
    class Watched(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            plain = self.base_send

            async def shout(message: Any) -> None:
                await plain({**message, "text": message["text"].upper()} if "text" in message else message)

            self.base_send = shout
            await self.accept()
            await self.send(text_data="quiet")

    talk = WebsocketCommunicator(Watched.as_asgi(), "/")
    await talk.connect()
    assert await talk.receive_from() == "QUIET"
    await talk.disconnect()


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("how", ["a later base", "a patch"])
async def test_a_send_of_a_base_sees_every_frame(
    kind: str, how: str, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    base: Any = AsyncConsumer if kind == "async" else SyncConsumer
    shipped = base.send

    def send(self: Any, message: Any) -> Any:
        seen.append(message["type"])
        return shipped(self, message)

    if how == "a patch":
        monkeypatch.setattr(base, "send", send)
    log = type("Log", (base,), {"send": send} if how == "a later base" else {})
    own: Any = AsyncWebsocketConsumer if kind == "async" else WebsocketConsumer
    consumer: Any = type("Logged", (own, log), {"groups": ["room"]})
    talk = await Conversation(consumer.as_asgi()).open()
    await layer.group_send("room", {"type": "websocket.send", "text": "ready made"})
    assert await talk.receive_from() == "ready made"
    await layer.group_send("room", {"type": "compat.heartbeat"})
    assert await talk.receive_json_from() == {"type": "ping"}
    assert seen == ["websocket.accept", "websocket.send", "websocket.send"]
    await talk.disconnect()


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("of", [list, tuple])
async def test_groups_may_be_a_property(kind: str, of: Any, layer: InMemoryChannelLayer) -> None:
    own: Any = AsyncWebsocketConsumer if kind == "async" else WebsocketConsumer
    groups = property(lambda self: of(["room"]))
    consumer: Any = type("Member", (own,), {"groups": groups})
    talk = await Conversation(consumer.as_asgi()).open()
    await layer.group_send("room", {"type": "compat.heartbeat"})
    assert await talk.receive_json_from() == {"type": "ping"}
    await talk.disconnect()
    assert layer.groups == {}


async def test_a_handler_of_one_instance_is_not_looked_for_in_another(layer: InMemoryChannelLayer) -> None:
    class Two(AsyncWebsocketConsumer):
        groups = ["room"]

        async def connect(self) -> None:
            if self.scope["path"] == "/own/":
                self.own_event = self.answer
            await self.accept()

        async def answer(self, event: Any) -> None:
            await self.send(text_data="own")

    own = await Conversation(Two.as_asgi(), "/own/").open()
    await layer.group_send("room", {"type": "own.event"})
    assert await own.receive_from() == "own"
    await own.disconnect()
    with override(CHANNEL_UNKNOWN_MESSAGE="ignore"):
        other = await Conversation(Two.as_asgi(), "/other/").open()
        await layer.group_send("room", {"type": "own.event"})
        await layer.group_send("room", {"type": "compat.heartbeat"})
        assert await other.receive_json_from() == {"type": "ping"}
        await other.disconnect()


async def test_an_accept_after_a_close_is_not_counted() -> None:
    class Both(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.close()
            await self.accept()

    before = snapshot()["connections"]["total"]
    await outputs(Both, count=1)
    assert snapshot()["connections"]["total"] == before


class Keeps:
    """Uses ``groups`` as what it is, once it is connected and at its end."""

    groups: Any
    use: Any
    used: list[Any]

    def used_now(self) -> None:
        self.use(self.groups)
        self.used.append(self.groups)


class KeepsInThreads(Keeps, WebsocketConsumer):
    def connect(self) -> None:
        self.used_now()
        self.accept()

    def disconnect(self, code: int) -> None:
        self.used_now()


class KeepsAsync(Keeps, AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.used_now()
        await self.accept()

    async def disconnect(self, code: int) -> None:
        self.used_now()


@pytest.mark.parametrize("kind", [KeepsInThreads, KeepsAsync])
@pytest.mark.parametrize(
    ("groups", "use", "joined"),
    [
        ({"a", "b"}, lambda groups: groups.discard("b"), {"a", "b"}),
        ({"a": "everybody"}, lambda groups: groups["a"].upper(), {"a"}),
        (OrderedDict(a=1), lambda groups: groups.move_to_end("a"), {"a"}),
        (deque(["a"], maxlen=3), lambda groups: groups.appendleft("b"), {"a"}),
        (("a", "b"), lambda groups: groups.index("b"), {"a", "b"}),
    ],
    ids=["set", "dict", "ordered dict", "deque", "tuple"],
)
async def test_groups_stay_what_they_are(
    kind: Any, groups: Any, use: Any, joined: set[str], layer: InMemoryChannelLayer
) -> None:
    before = repr(groups)
    consumer: Any = type("Member", (kind,), {"groups": groups, "use": staticmethod(use), "used": []})
    for _ in (1, 2):
        communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
        assert (await communicator.connect())[0]
        assert set(layer.groups) == joined
        await communicator.disconnect()
        layer.groups.clear()
    assert len(consumer.used) == 4 and consumer.used[0] is consumer.used[1]
    assert {type(one) for one in consumer.used} == {type(groups)}
    assert repr(groups) == before and consumer.groups is groups


@pytest.mark.parametrize("kind", [KeepsInThreads, KeepsAsync])
@pytest.mark.parametrize("of", [lambda: dict.fromkeys("ab").keys(), lambda: (name for name in "ab")])
async def test_groups_that_cannot_be_copied_are_a_list(
    kind: Any, of: Callable[[], Any], layer: InMemoryChannelLayer
) -> None:
    cases = {"groups": of(), "use": lambda self, own: own.append("c"), "used": []}
    consumer: Any = type("Member", (kind,), cases)
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    assert (await communicator.connect())[0]
    assert set(layer.groups) == {"a", "b"}
    await communicator.disconnect()
    assert consumer.used[0] == ["a", "b", "c", "c"]


@pytest.mark.parametrize("kind", [KeepsInThreads, KeepsAsync])
@pytest.mark.parametrize("own", [{"mine": "g"}, {"g"}, ("g",), "room"], ids=repr)
async def test_groups_that_connect_sets_stay_what_they_are(
    kind: Any, own: Any, layer: InMemoryChannelLayer
) -> None:
    seen: list[Any] = []

    class Sets(kind):  # type: ignore[misc]
        used = seen

        def use(self, groups: Any) -> None:
            if not seen:
                self.groups = own

    communicator = WebsocketCommunicator(Sets.as_asgi(), "/")
    assert (await communicator.connect())[0]
    await communicator.disconnect()
    assert [one is own for one in seen] == [True, True]


async def test_a_group_of_the_user_is_joined_beside_any_groups(layer: InMemoryChannelLayer) -> None:
    class User:
        pk = 7
        is_authenticated = True

    class Member(AsyncWebsocketConsumer):
        groups = {"a": "everybody"}
        user_groups = True

    communicator = WebsocketCommunicator(Member.as_asgi(), "/")
    communicator.scope["user"] = User()
    assert (await communicator.connect())[0]
    assert len(layer.groups) == 2 and "a" in layer.groups
    await communicator.disconnect()
    assert layer.groups == {} and Member.groups == {"a": "everybody"}


@pytest.mark.parametrize("kind", [WebsocketConsumer, AsyncWebsocketConsumer])
async def test_a_project_s_own_user_groups(kind: Any, layer: InMemoryChannelLayer) -> None:
    """Its names of them, for one; and its user may be of a kind that has no key."""

    class Member(kind):  # type: ignore[misc]
        groups = ["a"]
        user_groups = {"mine"}

    communicator = WebsocketCommunicator(Member.as_asgi(), "/")
    communicator.scope["user"] = object()
    assert (await communicator.connect())[0]
    assert set(layer.groups) == {"a"}
    await communicator.disconnect()
    assert layer.groups == {} and Member.user_groups == {"mine"}


async def test_an_overridden_dispatch_sees_every_message() -> None:
    seen: list[str] = []

    class Watched(AsyncWebsocketConsumer):
        async def dispatch(self, message: Any) -> None:
            seen.append(message["type"])
            await super().dispatch(message)

    talk = WebsocketCommunicator(Watched.as_asgi(), "/")
    await talk.connect()
    await talk.send_to(text_data="x")
    await talk.disconnect()
    assert seen == ["websocket.connect", "websocket.receive", "websocket.disconnect"]


class AcceptsLater(AsyncWebsocketConsumer):
    """As packages do whose protocol has a loop of its own: connect() starts it, and it accepts."""

    async def connect(self) -> None:
        self.task = asyncio.ensure_future(self.protocol())

    async def protocol(self) -> None:
        await asyncio.sleep(0)
        await self.accept("later")


class AcceptsWhenTold(WebsocketConsumer):
    def connect(self) -> None:
        async_to_sync(self.channel_layer.send)(self.channel_name, {"type": "you.may"})

    def you_may(self, event: Any) -> None:
        self.accept("later")


@pytest.mark.parametrize("consumer", [AcceptsLater, AcceptsWhenTold])
async def test_accepting_after_connect_has_returned(consumer: Any, layer: InMemoryChannelLayer) -> None:
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    assert await communicator.connect() == (True, "later")
    await communicator.disconnect()


def test_a_method_of_a_later_base_is_found_as_ever() -> None:
    class View:
        encode_json = staticmethod(str.upper)

        def decode_json(self, text: str) -> str:
            return f"decoded {text}"

    class Both(AsyncWebsocketConsumer, View): ...

    assert Both().decode_json("x") == "decoded x" and Both.encode_json("x") == "X"
    assert not hasattr(Both(), "send_json")


@pytest.mark.parametrize("kind", [SyncConsumer, AsyncConsumer])
def test_groups_of_other_consumers_are_their_own(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    task: Any = type("Task", (kind,), {"groups": "admins"})
    assert task.groups == "admins" and not caplog.records
