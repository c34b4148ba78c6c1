"""Methods of the wrong kind run, as far as they can; a warning names them where something is wrong."""

from __future__ import annotations

import functools
import types
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from compat.consumer import AsyncConsumer, SyncConsumer
from compat.exceptions import StopConsumer
from compat.generic.http import AsyncHttpConsumer
from compat.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from compat.layers import InMemoryChannelLayer
from compat.testing import HttpCommunicator, WebsocketCommunicator

Log = pytest.LogCaptureFixture


async def conversation(consumer: type[Any], text: str = "hi") -> Any:
    """Connect, send a text, and disconnect; return the answer."""
    client = WebsocketCommunicator(consumer.as_asgi(), "/")
    assert (await client.connect())[0]
    await client.send_to(text_data=text)
    answer = await client.receive_from()
    await client.disconnect()
    return answer


def told(caplog: Log) -> list[str]:
    return [record.getMessage() for record in caplog.records]


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data: str) -> None:
        await self.send(text_data)


class EchoInThreads(WebsocketConsumer):
    def receive(self, text_data: str) -> None:
        self.send(text_data)


async def test_a_plain_hook_of_an_async_consumer_runs(layer: InMemoryChannelLayer, caplog: Log) -> None:
    left: list[int] = []

    class Room(Echo):
        def disconnect(self, code: int) -> None:  # type: ignore[override]
            left.append(code)

    class Inner(Room):
        def disconnect(self, code: int) -> None:  # type: ignore[override]
            super().disconnect(code)
            left.append(code)

    assert await conversation(Room) == "hi" and left == [1000]
    assert await conversation(Inner) == "hi" and left == [1000] * 3
    room, inner = told(caplog)
    assert "Room.disconnect (" in room and "test_hooks.py:" in room and "Write 'async def disconnect'" in room
    assert "Inner.disconnect (" in inner


async def test_a_plain_def_that_returns_a_coroutine_is_right(
    layer: InMemoryChannelLayer, caplog: Log
) -> None:
    def logged(method: Any) -> Any:
        @functools.wraps(method)
        def call(*args: Any) -> Any:
            return method(*args)

        return call

    def ending(self: Any, code: int) -> Any:
        yield from AsyncWebsocketConsumer.disconnect(self, code).__await__()

    class Room(AsyncJsonWebsocketConsumer):
        groups = ["room"]

        def connect(self) -> Any:
            return super().connect()

        @logged
        async def receive_json(self, content: Any) -> None:
            await self.channel_layer.group_send("room", {"type": "say", "text": content})

        def say(self, event: Any) -> Any:
            return self.send_json(event["text"])

        def send_json(self, content: Any, close: Any = False) -> Any:
            return super().send_json([content], close)

        disconnect: Any = types.coroutine(ending)

        def websocket_disconnect(self, message: Any) -> Any:
            raise StopConsumer()

    assert await conversation(Room, '"hi"') == '["hi"]'
    assert not caplog.records


@pytest.mark.parametrize("number", [1, 2])
async def test_a_plain_group_handler_reaches_each_member(
    number: int, layer: InMemoryChannelLayer, caplog: Log
) -> None:
    class Room(AsyncWebsocketConsumer):
        groups = ["room"]

        def say(self, event: Any) -> Any:
            return self.send(event["text"])

    clients = [WebsocketCommunicator(Room.as_asgi(), "/") for _ in range(number)]
    for client in clients:
        await client.connect()
    for text in "abc":
        await layer.group_send("room", {"type": "say", "text": text})
        assert [await client.receive_from() for client in clients] == [text] * number
    for client in clients:
        await client.disconnect()
    assert not caplog.records


async def test_a_plain_group_handler_that_returns_nothing(layer: InMemoryChannelLayer, caplog: Log) -> None:
    class Room(Echo):
        groups = ["room"]
        seen: list[str] = []

        def note(self, event: Any) -> None:
            self.seen.append(event["text"])

    client = WebsocketCommunicator(Room.as_asgi(), "/")
    await client.connect()
    for text in "abc":
        await layer.group_send("room", {"type": "note", "text": text})
        await client.send_to(text_data=text)
        assert await client.receive_from() == text
    await client.disconnect()
    assert Room.seen == ["a", "b", "c"]
    (only,) = told(caplog)
    assert "Room.note (" in only and "Write 'async def note'" in only


async def test_a_result_that_cannot_be_awaited_is_an_error_as_ever(layer: InMemoryChannelLayer) -> None:
    class Room(Echo):
        def receive(self, text_data: str) -> Any:
            return text_data

    client = WebsocketCommunicator(Room.as_asgi(), "/")
    await client.connect()
    await client.send_to(text_data="x")
    with pytest.raises(TypeError, match="await"):
        await client.receive_from()


async def test_an_async_hook_of_a_sync_consumer_runs(layer: InMemoryChannelLayer, caplog: Log) -> None:
    left: list[int] = []

    class Room(EchoInThreads):
        groups = ["room"]

        async def disconnect(self, code: int) -> None:  # type: ignore[override]
            await self.channel_layer.group_send("room", {"type": "left"})
            left.append(code)

    assert await conversation(Room) == "hi" and left == [1000]
    (only,) = told(caplog)
    assert "Room.disconnect (" in only and "test_hooks.py:" in only and "Write 'def disconnect'" in only


async def test_an_async_group_handler_of_a_sync_consumer_runs(
    layer: InMemoryChannelLayer, caplog: Log
) -> None:
    class Room(JsonWebsocketConsumer):
        groups = ["room"]

        async def say(self, event: Any) -> None:
            await sync_to_async(self.send_json)(event["text"])

        @async_to_sync
        async def tell(self, event: Any) -> None:
            await sync_to_async(self.send_json)(event["text"])

    client = WebsocketCommunicator(Room.as_asgi(), "/")
    await client.connect()
    for kind in ("say", "say", "tell", "tell"):
        await layer.group_send("room", {"type": kind, "text": kind})
        assert await client.receive_json_from() == kind
    await client.disconnect()
    (only,) = told(caplog)
    assert "Room.say (" in only and "Write 'def say'" in only


async def test_hooks_are_those_of_the_kind_of_consumer(caplog: Log) -> None:
    def helper(self: Any, data: Any) -> None: ...

    names = ("handle", "http_request", "http_disconnect", "send_json", "receive_json")
    members = {name: helper for name in names}
    type("Room", (AsyncWebsocketConsumer,), dict(members))
    type("Task", (AsyncConsumer,), {**members, "connect": helper, "receive": helper})
    type("Page", (AsyncHttpConsumer,), {"connect": helper, "receive": helper, "send_json": helper})

    async def asynchronous(self: Any, data: Any) -> None: ...

    type("Room", (WebsocketConsumer,), {"handle": asynchronous, "send_json": asynchronous})
    type("Task", (SyncConsumer,), {"connect": asynchronous, "receive": asynchronous})
    assert not caplog.records
    type("Room", (AsyncJsonWebsocketConsumer,), dict(members))
    assert len(caplog.records) == 2  # send_json and receive_json


async def test_a_plain_hook_of_an_http_consumer_runs(caplog: Log) -> None:
    ended: list[str] = []

    class Page(AsyncHttpConsumer):
        def handle(self, body: bytes) -> Any:
            return self.send_response(200, body)

        def disconnect(self) -> None:  # type: ignore[override]
            ended.append("page")

    answer = await HttpCommunicator(Page.as_asgi(), "POST", "/", body=b"x").get_response()
    assert answer["body"] == b"x" and ended == ["page"]
    (only,) = told(caplog)
    assert "Page.disconnect (" in only


@pytest.mark.parametrize("kind", [EchoInThreads, Echo])
async def test_groups_that_is_one_string(kind: Any, layer: InMemoryChannelLayer, caplog: Log) -> None:
    """Each letter is a group; as the name of one group it works all the same."""
    room: Any = type("Member", (kind,), {"groups": "room"})
    type("Inheriting", (room,), {})
    mixin = type("Mixin", (), {"groups": "iot.broadcast"})
    type("Mixed", (mixin, kind), {})
    first, second = told(caplog)
    assert "Member.groups (" in first and "test_hooks.py" in first and "Write groups = ['room']" in first
    assert "Mixed.groups (" in second
    client = WebsocketCommunicator(room.as_asgi(), "/")
    await client.connect()
    assert set(layer.groups) == {*"rom"}
    await client.disconnect()
    assert layer.groups == {} and room.groups == "room"


async def test_other_groups_are_right(caplog: Log) -> None:
    for groups in (["room"], ("room",), {"room"}, {"a": "room"}, "", None, property(lambda self: "room")):
        type("Member", (Echo,), {"groups": groups})
    assert not caplog.records
