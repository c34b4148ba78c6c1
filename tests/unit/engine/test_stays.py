"""Consumers that do not stop when their client has left: they are ended some time later, with a warning."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from compat.consumer import AsyncConsumer, SyncConsumer
from compat.engine import connection
from compat.exceptions import StopConsumer
from compat.layers import InMemoryChannelLayer
from compat.testing import ApplicationCommunicator
from compat.types import Message
from tests.support.conversations import Conversation
from tests.support.logs import recorded
from tests.support.waiting import until_async

GROUP = "stays"
DISCONNECT: Message = {"type": "websocket.disconnect", "code": 1001}

seen: list[str] = []


class Async(AsyncConsumer):
    """Never raises StopConsumer, unless a message of its group says so."""

    async def websocket_connect(self, message: Message) -> None:
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.send({"type": "websocket.accept"})

    async def websocket_disconnect(self, message: Message) -> None:
        await asyncio.sleep(0.02)
        seen.append("disconnect")

    async def room_event(self, message: Message) -> None:
        seen.append(message["text"])
        if message["text"] == "stop":
            raise StopConsumer


class SideBySide(Async):
    concurrency = 2


class Sync(SyncConsumer):
    """``Async`` without await."""

    def websocket_connect(self, message: Message) -> None:
        async_to_sync(self.channel_layer.group_add)(GROUP, self.channel_name)
        self.send({"type": "websocket.accept"})

    def websocket_disconnect(self, message: Message) -> None:
        async_to_sync(asyncio.sleep)(0.02)
        seen.append("disconnect")

    def room_event(self, message: Message) -> None:
        seen.append(message["text"])
        if message["text"] == "stop":
            raise StopConsumer


class OneThread(Sync):
    thread_sensitive = True


class Http(AsyncConsumer):
    """Answers, and does not stop."""

    async def http_request(self, message: Message) -> None:
        await self.send({"type": "http.response.start", "status": 204, "headers": []})
        await self.send({"type": "http.response.body", "body": b""})

    async def http_disconnect(self, message: Message) -> None:
        seen.append("disconnect")


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


kinds = pytest.mark.parametrize("kind", [Async, SideBySide, Sync, OneThread])


@kinds
@pytest.mark.parametrize("stay_s", [0.0, 0.1])
async def test_a_consumer_that_does_not_stop_is_ended(
    kind: Any, stay_s: float, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: it stayed for ever, and a server that stops waited for it. The handler has no time limit."""
    monkeypatch.setattr(connection, "STAY_S", stay_s)
    client = await Conversation(kind.as_asgi()).open()
    with recorded() as records:
        await client.send_input(DISCONNECT)
        await client.wait(15)
    assert seen == ["disconnect"] and not layer.groups.get(GROUP)
    (line,) = records.messages()
    assert "websocket_disconnect() has to raise StopConsumer" in line and kind.__name__ in line


@kinds
async def test_it_hears_its_groups_meanwhile_and_may_stop_by_itself(
    kind: Any, layer: InMemoryChannelLayer
) -> None:
    client = await Conversation(kind.as_asgi()).open()
    with recorded() as records:
        await client.send_input(DISCONNECT)
        await until_async(lambda: seen == ["disconnect"], "the disconnect")
        for text in ("a", "stop"):
            await layer.group_send(GROUP, {"type": "room.event", "text": text})
        await client.wait(5)
    assert seen == ["disconnect", "a", "stop"] and not records.messages()


@kinds
async def test_a_test_decides_for_itself_how_long_it_stays(
    kind: Any, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "STAY_S", 0.0)
    client = await Conversation(kind.as_asgi(), served=False).open()
    await client.send_input(DISCONNECT)
    expected = ["disconnect"]
    for text in ("a", "b", "stop"):
        await until_async(lambda: seen == expected, "the message before")
        await layer.group_send(GROUP, {"type": "room.event", "text": text})
        expected.append(text)
    await client.wait(5)
    assert seen == expected


async def test_requests_end_too(layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STAY_S", 0.0)
    scope = {"type": "http", "method": "GET", "path": "/", "asgi": {"version": "3.0"}, "headers": []}
    client = ApplicationCommunicator(Http.as_asgi(), scope)
    await client.send_input({"type": "http.request", "body": b""})
    assert (await client.receive_output(5))["status"] == 204
    await client.receive_output(5)
    with recorded() as records:
        await client.send_input({"type": "http.disconnect"})
        await client.wait(5)
    assert seen == ["disconnect"]
    assert "http_disconnect() has to raise StopConsumer" in records.messages()[0]
