"""A connection that is over leaves nothing to the garbage collector, which a process may have frozen."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from compat.engine.fast import in_use
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.patterns import path
from compat.routing import ProtocolTypeRouter, URLRouter
from tests.support.waiting import until_async


class Chat(AsyncWebsocketConsumer):
    """Joins a group and says what comes."""

    async def connect(self) -> None:
        await self.channel_layer.group_add("room", self.channel_name)
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.channel_layer.group_send("room", {"type": "chat.message", "text": text_data})

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


class SyncChat(WebsocketConsumer):
    """The same with threads."""

    groups = ["room"]

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data=text_data)


@pytest.fixture
def no_collector() -> Iterator[None]:
    register_channel_layer("default", InMemoryChannelLayer())
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    unregister_channel_layer("default")


@pytest.mark.parametrize("cls", [Chat, SyncChat])
async def test_a_consumer_is_freed_when_its_connection_ends(
    cls: type[Chat] | type[SyncChat], no_collector: None
) -> None:
    if cls is SyncChat and "bridge" not in in_use():
        pytest.skip("async_to_sync in a handler leaves circles of asgiref's own")
    if cls is SyncChat and sys.version_info < (3, 11):
        pytest.skip("asgiref asks for what is not there, and contextlib leaves a circle around the answer")
    made: list[weakref.ref[Any]] = []

    class Watched(cls):  # type: ignore[misc,valid-type]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(weakref.ref(self))

    application = ProtocolTypeRouter({"websocket": URLRouter([path("chat/", Watched.as_asgi())])})
    for _ in range(5):
        await _converse(application)
    await until_async(lambda: not any(ref() for ref in made), "all are freed")
    assert len(made) == 5


async def _converse(application: Any) -> None:
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    sent: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "websocket", "path": "/chat/", "headers": [], "subprotocols": [], "asgi": {}}
    incoming.put_nowait({"type": "websocket.connect"})
    running = asyncio.create_task(application(scope, incoming.get, sent.put))
    assert (await asyncio.wait_for(sent.get(), 15))["type"] == "websocket.accept"
    incoming.put_nowait({"type": "websocket.receive", "text": "hello"})
    assert (await asyncio.wait_for(sent.get(), 15))["text"] == "hello"
    incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await asyncio.wait_for(running, 15)
