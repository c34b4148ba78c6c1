"""The end of a websocket consumer, however its handler of the disconnect came about: once, and to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any
from unittest import mock

import pytest

from compat.generic.websocket import AsyncWebsocketConsumer
from compat.layers import InMemoryChannelLayer
from compat.testing import WebsocketCommunicator
from compat.types import Message


class Told(AsyncWebsocketConsumer):
    """Notes what is called, in order."""

    calls: list[Any]

    async def disconnect(self, code: int) -> None:
        self.calls.append(code)


async def come_and_go(consumer: type[Told]) -> list[Any]:
    """What one connection calls, until its application has ended."""
    consumer.calls = []
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/ws/")
    assert (await communicator.connect())[0]
    await communicator.disconnect(code=4001, timeout=15)
    return consumer.calls


class BySuper(Told):
    async def websocket_disconnect(self, message: Any) -> None:
        self.calls.append("before")
        await super().websocket_disconnect(message)
        self.calls.append("after, which is never reached")


class ByDispatch(Told):
    async def dispatch(self, message: Message) -> None:
        await super().dispatch(message)
        if message["type"] == "websocket.disconnect":
            self.calls.append("after, which is never reached")


class SideBySide(Told):
    concurrency = 3


@pytest.mark.parametrize(
    ("consumer", "calls"),
    [(Told, [4001]), (BySuper, ["before", 4001]), (ByDispatch, [4001]), (SideBySide, [4001])],
)
async def test_it_is_over_after_the_disconnect(consumer: type[Told], calls: list[Any]) -> None:
    assert await come_and_go(consumer) == calls
    assert await come_and_go(consumer) == calls, "the second connection, of a class that is known"


async def test_a_handler_that_is_replaced_later_is_called() -> None:
    assert await come_and_go(Told) == [4001]
    shipped, seen = Told.websocket_disconnect, []

    async def replaced(self: Told, message: Message) -> None:
        seen.append(message["code"])
        await shipped(self, message)

    with mock.patch.object(Told, "websocket_disconnect", replaced):
        assert await come_and_go(Told) == [4001] and seen == [4001]
    with mock.patch.object(AsyncWebsocketConsumer, "websocket_disconnect", replaced):
        assert await come_and_go(Told) == [4001] and seen == [4001, 4001]


async def test_a_disconnect_from_a_layer_closes(layer: InMemoryChannelLayer) -> None:
    class Named(Told):
        async def connect(self) -> None:
            await self.accept()
            await self.send(text_data=self.channel_name)

    Named.calls = []
    communicator = WebsocketCommunicator(Named.as_asgi(), "/ws/")
    communicator.scope["asgi"] = {"version": "3.0"}
    await communicator.connect()
    name = str(await communicator.receive_from(15))
    await layer.send(name, {"type": "websocket.disconnect", "code": 4002})
    assert (await communicator.receive_output(15))["type"] == "websocket.close"
    await communicator.wait(15)
    assert Named.calls == [4002], "the client's own has not come, and the end is told once, as with Channels"


class Later:
    """Something to await that is neither a coroutine nor a future."""

    def __await__(self) -> Generator[Any, None, None]:
        return asyncio.sleep(0).__await__()


@pytest.mark.parametrize("made", [Later, lambda: asyncio.ensure_future(asyncio.sleep(0))])
async def test_a_handler_may_return_anything_to_await(made: Any, layer: InMemoryChannelLayer) -> None:
    awaited = []

    class Odd(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.accept(subprotocol=None)
            await self.send(text_data=self.channel_name)

    def odd_event(self: Odd, message: Message) -> Any:
        awaited.append(made())
        return awaited[-1]

    odd_event.__name__ = "decorated"
    Odd.odd_event = odd_event  # type: ignore[attr-defined]
    communicator = WebsocketCommunicator(Odd.as_asgi(), "/ws/")
    await communicator.connect()
    name = str(await communicator.receive_from(15))
    for _ in range(3):
        await layer.send(name, {"type": "odd.event"})
    await layer.send(name, {"type": "websocket.send", "text": "still there"})
    assert await communicator.receive_from(15) == "still there"
    assert len(awaited) == 3
    await communicator.disconnect(timeout=15)
