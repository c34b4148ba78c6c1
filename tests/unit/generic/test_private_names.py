"""The private names of consumers: what Channels' classes do not have begins with a prefix that is ours."""

from __future__ import annotations

from typing import Any, Generic

import pytest

from compat.consumer import AsyncConsumer, SyncConsumer
from compat.generic.http import AsyncHttpConsumer
from compat.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from compat.layers import InMemoryChannelLayer
from compat.testing import HttpCommunicator, WebsocketCommunicator
from compat.typed.consumer import AsyncJsonWebsocketConsumer as TypedConsumer

CHANNELS = {"_sync"}
WEBSOCKETS: list[Any] = [
    WebsocketConsumer,
    JsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    AsyncJsonWebsocketConsumer,
    TypedConsumer,
]


def taken(names: Any) -> set[str]:
    """Those of ``names`` that a consumer of an application may have, too."""
    private = {name for name in names if name.startswith("_") and not name.endswith("__")}
    return {name for name in private - CHANNELS if not name.startswith("_compat_")}


@pytest.mark.parametrize("cls", [AsyncConsumer, SyncConsumer, AsyncHttpConsumer, *WEBSOCKETS])
def test_of_the_classes(cls: type) -> None:
    ours = [base for base in cls.__mro__ if base not in (object, Generic)]
    assert not {
        name for base in ours for name in taken({*vars(base), *vars(base).get("__annotations__", ())})
    }


@pytest.mark.parametrize("cls", WEBSOCKETS)
async def test_of_a_consumer_that_runs(cls: Any, layer: InMemoryChannelLayer) -> None:
    made: list[Any] = []

    class Kept(cls):  # type: ignore[misc]  # each in turn
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            made.append(self)

    talk = WebsocketCommunicator(Kept.as_asgi(), "/")
    assert (await talk.connect(10))[0]
    assert not taken(vars(made[0]))
    await talk.disconnect(timeout=10)
    assert not taken(vars(made[0]))


async def test_of_a_consumer_of_requests(layer: InMemoryChannelLayer) -> None:
    names: set[str] = set()

    class Answers(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            names.update(vars(self))
            await self.send_response(200, b"")

    assert (await HttpCommunicator(Answers.as_asgi(), "GET", "/").get_response(10))["status"] == 200
    assert "body" in names and not taken(names)


class Tidy(AsyncWebsocketConsumer):
    """Has names of its own that were once ours."""

    async def connect(self) -> None:
        self._socket, self._disconnected, self._handler = object(), False, self.send
        self._database, self._conversation = "db", ["hi"]
        await self.accept()

    async def receive(self, text_data: str) -> None:
        await self._handler(text_data)

    async def _leave(self, room: str) -> None:
        assert room == "room"

    async def disconnect(self, code: int) -> None:
        await self._leave("room")
        self._disconnected = True
        ended.append(code)


ended: list[int] = []


async def test_names_of_an_application(layer: InMemoryChannelLayer) -> None:
    ended.clear()
    talk = WebsocketCommunicator(Tidy.as_asgi(), "/")
    assert (await talk.connect(10))[0]
    await talk.send_to(text_data="hi")
    assert await talk.receive_from(10) == "hi"
    await talk.disconnect(4001, timeout=10)
    assert ended == [4001]
