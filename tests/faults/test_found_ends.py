"""Ends that broke: closes that raise, clients that do not read, errors of middleware, cancel scopes.

Whatever happens, disconnect() runs exactly once, the groups are left, the log has one record of an error, and
the application returns. The servers themselves are in tests/servers.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import logging
import sys
import threading
import warnings
import weakref
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import anyio
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from fastapi import FastAPI, WebSocket
from starlette.routing import Mount

from compat.closing import close_group
from compat.engine import connection, side_by_side
from compat.engine.fast import bridge, in_use
from compat.exceptions import ChannelFull, ClientDisconnected, StopConsumer
from compat.fastapi import include_consumers
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import InMemoryChannelLayer, channel_layers
from compat.layers.redis import RedisChannelLayer
from compat.metrics import connections
from compat.patterns import path
from compat.settings import override
from compat.testing import WebsocketCommunicator
from compat.types import Message
from tests.shim.running import run_code
from tests.support.clients import Client, Refused
from tests.support.conversations import Conversation
from tests.support.environments import Environment
from tests.support.layers import unique_prefix
from tests.support.logs import Records, recorded
from tests.support.servers import LiveServer
from tests.support.waiting import until, until_async

GROUP = "ends.room"
Send = Callable[[Message], Awaitable[None]]
Middleware = Callable[[Send, Message], Awaitable[None]]


class Ends:
    """What consumers have done, in order."""

    def __init__(self) -> None:
        self.order: list[str] = []

    def codes(self) -> list[int]:
        return [int(one.split()[1]) for one in self.order if one.startswith("disconnect")]


class Async(AsyncWebsocketConsumer):
    """Does what a frame says."""

    groups = [GROUP]
    ends: Ends

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.act(text_data or "")

    async def act(self, text: str) -> None:
        if text == "raise":
            raise LookupError("a handler's own")
        if text == "stop":
            raise StopConsumer
        if text.startswith("close"):
            await self.close(int(text.split()[1]))
        else:
            await self.send(text_data=text)

    async def room_event(self, event: Message) -> None:
        await self.act(event["text"])

    async def disconnect(self, code: int) -> None:
        self.ends.order.append(f"disconnect {code}")
        await asyncio.sleep(0.01)
        self.ends.order.append("end of disconnect")


class Sync(WebsocketConsumer):
    """Async without await."""

    groups = [GROUP]
    ends: Ends

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.act(text_data or "")

    def act(self, text: str) -> None:
        if text == "raise":
            raise LookupError("a handler's own")
        if text == "stop":
            raise StopConsumer
        if text.startswith("close"):
            self.close(int(text.split()[1]))
        else:
            self.send(text_data=text)

    def room_event(self, event: Message) -> None:
        self.act(event["text"])

    def disconnect(self, code: int) -> None:
        self.ends.order.append(f"disconnect {code}")
        async_to_sync(asyncio.sleep)(0.01)
        self.ends.order.append("end of disconnect")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for in vain is waited for a tenth as long."""
    for module in (connection, bridge):
        monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.2)
    monkeypatch.setattr(connection, "DISCONNECT_TIMEOUT_S", 0.2)


@pytest.fixture(params=["async", "sync"])
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def layer() -> Iterator[InMemoryChannelLayer]:
    layer = InMemoryChannelLayer()
    channel_layers.register("default", layer)
    yield layer
    channel_layers.unregister("default")


@pytest.fixture
def records() -> Iterator[Records]:
    with recorded() as records:
        yield records


def consumer_of(flavour: str, **attributes: Any) -> Any:
    """A class of this test's own; ``ends`` is what its connections do."""
    base: Any = Async if flavour == "async" else Sync
    return type(base.__name__, (base,), {"ends": Ends(), **attributes})


def behind(application: Any, sending: Middleware) -> Any:
    """``application`` behind a middleware that sends by ``sending(send, message)``."""

    async def middleware(scope: Any, receive: Any, send: Send) -> None:
        async def forward(message: Message) -> None:
            await sending(send, message)

        await application(scope, receive, forward)

    return middleware


def leave(clients: list[Client]) -> None:
    for client in clients:
        client.drop()


async def ended(client: Conversation, consumer: Any, layer: InMemoryChannelLayer) -> None:
    """The application has returned, disconnect() has run once and to its end, no group is kept."""
    await client.wait(20)
    order = consumer.ends.order
    assert len(consumer.ends.codes()) == 1 and order[-1] == "end of disconnect", order
    assert layer.groups == {}


# 1: an error while closing


CAUSES = {"raise": 1011, "stop": 1000, "group raise": 1011, "cancel": 1001}


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize(
    "error", [RuntimeError("Unexpected ASGI message"), OSError(5, "broken"), LookupError()]
)
async def test_faults_engine_01_a_close_that_raises(
    flavour: str, cause: str, error: Exception, layer: InMemoryChannelLayer, records: Records
) -> None:
    async def refuses_to_close(send: Send, message: Message) -> None:
        if message["type"] == "websocket.close":
            raise error
        await send(message)

    consumer = consumer_of(flavour)
    client = await Conversation(behind(consumer.as_asgi(), refuses_to_close)).open()
    if cause == "cancel":
        client.future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client.future
        assert consumer.ends.codes() == [1001] and layer.groups == {}
        return
    if cause.startswith("group"):
        await layer.group_send(GROUP, {"type": "room.event", "text": "raise"})
    else:
        await client.send_to(text_data=cause)
    await ended(client, consumer, layer)
    assert consumer.ends.codes() == [CAUSES[cause]]
    assert len(records.kept) == (0 if cause == "stop" else 1), records.messages()


@pytest.mark.parametrize("code", [1008, 1009, 1011, 1013, 1001])
async def test_faults_engine_01_a_server_that_takes_few_codes(
    flavour: str, code: int, layer: InMemoryChannelLayer, records: Records
) -> None:
    """As daphne: 1000, and 3000 to 4999. The client is told by the code that is 3000 more."""
    seen: list[int] = []

    async def picky(send: Send, message: Message) -> None:
        if message["type"] == "websocket.close":
            if message["code"] != 1000 and not 3000 <= message["code"] <= 4999:
                raise Exception(f"invalid close code {message['code']}")
            seen.append(message["code"])
        await send(message)

    consumer = consumer_of(flavour)
    client = await Conversation(behind(consumer.as_asgi(), picky)).open()
    if code == 1011:
        await client.send_to(text_data="raise")
    elif code == 1013:
        await client.send_to(text_data="close 1013")
    else:
        await close_group(GROUP, code)
    assert (await client.receive_output(20))["code"] == code + 3000
    if code != 1011:
        await client.send_input({"type": "websocket.disconnect", "code": code + 3000})
    await ended(client, consumer, layer)
    assert seen == [code + 3000]
    assert len(records.kept) == (1 if code == 1011 else 0), records.messages()


class WebSocketDisconnect(Exception):
    """By the name of Starlette's."""


GONE = [ConnectionResetError("gone"), BrokenPipeError(), WebSocketDisconnect(1006)]


@pytest.mark.parametrize("error", GONE, ids=lambda error: type(error).__name__)
async def test_faults_engine_01_clients_that_leave_under_a_broadcast(
    flavour: str, error: Exception, layer: InMemoryChannelLayer, records: Records
) -> None:
    """Messages in flight are no errors; what the client said before is handled; its own code is told."""

    async def gone(send: Send, message: Message) -> None:
        if message["type"] == "websocket.send":
            raise error
        await send(message)

    consumer = consumer_of(flavour)
    client = await Conversation(behind(consumer.as_asgi(), gone)).open()
    for number in range(3):
        await layer.group_send(GROUP, {"type": "room.event", "text": str(number)})
        await client.send_to(text_data=str(number))
    await client.send_input({"type": "websocket.disconnect", "code": 4005})
    await ended(client, consumer, layer)
    assert consumer.ends.codes() == [4005] and not records.kept


async def test_faults_engine_01_the_server_forgets_the_disconnect(
    flavour: str, layer: InMemoryChannelLayer, records: Records
) -> None:
    """A keepalive that has timed out: uvicorn refuses frames, and says no disconnect before TCP gives up."""

    async def timed_out(send: Send, message: Message) -> None:
        if message["type"] != "websocket.accept":
            raise RuntimeError("Unexpected ASGI message 'websocket.send', after sending 'websocket.close'.")
        await send(message)

    consumer = consumer_of(flavour)
    client = await Conversation(behind(consumer.as_asgi(), timed_out)).open()
    await layer.group_send(GROUP, {"type": "room.event", "text": "one more"})
    await ended(client, consumer, layer)
    assert consumer.ends.codes() == [1006] and not records.kept


def test_faults_engine_01_fastapi_clients_leave_under_a_broadcast(layer: InMemoryChannelLayer) -> None:
    """Starlette's send, which FastAPI's parameters bring, makes another exception of uvicorn's."""
    codes: list[int] = []

    class Room(AsyncWebsocketConsumer):
        groups = [GROUP]

        async def connect(self, room: str) -> None:
            await self.accept()
            await self.send(text_data=room)

        async def room_event(self, event: Message) -> None:
            await self.send(text_data=event["text"])

        async def disconnect(self, code: int) -> None:
            codes.append(code)

    app = FastAPI()
    app.router.add_websocket_route("/{room}", Room.as_asgi())
    count = 40
    with recorded() as records, LiveServer(app) as server:
        clients = [Client(server, f"/r{number}") for number in range(count)]
        assert [client.receive() for client in clients] == [f"r{number}" for number in range(count)]
        leaving = threading.Thread(target=leave, args=(clients,))
        leaving.start()
        while leaving.is_alive() or len(codes) < count:
            layer.group_send_sync(GROUP, {"type": "room.event", "text": "x" * 200})
            if not leaving.is_alive() and not layer.groups:
                break
        leaving.join()
        until(lambda: len(codes) == count, f"{count} disconnects")
    assert not records.kept, records.messages()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the legacy implementation
@pytest.mark.parametrize("ws", ["websockets", "websockets-sansio", "wsproto"])
def test_faults_engine_01_clients_leave_under_a_broadcast_on(
    flavour: str, ws: str, layer: InMemoryChannelLayer
) -> None:
    consumer, count = consumer_of(flavour), 40
    with recorded() as records:
        with LiveServer(consumer.as_asgi(), ws=ws) as server:
            clients = [Client(server, "/") for _ in range(count)]
            leaving = threading.Thread(target=leave, args=(clients,))
            leaving.start()
            for _ in range(1000):
                layer.group_send_sync(GROUP, {"type": "room.event", "text": "x" * 200})
                if not leaving.is_alive() and not layer.groups:
                    break
            leaving.join()
            until(lambda: len(consumer.ends.codes()) == count, f"{count} disconnects", deadline_s=30)
            until(lambda: not layer.groups, "no group is kept")
    assert len(consumer.ends.codes()) == count and not records.kept, records.messages()


# 4: an error of a middleware


@pytest.mark.parametrize("error", [TimeoutError("too slow"), ConnectionRefusedError("metrics are away")])
async def test_faults_engine_04_an_error_of_a_middleware_is_no_departure(
    flavour: str, error: OSError, layer: InMemoryChannelLayer, records: Records
) -> None:
    async def fails_once(send: Send, message: Message) -> None:
        if message.get("text") == "too much":
            raise error
        await send(message)

    consumer = consumer_of(flavour)
    client = await Conversation(behind(consumer.as_asgi(), fails_once)).open()
    await client.send_to(text_data="before")
    assert await client.receive_from(20) == "before"
    await client.send_to(text_data="too much")
    assert await client.closed() == 1011, "the client is told, and not left with a connection that is dumb"
    await ended(client, consumer, layer)
    assert consumer.ends.codes() == [1011]
    assert len(records.kept) == 1 and type(error).__name__ in records.messages()[0]


async def test_faults_engine_04_a_consumer_may_catch_it(
    layer: InMemoryChannelLayer, records: Records
) -> None:
    async def act(self: Any, text: str) -> None:
        try:
            await self.send(text_data=text)
        except TimeoutError:
            await self.send(text_data="again")

    async def fails_once(send: Send, message: Message) -> None:
        if message.get("text") == "too much":
            raise TimeoutError
        await send(message)

    consumer = consumer_of("async", act=act)
    client = await Conversation(behind(consumer.as_asgi(), fails_once)).open()
    await client.send_to(text_data="too much")
    assert await client.receive_from(20) == "again"
    await client.disconnect()
    await ended(client, consumer, layer)
    assert not records.kept


# 7, 8: a client that does not read


def stuck_after(count: int, never: asyncio.Event) -> Middleware:
    """A client that reads ``count`` frames: what is sent after them waits, a close too."""
    left = [count]

    async def sending(send: Send, message: Message) -> None:
        if message["type"] != "websocket.accept":
            if not left[0]:
                await never.wait()
            left[0] -= 1
        await send(message)

    return sending


async def test_faults_engine_07_overflow_closes_a_client_that_is_stuck(
    flavour: str, records: Records
) -> None:
    layer = InMemoryChannelLayer(capacity=5, on_overflow="close")
    channel_layers.register("default", layer)
    try:
        consumer, never = consumer_of(flavour), asyncio.Event()
        client = await Conversation(behind(consumer.as_asgi(), stuck_after(0, never))).open()
        for number in range(200):
            await layer.group_send(GROUP, {"type": "room.event", "text": str(number)})
            await asyncio.sleep(0)
            if not layer.groups:
                break
        await ended(client, consumer, layer)
        assert consumer.ends.codes() == [1013]
        said = [text for text in records.messages() if text.startswith("compat.consumer")]
        assert len(said) == 1 and "its inbox is full" in said[0]
    finally:
        channel_layers.unregister("default")


@pytest.mark.parametrize("cause", ["raise", "stop", "a frame, then raise"])
async def test_faults_engine_08_a_handler_raises_while_its_client_does_not_read(
    flavour: str, cause: str, layer: InMemoryChannelLayer
) -> None:
    """The log is told at once, before the client, for whom nobody waits long."""
    if flavour == "sync" and cause == "a frame, then raise" and "bridge" not in in_use():
        pytest.skip("without the bridge, send() of a sync consumer waits for the client")
    order: list[str] = []

    class Ordered(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            order.append("log")

    def act(self: Any, text: str) -> None:
        if text == "a frame, then raise":
            self.send(text_data="nobody reads this")
        Sync.act(self, "raise" if "raise" in text else text)

    consumer = consumer_of(flavour, **({"act": act} if flavour == "sync" else {}))
    consumer.ends.order = order
    never, handler = asyncio.Event(), Ordered(logging.WARNING)
    stuck = stuck_after(0, never)

    async def noted(send: Send, message: Message) -> None:
        if message["type"] == "websocket.close":
            order.append("close")
        await stuck(send, message)

    logging.getLogger("compat").addHandler(handler)
    try:
        client = await Conversation(behind(consumer.as_asgi(), noted)).open()
        text = "raise" if flavour == "async" and cause != "stop" else cause
        await client.send_to(text_data=text)
        await ended(client, consumer, layer)
    finally:
        logging.getLogger("compat").removeHandler(handler)
    code = 1000 if cause == "stop" else 1011
    told = [] if cause == "stop" else ["log"]
    assert order == [*told, "close", f"disconnect {code}", "end of disconnect"]


@pytest.mark.parametrize("where", ["handler", "filter"])
async def test_faults_engine_08_a_log_that_raises(
    flavour: str, where: str, layer: InMemoryChannelLayer, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("no space left on device")

    def refuse(record: logging.LogRecord) -> bool:
        raise OSError("no space left on device")

    logger, handler = logging.getLogger("compat.consumer"), Broken()
    if where == "handler":
        logger.addHandler(handler)
    else:
        logger.addFilter(refuse)
    try:
        consumer = consumer_of(flavour)
        client = await Conversation(consumer.as_asgi()).open()
        await client.send_to(text_data="raise")
        assert await client.closed() == 1011
        await ended(client, consumer, layer)
    finally:
        logger.removeHandler(handler)
        logger.removeFilter(refuse)
    assert "no space left on device" in capsys.readouterr().err


async def test_faults_engine_08_an_exception_that_cannot_be_shown(
    flavour: str, layer: InMemoryChannelLayer, records: Records
) -> None:
    class Unshowable(Exception):
        def __str__(self) -> str:
            raise ValueError("not now")

    def act(self: Any, text: str) -> Any:
        raise Unshowable

    consumer = consumer_of(flavour, act=act)
    client = await Conversation(consumer.as_asgi()).open()
    await client.send_to(text_data="x")
    assert await client.closed() == 1011
    await ended(client, consumer, layer)
    assert len(records.kept) == 1 and "Unshowable" in records.messages()[0]


# 9: a frame twice


async def test_faults_engine_09_a_send_that_is_cancelled_is_not_repeated(
    layer: InMemoryChannelLayer, records: Records
) -> None:
    """The legacy implementation of uvicorn writes a frame, and then waits for the buffer."""
    written: list[str] = []
    slow = asyncio.Event()

    async def writes_and_waits(send: Send, message: Message) -> None:
        if message["type"] == "websocket.send":
            written.append(message["text"])
            await slow.wait()
        await send(message)

    consumer = consumer_of("sync")
    client = await Conversation(behind(consumer.as_asgi(), writes_and_waits)).open()
    await client.send_to(text_data="once")
    await until_async(lambda: written, "the frame is written")
    client.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.future
    assert written == ["once"] and consumer.ends.codes() == [1001]


# 13: root_path


@pytest.mark.filterwarnings("ignore:The `root_path` parameter is deprecated")
@pytest.mark.parametrize("stripped", [True, False], ids=["the proxy strips it", "the proxy leaves it"])
@pytest.mark.parametrize("where", ["", "/sub", "/mounted/x"])
def test_faults_engine_13_root_path(stripped: bool, where: str) -> None:
    class Where(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.accept()
            await self.send(text_data=self.scope["url_route"]["kwargs"]["room"])

    patterns = [path("ws/<str:room>/", Where.as_asgi())]
    app, sub = FastAPI(root_path="/api"), FastAPI()
    include_consumers(app, patterns)
    include_consumers(sub, patterns)
    app.mount("/sub", sub)
    app.router.routes.append(Mount("/mounted/{name}", app=sub))

    @app.websocket("/plain/")
    async def plain(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("plain")
        await websocket.close()

    prefix = "" if stripped else "/api"
    with LiveServer(app) as server:
        with Client(server, f"{prefix}/plain/") as client:
            assert client.receive() == "plain", "as an endpoint of FastAPI's"
        with Client(server, f"{prefix}{where}/ws/kitchen/") as client:
            assert client.receive() == "kitchen"
        for wrong in ("/apiws/kitchen/", f"{prefix}/ws/kitchen/more/", "/api/api/ws/kitchen/"):
            with pytest.raises(Refused):
                Client(server, wrong)


# 14: a ticker


@pytest.mark.parametrize("closes", ["client", "consumer"])
def test_faults_engine_14_a_ticker_ends_with_its_connection(flavour: str, closes: str) -> None:
    ended: list[str] = []

    class AsyncTicking(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.accept()
            self.ticker = asyncio.ensure_future(self.tick())

        async def tick(self) -> None:
            try:
                while True:
                    await self.send(text_data="tick")
                    await asyncio.sleep(0.005)
            except (OSError, RuntimeError) as error:
                ended.append(type(error).__name__)

        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await self.close(4002)

    class SyncTicking(WebsocketConsumer):
        def connect(self) -> None:
            self.accept()
            threading.Thread(target=self.tick, daemon=True).start()

        def tick(self) -> None:
            pause = threading.Event()
            try:
                while True:
                    self.send(text_data="tick")
                    pause.wait(0.005)
            except (OSError, RuntimeError) as error:
                ended.append(type(error).__name__)

        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            self.close(4002)

    ticking: Any = AsyncTicking if flavour == "async" else SyncTicking
    with recorded() as records, LiveServer(ticking.as_asgi()) as server:
        client = Client(server, "/")
        assert client.receive() == client.receive() == "tick"
        if closes == "client":
            client.drop()
        else:
            client.send("close, please")
            with pytest.raises(AssertionError, match="closed with 4002"):
                while True:
                    client.receive()
        until(lambda: ended, "the ticker has ended")
    assert ended == ["ClientDisconnected"] and not records.kept


async def test_faults_engine_14_a_handler_that_streams_ends_too(
    flavour: str, layer: InMemoryChannelLayer, records: Records
) -> None:
    left = asyncio.Event()

    async def reading(send: Send, message: Message) -> None:
        if left.is_set() and message["type"] == "websocket.send":
            raise ConnectionResetError("gone")
        await send(message)

    async def stream(self: Any, text: str) -> None:
        while True:
            await self.send(text_data="more")
            await asyncio.sleep(0)

    def stream_sync(self: Any, text: str) -> None:
        while True:
            self.send(text_data="more")

    consumer = consumer_of(flavour, act=stream if flavour == "async" else stream_sync)
    client = await Conversation(behind(consumer.as_asgi(), reading)).open()
    await client.send_to(text_data="go")
    assert await client.receive_from(20) == "more"
    left.set()
    await client.send_input({"type": "websocket.disconnect", "code": 1001})
    await ended(client, consumer, layer)
    assert consumer.ends.codes() == [1001] and not records.kept


# The smaller ones


async def test_faults_engine_small_send_on_the_loops_own_thread() -> None:
    said: list[str] = []

    class Chat(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            self.send(text_data=text_data)

    class Kept(Chat):
        def connect(self) -> None:
            made.append(self)
            self.accept()

    made: list[Kept] = []
    client = await Conversation(Kept.as_asgi()).open()
    for _ in range(100):
        with pytest.raises(RuntimeError, match="thread of an event loop"):
            made[0].send(text_data="x")
    await sync_to_async(made[0].send)(text_data="from a thread")
    assert await client.receive_from(20) == "from a thread"
    await client.disconnect()
    assert not said


def test_faults_engine_small_a_loop_that_ran_sync_consumers_is_freed() -> None:
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        client = await Conversation(consumer_of("sync", groups=None).as_asgi()).open()
        await client.disconnect()
        await client.wait(20)

    with override(CHANNEL_THREADS=24):
        for _ in range(60):
            asyncio.run(main())
    gc.collect()
    # The last one is known yet, and asgiref keeps one in each of the threads.
    assert sum(loop() is not None for loop in loops) <= 24 + 2


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 2000, 2999, 5000, 99999, -1, "4001"])
async def test_faults_engine_small_a_close_code_that_cannot_be_sent(
    flavour: str, code: Any, layer: InMemoryChannelLayer, records: Records
) -> None:
    """It is an error that says what to write, and none of the server's."""

    async def close(self: Any, text: str) -> None:
        await self.close(code)

    def close_sync(self: Any, text: str) -> None:
        self.close(code)

    consumer = consumer_of(flavour, act=close if flavour == "async" else close_sync)
    client = await Conversation(consumer.as_asgi()).open()
    await client.send_to(text_data="go")
    assert await client.closed() == 1011
    await ended(client, consumer, layer)
    assert len(records.kept) == 1
    assert (
        f"close code {code!r} cannot be sent" in records.messages()[0]
        and "3000 to 4999" in records.messages()[0]
    )


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1014, 3000, 4999])
def test_faults_engine_small_a_close_code_that_can_be_sent(code: int) -> None:
    consumer = consumer_of("async", groups=None)
    with LiveServer(consumer.as_asgi()) as server:
        client = Client(server, "/")
        client.send(f"close {code}")
        assert client.wait_closed()[0] == code


@pytest.mark.parametrize(
    "reason", ["x" * 123, "x" * 124, "x" * 200, "é" * 100, "漢" * 60, "😀" * 40, "\ud800"]
)
def test_faults_engine_small_a_reason_is_cut_to_what_a_frame_holds(flavour: str, reason: str) -> None:
    async def close(self: Any, text: str) -> None:
        await self.close(4001, reason)

    def close_sync(self: Any, text: str) -> None:
        self.close(4001, reason)

    consumer = consumer_of(flavour, groups=None, act=close if flavour == "async" else close_sync)
    with recorded() as records, LiveServer(consumer.as_asgi()) as server:
        client = Client(server, "/")
        client.send("go")
        code, said = client.wait_closed()
        until(lambda: consumer.ends.codes(), "disconnect() has run")
    assert code == 4001 and not records.kept
    assert len(said.encode()) <= 123 and (reason.startswith(said) or said == "?")
    assert len(said.encode()) > 119 or said == "?", "no more is cut than has to be"


async def test_faults_engine_small_any_code_refuses_a_handshake(flavour: str) -> None:
    """There is no close frame yet: projects give HTTP's codes, and the client gets 403."""

    async def connect(self: Any) -> None:
        await self.close(401)

    def connect_sync(self: Any) -> None:
        self.close(401)

    consumer = consumer_of(flavour, groups=None, connect=connect if flavour == "async" else connect_sync)
    assert await WebsocketCommunicator(consumer.as_asgi(), "/").connect(20) == (False, 401)


def test_faults_engine_small_anyio_scope_of_the_test_client(
    flavour: str, layer: InMemoryChannelLayer
) -> None:
    """It cancels the application as soon as it has sent the disconnect, and then whenever it waits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it wants another httpx
        from starlette.testclient import TestClient
    consumer = consumer_of(flavour)
    for count in range(1, 21):
        with TestClient(consumer.as_asgi()).websocket_connect("/") as websocket:
            websocket.send_text("x")
            assert websocket.receive_text() == "x"
        assert consumer.ends.order.count("end of disconnect") == count
    assert len(consumer.ends.codes()) == 20
    assert layer.groups == {}


@pytest.mark.parametrize("moment", ["idle", "in a handler", "in disconnect"])
async def test_faults_engine_small_anyio_scope_that_is_cancelled(
    flavour: str, moment: str, layer: InMemoryChannelLayer, records: Records
) -> None:
    scopes: list[anyio.CancelScope] = []
    consumer = consumer_of(flavour)
    if moment == "in a handler":

        async def act(self: Any, text: str) -> None:
            consumer.ends.order.append("in a handler")
            await asyncio.sleep(30)

        def act_sync(self: Any, text: str) -> None:
            consumer.ends.order.append("in a handler")
            async_to_sync(asyncio.sleep)(30)

        consumer.act = act if flavour == "async" else act_sync

    async def scoped(scope: Any, receive: Any, send: Any) -> None:
        with anyio.CancelScope() as cancel_scope:
            scopes.append(cancel_scope)
            await consumer.as_asgi()(scope, receive, send)

    client = await Conversation(scoped).open()
    if moment == "in a handler":
        await client.send_to(text_data="x")
        await until_async(lambda: consumer.ends.order, "it is in the handler")
    if moment == "in disconnect":
        await client.send_input({"type": "websocket.disconnect", "code": 4004})
        await until_async(lambda: consumer.ends.order, "it is in disconnect()")
    scopes[0].cancel()
    await ended(client, consumer, layer)
    assert consumer.ends.codes() == [4004 if moment == "in disconnect" else 1001] and not records.kept


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
async def test_faults_engine_small_cancelled_at_every_wait(
    flavour: str, turns: int, layer: InMemoryChannelLayer, records: Records
) -> None:
    """A task that is cancelled again and again still leaves in order."""
    consumer = consumer_of(flavour)
    client = await Conversation(consumer.as_asgi()).open()
    await client.send_to(text_data="x")
    for _ in range(turns):
        await asyncio.sleep(0)
    while not client.future.done():
        client.future.cancel()
        await asyncio.sleep(0)
    assert len(consumer.ends.codes()) == 1 and consumer.ends.order[-1] == "end of disconnect"
    assert layer.groups == {} and not records.kept


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21])
def test_faults_engine_small_cancelled_while_the_loop_ends(
    flavour: str, turns: int, layer: InMemoryChannelLayer, records: Records
) -> None:
    """``asyncio.run()`` cancels every task at its end, also one that has not begun."""
    consumer = consumer_of(flavour)
    before = connections.current

    async def main() -> None:
        client = await Conversation(consumer.as_asgi()).open()
        client.future.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)

    asyncio.run(main())
    assert consumer.ends.codes() == [1001] and layer.groups == {}
    assert connections.current == before and not records.kept


def test_faults_engine_small_cancelled_again_while_a_handler_still_runs(
    layer: InMemoryChannelLayer, records: Records
) -> None:
    """Was: the second cancellation came while the end waited for the handler, and disconnect() never ran."""
    begun, released = threading.Event(), threading.Event()

    class Busy(Sync):
        ends = Ends()

        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            begun.set()
            assert released.wait(10)

    async def watch() -> None:
        try:
            await asyncio.Future()
        finally:
            released.set()

    async def main() -> None:
        client = await Conversation(Busy.as_asgi()).open()
        await client.send_to(text_data="x")
        await until_async(begun.is_set, "the handler runs")
        client.future.cancel()
        for _ in range(30):
            await asyncio.sleep(0)
        main.watching = asyncio.ensure_future(watch())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    asyncio.run(main())
    assert Busy.ends.codes() == [1001] and layer.groups == {} and not records.kept


@pytest.mark.skipif("bridge" not in in_use(), reason="async_to_sync is asgiref's own without the bridge")
def test_faults_engine_small_a_handler_awaits_while_the_loop_ends(bare: Environment, tmp_path: Path) -> None:
    """Was: a task of ``async_to_sync`` was cancelled before it began, and its thread waited for ever."""
    code = """
        import asyncio
        from asgiref.sync import async_to_sync
        from compat.generic.websocket import WebsocketConsumer
        from compat.testing import WebsocketCommunicator

        class Awaiting(WebsocketConsumer):
            def receive(self, text_data):
                for _ in range(30):
                    async_to_sync(asyncio.sleep)(0)

        async def main(turns):
            client = WebsocketCommunicator(Awaiting.as_asgi(), "/")
            await client.connect(timeout=15)
            await client.send_to(text_data="x")
            for _ in range(turns):
                await asyncio.sleep(0)

        for number in range(300):
            asyncio.run(main(number % 60))
        print("all have ended")
    """
    assert run_code(bare, dedent(code), tmp_path, {}) == "all have ended\n"


async def test_faults_engine_small_a_scope_of_connect_is_left_in_disconnect(
    layer: InMemoryChannelLayer,
) -> None:
    """A task group that is entered in connect() can be left in disconnect(): that is the same task."""

    class Grouped(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            self.tasks = anyio.create_task_group()
            await self.tasks.__aenter__()
            await self.accept()

        async def disconnect(self, code: int) -> None:
            self.tasks.cancel_scope.cancel()
            await self.tasks.__aexit__(None, None, None)
            left.append(code)

    async def scoped(scope: Any, receive: Any, send: Any) -> None:
        with anyio.CancelScope():
            await Grouped.as_asgi()(scope, receive, send)

    left: list[int] = []
    client = await Conversation(scoped).open()
    await client.disconnect(code=4001, timeout=20)
    assert left == [4001]


# Suspected


async def test_faults_suspected_cancelled_twice_before_disconnect_runs(
    layer: InMemoryChannelLayer, records: Records
) -> None:
    """The thread that runs disconnect() has begun: the consumer is there as long as that."""
    entered, gate = threading.Event(), threading.Event()
    lost: list[BaseException] = []

    def disconnect(self: Any, code: int) -> None:
        entered.set()
        gate.wait(20)
        try:
            self.ends.order.append(f"disconnect {code}")
            assert self._compat_socket is not None and self.channel_layer is layer
            self.ends.order.append("end of disconnect")
        except BaseException as error:
            lost.append(error)
            raise

    consumer = consumer_of("sync", disconnect=disconnect)
    client = await Conversation(consumer.as_asgi()).open()
    for _ in range(3):
        client.future.cancel()
        await until_async(entered.is_set, "disconnect() has begun")
    assert not client.future.done(), "the application ends when disconnect() has"
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await client.future
    assert consumer.ends.order == ["disconnect 1001", "end of disconnect"] and not lost
    assert layer.groups == {} and not records.kept


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_faults_suspected_disconnect_beside_handlers(
    kind: str, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With concurrency above 1 as well disconnect() is handled by itself, after what is about to end."""
    monkeypatch.setattr(side_by_side, "HANDLERS_TIMEOUT_S", 15)
    order: list[str] = []
    awaited, blocking = asyncio.Event(), threading.Event()

    class AsyncWide(AsyncWebsocketConsumer):
        concurrency = 3

        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            order.append("begin")
            await awaited.wait()
            order.append("end")

        async def disconnect(self, code: int) -> None:
            order.append(f"disconnect {code}")
            await asyncio.sleep(0.1)
            order.append("end of disconnect")

    class SyncWide(WebsocketConsumer):
        concurrency = 3

        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            order.append("begin")
            blocking.wait(15)
            async_to_sync(asyncio.sleep)(0)
            order.append("end")

        def disconnect(self, code: int) -> None:
            order.append(f"disconnect {code}")
            async_to_sync(asyncio.sleep)(0.1)
            order.append("end of disconnect")

    wide: Any = AsyncWide if kind == "async" else SyncWide
    client = await Conversation(wide.as_asgi()).open()
    await client.send_to(text_data="1")
    await client.send_to(text_data="2")
    await until_async(lambda: order == ["begin", "begin"], "both handlers run")
    leaving = asyncio.ensure_future(client.disconnect(code=4001, timeout=20))
    for _ in range(20):
        await asyncio.sleep(0)
    assert order == ["begin", "begin"]
    awaited.set()
    blocking.set()
    await leaving
    assert order == ["begin", "begin", "end", "end", "disconnect 4001", "end of disconnect"]


@pytest.mark.parametrize("one_thread", [False, True])
async def test_disconnect_waits_for_a_sync_handler_that_outlasts_its_time(
    one_thread: bool, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "HANDLERS_TIMEOUT_S", 0.05)
    ends, gate = Ends(), threading.Event()

    class Long(WebsocketConsumer):
        concurrency = 2
        thread_sensitive = one_thread
        groups = [GROUP]

        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            ends.order.append("begin")
            gate.wait(20)
            ends.order.append("end")

        def disconnect(self, code: int) -> None:
            ends.order.append(f"disconnect {code}")

    client = await Conversation(Long.as_asgi()).open()
    await client.send_to(text_data="x")
    await until_async(lambda: ends.order, "the handler runs")
    leaving = asyncio.ensure_future(client.disconnect(code=4001, timeout=20))
    await asyncio.wait((leaving,), timeout=0.3)  # it is cancelled meanwhile
    gate.set()
    await leaving
    assert ends.order == ["begin", "end", "disconnect 4001"] and layer.groups == {}


@pytest.mark.parametrize("paused", [False, True])
async def test_a_cancel_ends_a_send_to_a_client_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch, layer: InMemoryChannelLayer, paused: bool
) -> None:
    ends, stuck = Ends(), asyncio.Event()
    begin = asyncio.run_coroutine_threadsafe

    def pausing(send: Any, loop: asyncio.AbstractEventLoop) -> concurrent.futures.Future[Any]:
        """Let the loop send, if it can, before the handler's thread goes on."""
        sending = begin(send, loop)
        concurrent.futures.wait((sending,), timeout=0.1)
        return sending

    if paused:
        monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", pausing)

    class Sender(WebsocketConsumer):
        concurrency = 2

        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            ends.order.append("begin")
            for _ in range(2):
                try:
                    self.send(text_data="x")
                except ClientDisconnected:
                    ends.order.append("has left")

        def disconnect(self, code: int) -> None:
            ends.order.append(f"disconnect {code}")

    app: Any = Sender.as_asgi()

    async def not_read(scope: Any, receive: Any, send: Any) -> None:
        async def sends(message: Message) -> None:
            if message["type"] == "websocket.send":
                stuck.set()
                await asyncio.Event().wait()
            await send(message)

        await app(scope, receive, sends)

    client = await Conversation(not_read).open()
    await client.send_to(text_data="x")
    await asyncio.wait_for(stuck.wait(), 20)
    client.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(client.future, 20)
    assert ends.order == ["begin", "has left", "has left", "disconnect 1001"]


async def _overflowing(ends: Ends, gate: asyncio.Event) -> Conversation:
    """A connection whose handler has swallowed the cancellation of its inbox's overflow, and waits."""
    names: list[str] = []

    class Swallowing(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            names.append(self.channel_name)
            await self.accept()

        async def work(self, event: Message) -> None:
            ends.order.append("begin")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ends.order.append("swallowed")
            await gate.wait()

        async def disconnect(self, code: int) -> None:
            ends.order.append(f"disconnect {code}")

    layer = InMemoryChannelLayer(capacity=1, on_overflow="close")
    channel_layers.register("default", layer)
    client = await Conversation(Swallowing.as_asgi()).open()
    await layer.send(names[0], {"type": "work"})
    await until_async(lambda: ends.order, "its handler runs")
    for _ in range(2):  # one too many
        with contextlib.suppress(ChannelFull):
            await layer.send(names[0], {"type": "another"})
    await until_async(lambda: ends.order[1:], "the handler has swallowed the cancellation")
    return client


async def test_an_overflow_closes_although_a_handler_swallows_its_cancellation(
    layer: InMemoryChannelLayer,
) -> None:
    ends, gate = Ends(), asyncio.Event()
    with override(CHANNEL_UNKNOWN_MESSAGE="ignore"):
        client = await _overflowing(ends, gate)
        gate.set()
        assert await client.closed() == 1013
    assert ends.order == ["begin", "swallowed", "disconnect 1013"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 does not count cancellations")
async def test_a_cancel_after_a_swallowed_one_is_not_taken_for_an_overflow(
    layer: InMemoryChannelLayer,
) -> None:
    ends, gate = Ends(), asyncio.Event()
    client = await _overflowing(ends, gate)
    client.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.future
    assert ends.order == ["begin", "swallowed", "disconnect 1013"]


class Wide(AsyncWebsocketConsumer):
    """Has a handler that goes on when the client has left."""

    concurrency = 4
    ends: Ends

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.ends.order.append("begin")
        await self.send(text_data="begun")
        await asyncio.Event().wait()

    async def disconnect(self, code: int) -> None:
        self.ends.order.append(f"disconnect {code}")


async def test_a_cancel_while_handlers_wind_down_does_not_lose_the_disconnect(
    layer: InMemoryChannelLayer,
) -> None:
    consumer: Any = type("Wide", (Wide,), {"ends": Ends(), "groups": [GROUP]})
    client = await Conversation(consumer.as_asgi()).open()
    await client.send_to(text_data="x")
    assert await client.receive_from() == "begun"
    await client.send_input({"type": "websocket.disconnect", "code": 4001})
    await until_async(lambda: client.input_queue.empty(), "the disconnect has been read")
    client.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.future
    assert consumer.ends.order == ["begin", "disconnect 4001"] and layer.groups == {}


def test_the_test_client_leaves_while_handlers_run_side_by_side(layer: InMemoryChannelLayer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it wants another httpx
        from starlette.testclient import TestClient
    consumer: Any = type("Wide", (Wide,), {"ends": Ends(), "groups": [GROUP]})
    with TestClient(consumer.as_asgi()).websocket_connect("/") as websocket:
        websocket.send_text("x")
        assert websocket.receive_text() == "begun"
    assert consumer.ends.order == ["begin", "disconnect 1000"] and layer.groups == {}


async def test_faults_suspected_an_anyio_cancel_while_groups_are_left(redis_url: str) -> None:
    layer = RedisChannelLayer(hosts=[redis_url], prefix=unique_prefix())
    channel_layers.register("default", layer)
    try:
        for flavour in ("async", "sync"):
            for turns in (0, 1, 2, 4, 8, 16, 32):
                await _cancelled_over_redis(flavour, turns, layer)
    finally:
        channel_layers.unregister("default")
        await layer.close_pools()


async def _cancelled_over_redis(flavour: str, turns: int, layer: RedisChannelLayer) -> None:
    scopes: list[anyio.CancelScope] = []
    consumer = consumer_of(flavour)

    async def scoped(scope: Any, receive: Any, send: Any) -> None:
        with anyio.CancelScope() as cancel_scope:
            scopes.append(cancel_scope)
            await consumer.as_asgi()(scope, receive, send)

    client = await Conversation(scoped).open()
    await client.send_input({"type": "websocket.disconnect", "code": 1000})
    for _ in range(turns):
        await asyncio.sleep(0)
    scopes[0].cancel()
    await client.wait(20)
    assert consumer.ends.order[-1] == "end of disconnect" and len(consumer.ends.codes()) == 1
    assert await members(layer) == []


async def members(layer: RedisChannelLayer) -> list[Any]:
    """The channels that Redis has for the group."""
    from redis.asyncio import Redis

    async with Redis.from_url(layer.hosts[0]["address"]) as client:
        return list(await client.zrange(f"{layer.prefix}:group:{GROUP}", 0, -1))


# Under public projects, and the tests themselves


@pytest.mark.parametrize("served", [True])
async def test_faults_projects_08_a_late_send_from_a_thread_raises(
    served: bool, layer: InMemoryChannelLayer
) -> None:
    made: list[Any] = []

    def connect(self: Any) -> None:
        made.append(self)
        self.accept()

    consumer = consumer_of("sync", connect=connect)
    client = await Conversation(consumer.as_asgi(), served=served).open()
    await client.disconnect()
    await ended(client, consumer, layer)
    with pytest.raises(RuntimeError) as raised:
        await asyncio.to_thread(made[0].send, "too late")
    assert isinstance(raised.value, ClientDisconnected) and isinstance(raised.value, OSError)
    assert "consumer has closed the connection" in str(raised.value)


async def test_faults_tests_groups_are_left_before_disconnect(
    flavour: str, layer: InMemoryChannelLayer
) -> None:
    """As in Channels: what disconnect() sends to a group of the class does not come back to its consumer."""
    seen: list[bool] = []

    async def disconnect(self: Any, code: int) -> None:
        seen.append(self.channel_name in layer.groups.get(GROUP, ()))

    def disconnect_sync(self: Any, code: int) -> None:
        seen.append(self.channel_name in layer.groups.get(GROUP, ()))

    consumer = consumer_of(flavour, disconnect=disconnect if flavour == "async" else disconnect_sync)
    neighbour = await Conversation(consumer_of(flavour).as_asgi()).open()
    for end in ("client", "raise", "stop"):
        client = await Conversation(consumer.as_asgi()).open()
        if end == "client":
            await client.disconnect(timeout=20)
        else:
            await client.send_to(text_data=end)
            await client.wait(20)
    assert seen == [False, False, False]
    await neighbour.disconnect(timeout=20)
