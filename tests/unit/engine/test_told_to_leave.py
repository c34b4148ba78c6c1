"""A disconnect that the server did not send: told over the layer, or by a handler that calls another one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from compat.consumer import AsyncConsumer
from compat.exceptions import ClientDisconnected, StopConsumer
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import InMemoryChannelLayer
from tests.support.conversations import Conversation
from tests.support.waiting import turns, until_async

seen: list[Any] = []


class Room(AsyncWebsocketConsumer):
    groups = ["all"]

    async def receive(self, text_data: str) -> None:
        await self.websocket_disconnect({"type": "websocket.disconnect", "code": int(text_data)})

    async def disconnect(self, code: int) -> None:
        seen.append(code)


class RoomInThreads(WebsocketConsumer):
    groups = ["all"]

    def receive(self, text_data: str) -> None:
        self.websocket_disconnect({"type": "websocket.disconnect", "code": int(text_data)})

    def disconnect(self, code: int) -> None:
        seen.append(code)


class SideBySide(Room):
    concurrency = 2


class OnOneThread(RoomInThreads):
    thread_sensitive = True


class Bare(AsyncConsumer):
    """Has no class of ours to count for it."""

    async def websocket_connect(self, message: Any) -> None:
        await self.channel_layer.group_add("all", self.channel_name)
        await self.send({"type": "websocket.accept"})

    async def websocket_disconnect(self, message: Any) -> None:
        await self.disconnect(message["code"])
        raise StopConsumer

    async def disconnect(self, code: int) -> None:
        seen.append(code)


class BareSideBySide(Bare):
    concurrency = 2


KINDS = [Room, RoomInThreads, SideBySide, OnOneThread]


def slow(kind: Any, may_end: asyncio.Event) -> Any:
    """Return a class like ``kind`` whose ``disconnect()`` waits."""

    class Slow(kind):  # type: ignore[misc]  # each in turn
        async def disconnect(self, code: int) -> None:
            seen.append(code)
            await may_end.wait()
            seen.append("ended")

    return Slow


@pytest.mark.parametrize("kind", [*KINDS, Bare])
@pytest.mark.parametrize("told", ["websocket.disconnect", "websocket_disconnect"])
async def test_over_the_layer(
    kind: Any, told: str, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    seen.clear()
    client = await Conversation(kind.as_asgi()).open()
    await layer.group_send("all", {"type": told, "code": 4001})
    assert await client.closed() == 1000
    await client.wait(10)
    assert seen == [4001] and not layer.groups.get("all") and not caplog.records


@pytest.mark.parametrize("kind", KINDS)
async def test_by_another_handler(kind: Any, layer: InMemoryChannelLayer) -> None:
    seen.clear()
    client = await Conversation(kind.as_asgi()).open()
    await client.send_to(text_data="4002")
    assert await client.closed() == 1000
    await client.wait(10)
    assert seen == [4002] and not layer.groups.get("all")


@pytest.mark.parametrize(
    ("kind", "by_layer"),
    [(Room, True), (Room, False), (SideBySide, True), (SideBySide, False), (BareSideBySide, True)],
)
async def test_one_during_which_the_client_leaves_is_not_repeated(
    by_layer: bool, kind: Any, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it interrupted, as other handlers are when the client has left."""
    monkeypatch.setattr("compat.engine.side_by_side.HANDLERS_TIMEOUT_S", 1e-6)
    may_end = asyncio.Event()
    seen.clear()
    client = await Conversation(slow(kind, may_end).as_asgi()).open()
    if by_layer:
        await layer.group_send("all", {"type": "websocket.disconnect", "code": 4001})
    else:
        await client.send_to(text_data="4001")
    await until_async(lambda: seen == [4001], "it is told to leave")
    await client.send_input({"type": "websocket.disconnect", "code": 1001})
    await turns(20)
    may_end.set()
    await client.wait(10)
    assert seen == [4001, "ended"] and not layer.groups.get("all")


@pytest.mark.parametrize("kind", [Room, SideBySide, BareSideBySide])
async def test_another_one_that_comes_meanwhile_is_not_handled(
    kind: Any, layer: InMemoryChannelLayer
) -> None:
    """Was: side by side, disconnect() ran twice at the same time."""
    may_end = asyncio.Event()
    seen.clear()
    client = await Conversation(slow(kind, may_end).as_asgi()).open()
    await layer.group_send("all", {"type": "websocket.disconnect", "code": 4001})
    await layer.group_send("all", {"type": "websocket.disconnect", "code": 4002})
    await until_async(lambda: seen, "it is told to leave")
    await turns(20)
    may_end.set()
    assert await client.closed() == 1000
    assert seen == [4001, "ended"]


async def test_one_whose_end_is_suppressed_keeps_no_other_handler(
    layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: when the client had left, the consumer waited for the other one without end."""
    monkeypatch.setattr("compat.engine.side_by_side.HANDLERS_TIMEOUT_S", 0.01)

    class Suppresses(SideBySide):
        async def receive(self, text_data: str) -> None:
            if text_data == "stay":
                await asyncio.Event().wait()
            with contextlib.suppress(Exception):
                await super().receive(text_data)
            seen.append("suppressed")

    seen.clear()
    client = await Conversation(Suppresses.as_asgi()).open()
    for text in ("stay", "4001"):
        await client.send_to(text_data=text)
    await until_async(lambda: "suppressed" in seen, "it has been called")
    await client.send_input({"type": "websocket.disconnect", "code": 1001})
    await asyncio.wait((client.future,), timeout=5)
    assert client.future.done() and seen == [4001, "suppressed"] and not layer.groups.get("all")


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_fails_is_not_repeated(
    kind: Any, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    class Fails(kind):  # type: ignore[misc]  # each in turn
        def disconnect(self, code: int) -> None:
            seen.append(code)
            raise ZeroDivisionError

    seen.clear()
    client = await Conversation(Fails.as_asgi()).open()
    await layer.group_send("all", {"type": "websocket.disconnect", "code": 4001})
    assert await client.closed() == 1011
    await client.wait(10)
    assert seen == [4001] and not layer.groups.get("all")


class Noting:
    concurrency = 2

    async def chat_fail(self, message: Any) -> None:
        raise ZeroDivisionError

    async def chat_note(self, message: Any) -> None:
        await asyncio.Event().wait()


class Notes(Noting, Room):
    pass


class BareNotes(Noting, Bare):
    pass


@pytest.mark.parametrize("kind", [Notes, BareNotes])
async def test_one_that_is_taken_as_another_handler_fails_is_not_handled(
    kind: Any, layer: InMemoryChannelLayer
) -> None:
    """So the end of the connection is what disconnect() is called for."""
    seen.clear()
    client = await Conversation(kind.as_asgi()).open()
    await layer.group_send("all", {"type": "chat.fail"})
    await layer.group_send("all", {"type": "websocket.disconnect", "code": 4001})
    assert await client.closed() == 1011
    assert seen == [1011]


@pytest.mark.parametrize("kind", [Notes, BareNotes])
async def test_one_behind_which_another_message_is_taken_is_the_only_one(
    kind: Any, layer: InMemoryChannelLayer
) -> None:
    seen.clear()
    client = await Conversation(kind.as_asgi()).open()
    await layer.group_send("all", {"type": "websocket.disconnect", "code": 4001})
    await layer.group_send("all", {"type": "chat.note"})
    assert await client.closed() == 1000
    assert seen == [4001]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_next_connection_of_the_same_object_has_an_end_of_its_own(
    kind: Any, layer: InMemoryChannelLayer
) -> None:
    seen.clear()
    consumer = kind()
    client = await Conversation(consumer).open()
    await client.disconnect(4001)
    client = await Conversation(consumer).open()
    await client.send_to(text_data="no code")
    assert await client.closed() == 1011
    assert seen == [4001, 1011]


class Says(Room):
    async def disconnect(self, code: int) -> None:
        await self.send("bye")
        seen.append(code)


class SaysSideBySide(Says):
    concurrency = 2


class SaysOnOneThread(OnOneThread):
    def disconnect(self, code: int) -> None:
        self.send("bye")
        seen.append(code)


@pytest.mark.parametrize("kind", [Says, SaysSideBySide, SaysOnOneThread])
async def test_a_send_in_it_to_a_client_that_has_left_is_no_error(
    kind: Any, layer: InMemoryChannelLayer
) -> None:
    """Was: it was, and disconnect() was called again for the client's own disconnect."""
    left: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def to_client(message: Any) -> None:
            if left:
                raise ClientDisconnected
            await send(message)

        await kind.as_asgi()(scope, receive, to_client)

    seen.clear()
    client = await Conversation(app).open()
    left.append(True)
    await layer.group_send("all", {"type": "websocket.disconnect", "code": 4001})
    await client.wait(10)
    assert seen == [4001]
