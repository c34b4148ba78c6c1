"""Consumers of every base class: their connection outlives a cut, and they know what the client has."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import pytest

from compat.client import Client
from compat.engine.fast import in_use
from compat.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from compat.patterns import path
from compat.routing import URLRouter
from compat.settings import override
from compat.testing import WebsocketCommunicator
from compat.typed import AsyncJsonWebsocketConsumer as TypedConsumer
from compat.typed import BaseMessage, ws_handler
from tests.support.proxy import Proxy
from tests.support.servers import LiveServer
from tests.support.waiting import until_async


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


class Slowly(AsyncWebsocketConsumer):
    max_messages_per_second = 20

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data)


async def test_what_waited_for_the_return_is_read_slowly_where_the_rate_is_limited() -> None:
    """A page sends all of it at once; a client that never went away would be closed with 1008."""
    with LiveServer(Slowly.as_asgi()) as server, Proxy(server.port) as proxy:
        async with Client(f"ws://127.0.0.1:{proxy.port}/") as client:
            proxy.refuse()
            proxy.cut()
            await until_async(lambda: client.state == "away", "the cut is known")
            frames = [f"{number}" for number in range(30)]
            for frame in frames:
                await client.send(frame)
            proxy.accept()
            assert [await asyncio.wait_for(client.receive(), 30) for _ in frames] == frames
            assert client.recovered == "all"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of uvicorn's old implementation
@pytest.mark.parametrize("ws", ["websockets", "websockets-sansio", "wsproto"])
async def test_a_client_that_answers_no_ping_comes_back(ws: str) -> None:
    """Was: uvicorn's close with 1011 was the end of the client, while its consumer waited for it."""
    pings, closed = {"ws_ping_interval": 0.2, "ws_ping_timeout": 0.2}, threading.Event()

    def silent(data: bytes, to_server: bool) -> bytes:
        if b"keepalive ping timeout" in data:
            closed.set()
        return b"" if to_server and not closed.is_set() else data

    with LiveServer(Slowly.as_asgi(), ws=ws, **pings) as server, Proxy(server.port) as proxy:
        async with Client(f"ws://127.0.0.1:{proxy.port}/") as client:
            await client.send("before")
            assert await asyncio.wait_for(client.receive(), 30) == "before"
            proxy.before = silent
            await until_async(closed.is_set, "the server has given the link up")
            await client.send("after")
            assert await asyncio.wait_for(client.receive(), 30) == "after"
            assert client.recovered == "all"


class Asking(WebsocketConsumer):
    """Asks for the delivery when it is told to, in its thread."""

    begun, go = threading.Event(), threading.Event()
    answers: ClassVar[list[bool]] = []

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.begun.set()
        self.go.wait(30)
        self.answers.append(self.delivered())


async def test_a_thread_that_asks_for_the_delivery_does_not_outlive_its_consumer() -> None:
    communicator = WebsocketCommunicator(Asking.as_asgi(), "/", subprotocols=["channels.resume.v1"])
    await communicator.connect()
    await communicator.receive_from()  # the hello
    await communicator.send_to("ask")
    await asyncio.to_thread(Asking.begun.wait, 30)
    communicator.stop()
    for _ in range(20):  # turns in which the consumer's task stops taking what its thread says
        await asyncio.sleep(0)
    Asking.go.set()
    await communicator.wait(30)
    await until_async(lambda: Asking.answers, "its thread has the answer")
    # The plain engine may still ask the connection itself, whose client lacks nothing.
    assert Asking.answers == [False] or (Asking.answers == [True] and "bridge" not in in_use())
