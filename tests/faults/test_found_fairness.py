"""A consumer gives way: between two of its handlers the event loop has a turn, and nobody else starves."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from compat.consumer import AsyncConsumer, SyncConsumer
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import InMemoryChannelLayer, channel_layers
from compat.patterns import path
from compat.routing import URLRouter
from compat.types import Message
from tests.support.clients import Client
from tests.support.conversations import Conversation
from tests.support.servers import LiveServer
from tests.support.waiting import until, until_async

pytestmark = pytest.mark.filterwarnings("ignore:remove second argument of ws_handler:DeprecationWarning")


@pytest.fixture(autouse=True)
def layer() -> Iterator[InMemoryChannelLayer]:
    made = InMemoryChannelLayer()
    channel_layers.register("default", made)
    yield made
    channel_layers.unregister("default")


# A turn of the loop between two handlers

COUNT = 5


class Async(AsyncConsumer):
    """Has each handler make a task, which says when it begins."""

    seen: list[str]

    async def websocket_connect(self, message: Message) -> None:
        await self.send({"type": "websocket.accept"})

    async def websocket_receive(self, message: Message) -> None:
        if message["text"] == "events":
            for number in range(COUNT):
                await self.channel_layer.send(self.channel_name, {"type": "event", "text": f"event {number}"})
        else:
            await self.event(message)

    async def event(self, message: Message) -> None:
        self.seen.append(message["text"])
        self.task = asyncio.create_task(self.begin(message["text"]))

    async def begin(self, what: str) -> None:
        self.seen.append(f"task of {what}")


class Together(Async):
    concurrency = 4


class Sync(SyncConsumer):
    """The same with threads, which ask the loop for the task."""

    seen: list[str]
    loop: asyncio.AbstractEventLoop

    def websocket_connect(self, message: Message) -> None:
        self.send({"type": "websocket.accept"})

    def websocket_receive(self, message: Message) -> None:
        if message["text"] == "events":
            async_to_sync(self.events)()
        else:
            self.event(message)

    async def events(self) -> None:
        for number in range(COUNT):
            await self.channel_layer.send(self.channel_name, {"type": "event", "text": f"event {number}"})

    def event(self, message: Message) -> None:
        self.seen.append(message["text"])
        asyncio.run_coroutine_threadsafe(self.begin(message["text"]), self.loop)

    async def begin(self, what: str) -> None:
        self.seen.append(f"task of {what}")


class OneThread(Sync):
    thread_sensitive = True


class SyncTogether(Sync):
    concurrency = 4


def servers_own(app: Any) -> Any:
    return app


def own_receive(app: Any) -> Any:
    """A middleware with a ``receive()`` of its own, which is read in a task."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def received() -> Any:
            return await receive()

        await app(scope, received, send)

    return wrapped


@pytest.mark.parametrize("wrap", [servers_own, own_receive])
@pytest.mark.parametrize("consumer", [Async, Together, Sync, OneThread])
@pytest.mark.parametrize("what", [["frame"] * COUNT, ["events"], ["frame", "events", *["frame"] * COUNT]])
async def test_faults_projects_02_a_task_of_one_handler_begins_before_the_next_handler(
    consumer: Any, what: list[str], wrap: Any
) -> None:
    """ "start" and "stop" in one segment: the task that "start" makes has begun when "stop" is handled."""
    seen = consumer.seen = []
    consumer.loop = asyncio.get_running_loop()
    client = await Conversation(wrap(consumer.as_asgi())).open()
    for number, kind in enumerate(what):
        await client.send_to(text_data=kind if kind == "events" else f"frame {number}")
    count = what.count("frame") + COUNT * what.count("events")
    await until_async(lambda: len(seen) == 2 * count, "all have been handled")
    assert seen == [line for name in seen[::2] for line in (name, f"task of {name}")]
    await client.disconnect()


# A handler that sends itself the next message, and others


class Chunks(AsyncWebsocketConsumer):
    """Sends itself "the next chunk" until it is told to stop."""

    async def receive(self, text_data: str) -> None:
        self.going = text_data == "go"
        if self.going:
            await self.next_chunk({})
        else:
            await self.send(text_data="stopped")

    async def next_chunk(self, event: Message) -> None:
        if self.going:
            await self.channel_layer.send(self.channel_name, {"type": "next_chunk"})


class SyncChunks(WebsocketConsumer):
    def receive(self, text_data: str) -> None:
        self.going = text_data == "go"
        if self.going:
            self.next_chunk({})
        else:
            self.send(text_data="stopped")

    def next_chunk(self, event: Message) -> None:
        if self.going:
            async_to_sync(self.channel_layer.send)(self.channel_name, {"type": "next_chunk"})


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data: str) -> None:
        await self.send(text_data=text_data)


class SyncEcho(WebsocketConsumer):
    def receive(self, text_data: str) -> None:
        self.send(text_data=text_data)


HANDLERS, HANDLER_S = 90, 0.008


class Busy(AsyncWebsocketConsumer):
    """Computes for each message."""

    handled = 0

    async def receive(self, text_data: str) -> None:
        for _ in range(HANDLERS):
            await self.channel_layer.send(self.channel_name, {"type": "work"})
        await self.send(text_data="begun")

    async def work(self, event: Message) -> None:
        time.sleep(HANDLER_S)
        Busy.handled += 1


class Flooded(AsyncWebsocketConsumer):
    handled = 0

    async def receive(self, text_data: str) -> None:
        Flooded.handled += 1


class SyncFlooded(WebsocketConsumer):
    def receive(self, text_data: str) -> None:
        Flooded.handled += 1


class Watch(AsyncWebsocketConsumer):
    """Holds the event loop until it may go on, and then says how many of the flood have been handled."""

    holds = threading.Event()
    may_go_on = threading.Event()

    async def receive(self, text_data: str) -> None:
        if text_data == "hold":
            Watch.holds.set()
            Watch.may_go_on.wait(30)
        else:
            await self.send(text_data=str(Flooded.handled))


@pytest.fixture(
    scope="module",
    params=[("websockets-sansio", "uvloop"), ("websockets", "asyncio"), ("wsproto", "asyncio")],
)
def server(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    ws, loop = request.param
    consumers: tuple[Any, ...] = (Chunks, SyncChunks, Echo, SyncEcho, Busy, Flooded, SyncFlooded, Watch)
    patterns = [path(f"{consumer.__name__}/", consumer.as_asgi()) for consumer in consumers]
    with LiveServer(URLRouter(patterns), ws=ws, loop=loop, ws_per_message_deflate=False) as server:
        yield server


@pytest.mark.parametrize("where", ["/Chunks/", "/SyncChunks/"])
@pytest.mark.parametrize("others", ["/Echo/", "/SyncEcho/"])
def test_faults_engine_02_a_handler_that_sends_itself_the_next_message(
    server: LiveServer, where: str, others: str
) -> None:
    with Client(server, where) as one, Client(server, others) as other:
        one.send("go")
        for number in range(20):
            other.send(str(number))
            assert other.receive() == str(number)
        one.send("stop")
        assert one.receive() == "stopped"


def test_faults_engine_03_a_queue_of_handlers_delays_an_echo_by_a_few_of_them(server: LiveServer) -> None:
    """Counted in the other's handlers, and not in time; it was all 90 of them."""
    Busy.handled = 0
    with Client(server, "/Busy/") as busy, Client(server, "/Echo/") as other:
        busy.send("go")
        assert busy.receive() == "begun"
        delays: list[int] = []
        while len(delays) < 5 or Busy.handled < HANDLERS / 2:
            before = Busy.handled
            other.send("x")
            assert other.receive() == "x"
            delays.append(Busy.handled - before)
        assert sorted(delays)[len(delays) // 2] <= HANDLERS / 9, delays
        until(lambda: Busy.handled == HANDLERS, "all are handled")


TINY_FRAME = b"\x81\x81\0\0\0\0x"
"""A masked text frame of one character."""


@pytest.mark.holds_the_loop  # uvicorn does, with wsproto: it takes thousands of frames of one read apart
@pytest.mark.parametrize("where", ["/Flooded/", "/SyncFlooded/"])
def test_faults_engine_03_a_flood_of_tiny_frames(server: LiveServer, where: str) -> None:
    """Its frames are there at once, thousands of them; another's frame behind them does not wait for all."""
    Flooded.handled = 0
    Watch.holds.clear()
    Watch.may_go_on.clear()
    count = 3000
    with Client(server, where) as flood, Client(server, "/Watch/") as other:
        other.send("hold")
        assert Watch.holds.wait(30)
        flood.connection.socket.sendall(TINY_FRAME * count)
        other.send("x")
        Watch.may_go_on.set()
        assert int(other.receive()) <= count / 10
        until(lambda: Flooded.handled == count, "all are handled")
