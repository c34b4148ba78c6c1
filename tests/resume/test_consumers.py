"""Consumers of every base class: their connection outlives a cut, and they know what the client has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from compat.client import Client
from compat.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from compat.patterns import path
from compat.routing import URLRouter
from compat.settings import override
from compat.typed import AsyncJsonWebsocketConsumer as TypedConsumer
from compat.typed import BaseMessage, ws_handler
from tests.support.proxy import Proxy
from tests.support.servers import LiveServer


class Async(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=json.dumps([id(self), text_data]))
        await self.send(text_data=json.dumps(await self.delivered(timeout=30)))


class Sync(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data=json.dumps([id(self), text_data]))
        self.send(text_data=json.dumps(self.delivered(timeout=30)))


class AsyncJson(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json([id(self), content])
        await self.send_json(await self.delivered(timeout=30))


class Json(JsonWebsocketConsumer):
    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.send_json([id(self), content])
        self.send_json(self.delivered(timeout=30))


class Question(BaseMessage):
    action: Literal["question"] = "question"
    payload: int


class Answer(BaseMessage):
    action: Literal["answer"] = "answer"
    payload: Any


class Typed(TypedConsumer):
    @ws_handler(output_type=Answer)
    async def ask(self, message: Question) -> None:
        await self.send_message(Answer(payload=[id(self), message.payload]))
        await self.send_message(Answer(payload=await self.delivered(timeout=30)))


KINDS = {"async": Async, "sync": Sync, "async-json": AsyncJson, "json": Json, "typed": Typed}


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    app = URLRouter([path(f"{name}/", kind.as_asgi()) for name, kind in KINDS.items()])
    layers = {"default": {"BACKEND": "compat.layers.InMemoryChannelLayer"}}
    with override(CHANNEL_LAYERS=layers), LiveServer(app) as one:
        yield one


@pytest.mark.parametrize("kind", KINDS)
async def test_the_same_consumer_over_a_cut_and_what_its_client_has(server: LiveServer, kind: str) -> None:
    async def answer(number: int) -> Any:
        """The consumer's answer to a number: who it is, the number, and whether this was delivered."""
        asked = {"action": "question", "payload": number} if kind == "typed" else number
        await client.send(json.dumps(asked))
        values = [json.loads(await asyncio.wait_for(client.receive(), 30)) for _ in range(2)]
        who, said = (value["payload"] if kind == "typed" else value for value in values)
        return (*who, said)

    with Proxy(server.port) as proxy:
        async with Client(f"ws://127.0.0.1:{proxy.port}/{kind}/") as client:
            consumer, *first = await answer(1)
            proxy.cut()
            again, *second = await answer(2)
            assert client.recovered == "all"
    assert again == consumer
    assert [int(number) for number, _ in (first, second)] == [1, 2]
    assert [delivered for _, delivered in (first, second)] == [True, True]
