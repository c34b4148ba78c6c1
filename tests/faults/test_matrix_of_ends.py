"""The matrix of ends: every way to end, for sync and async consumers, over every layer.

One server for each flavour and layer; a connection joins one group by hand and one by its class, and ends.
Then its disconnect() has run once, both groups are empty where the layer keeps them, and the log has one
record if something went wrong, and none if not.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync

from compat.exceptions import StopConsumer
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import InMemoryChannelLayer, get_channel_layer
from compat.metrics import connections
from compat.patterns import path
from compat.routing import URLRouter
from compat.settings import settings
from tests.support.clients import Client, Refused
from tests.support.layers import unique_prefix
from tests.support.logs import Records, recorded
from tests.support.servers import LiveServer
from tests.support.waiting import until

SILENCE_S = 0.3


@dataclass
class Seen:
    """What happened inside the consumers."""

    codes: list[int] = field(default_factory=list)
    tasks: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = field(default_factory=list)
    deciding: threading.Event = field(default_factory=threading.Event)
    decided: threading.Event = field(default_factory=threading.Event)
    """connect() has begun, and may go on."""


seen = Seen()


class SyncMember(WebsocketConsumer):
    """Joins a group by hand, and ends as its path says."""

    groups = ["matrix.class"]

    def connect(self) -> None:
        self.end = self.scope["url_route"]["kwargs"]["end"]
        async_to_sync(self.channel_layer.group_add)("matrix.hand", self.channel_name)
        if self.end == "leaves early":
            seen.deciding.set()
            seen.decided.wait(30)
        if self.end == "connect raises":
            raise RuntimeError(self.end)
        if self.end == "refusal":
            self.close(4001)
        else:
            self.accept()

    def receive(self, text_data: str) -> None:
        if self.end == "receive raises":
            raise RuntimeError(self.end)
        if self.end == "stop consumer":
            raise StopConsumer
        if self.end == "consumer closes":
            self.close(4002)
        elif self.end == "handler raises":
            async_to_sync(self.channel_layer.group_send)("matrix.hand", {"type": "fail.now"})
        elif self.end == "no type":
            async_to_sync(self.channel_layer.group_send)("matrix.hand", {"text": "x", "n": 1})
        else:
            self.send("joined")

    def fail_now(self, event: Any) -> None:
        raise RuntimeError(self.end)

    def disconnect(self, code: int) -> None:
        seen.codes.append(code)
        if self.end == "disconnect raises":
            raise RuntimeError(self.end)


class AsyncMember(AsyncWebsocketConsumer):
    """SyncMember with await."""

    groups = ["matrix.class"]

    async def connect(self) -> None:
        self.end = self.scope["url_route"]["kwargs"]["end"]
        await self.channel_layer.group_add("matrix.hand", self.channel_name)
        if self.end == "leaves early":
            seen.deciding.set()
            await asyncio.to_thread(seen.decided.wait, 30)
        if self.end == "connect raises":
            raise RuntimeError(self.end)
        if self.end == "refusal":
            await self.close(4001)
        else:
            await self.accept()

    async def receive(self, text_data: str) -> None:
        if self.end == "receive raises":
            raise RuntimeError(self.end)
        if self.end == "stop consumer":
            raise StopConsumer
        if self.end == "awaits a cancelled task":
            task = asyncio.ensure_future(asyncio.sleep(0))
            task.cancel()
            await task
        if self.end == "consumer closes":
            await self.close(4002)
        elif self.end == "handler raises":
            await self.channel_layer.group_send("matrix.hand", {"type": "fail.now"})
        elif self.end == "no type":
            await self.channel_layer.group_send("matrix.hand", {"text": "x", "n": 1})
        else:
            await self.send("joined")

    async def fail_now(self, event: Any) -> None:
        raise RuntimeError(self.end)

    async def disconnect(self, code: int) -> None:
        seen.codes.append(code)
        if self.end == "disconnect raises":
            raise RuntimeError(self.end)


class Silent(SyncMember):
    idle_timeout = SILENCE_S


class AsyncSilent(AsyncMember):
    idle_timeout = SILENCE_S


def application(member: Any, silent: Any) -> Any:
    """The consumers, and the tasks in which their connections run."""
    routes = [path("silence/", silent.as_asgi(), {"end": "silence"}), path("<str:end>/", member.as_asgi())]
    router = URLRouter(routes)

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        seen.tasks.append((asyncio.get_running_loop(), task))
        await router(scope, receive, send)

    return noting


class Place:
    """A flavour of consumers on a layer, served."""

    def __init__(self, app: Any, layer: dict[str, Any], records: Records) -> None:
        self.app = app
        self.layer = layer
        self.records = records
        self.server = LiveServer(app)

    def join(self, end: str) -> Client:
        return Client(self.server, f"/{end.replace(' ', '%20')}/")

    def members(self) -> int:
        """How many have joined one of the groups, where the layer keeps them."""
        if "CONFIG" not in self.layer:
            layer: InMemoryChannelLayer | None = get_channel_layer()
            assert layer is not None
            return sum(map(len, layer.groups.values()))
        prefix = self.layer["CONFIG"]["prefix"]
        with redis.Redis.from_url(self.layer["CONFIG"]["hosts"][0]) as client:
            names = [f"{prefix}__group__matrix.{name}" for name in ("hand", "class")]
            listening: int = sum(count for _, count in client.pubsub_numsub(*names))
            return listening + sum(int(client.zcard(key)) for key in client.keys(f"{prefix}:group:*"))


REDIS = "compat.layers.redis"
LAYERS = {
    "memory": "compat.layers.InMemoryChannelLayer",
    "queue": f"{REDIS}.core.RedisChannelLayer",
    "pubsub": f"{REDIS}.pubsub.RedisPubSubChannelLayer",
}
FLAVOURS = {"sync": (SyncMember, Silent), "async": (AsyncMember, AsyncSilent)}


@pytest.fixture(
    scope="module", params=[(flavour, layer) for flavour in FLAVOURS for layer in LAYERS], ids="-".join
)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    flavour, layer = request.param
    entry: dict[str, Any] = {"BACKEND": LAYERS[layer]}
    if layer != "memory":
        entry["CONFIG"] = {"hosts": [request.getfixturevalue("redis_url")], "prefix": unique_prefix()}
    with ExitStack() as stack:
        stack.enter_context(settings.override(CHANNEL_LAYERS={"default": entry}, CHANNEL_ORIGIN_CHECK=False))
        place = Place(application(*FLAVOURS[flavour]), entry, stack.enter_context(recorded()))
        stack.enter_context(place.server)
        yield place


# The ways to end. Each gets a client that has joined, or the place if there is nobody to join yet.


def says(client: Client) -> None:
    client.send("go")
    client.wait_closed()


def closes(client: Client) -> None:
    client.close(4004)


def resets(client: Client) -> None:
    """The TCP connection ends by RST, without a word."""
    connection = client.connection.socket
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.drop()


def is_silent(client: Client) -> None:
    assert client.wait_closed()[0] == 1001


def is_cancelled(client: Client) -> None:
    loop, task = seen.tasks[-1]
    loop.call_soon_threadsafe(task.cancel)
    assert client.wait_closed()[0] == 1001


def server_stops(client: Client) -> None:
    assert client.wait_closed()[0] == 1012


def leaves_early(place: Place) -> None:
    """The client is gone before connect() has decided."""
    lines = (
        b"GET /leaves%20early/ HTTP/1.1",
        b"Host: localhost",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
    )
    seen.deciding.clear()
    seen.decided.clear()
    with socket.create_connection((place.server.host, place.server.port), timeout=15) as connection:
        connection.sendall(b"\r\n".join([*lines, b"", b""]))
        assert seen.deciding.wait(15)
    seen.decided.set()


@dataclass(frozen=True)
class End:
    name: str
    codes: tuple[int, ...]
    """What disconnect() may be called with."""
    act: Callable[[Client], None] | None = None
    """None: the handshake is refused."""
    record: str | None = None
    """What the one log record says; None: there is none."""


ENDS = [
    End("client closes", (4004,), closes),
    End("consumer closes", (4002,), says),
    End("stop consumer", (1000,), says),
    End("reset", (1005, 1006), resets),
    End("leaves early", (1005, 1006)),
    End("silence", (1001,), is_silent, f"closed with 1001: silent for {SILENCE_S} s"),
    End("connect raises", (1011,), None, "failed in websocket.connect: RuntimeError: connect raises"),
    End("receive raises", (1011,), says, "failed in websocket.receive: RuntimeError: receive raises"),
    End("handler raises", (1011,), says, "failed in fail.now: RuntimeError: handler raises"),
    End("no type", (1011,), says, "failed in a message without 'type' (its keys: 'text', 'n'): ValueError"),
    End("disconnect raises", (4004,), closes, "failed in websocket.disconnect: RuntimeError"),
    End("refusal", (1006,), None),
    End("task cancelled", (1001,), is_cancelled, "Exception in ASGI application"),
    End("server stops", (1012,), server_stops),
]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 cannot tell whose cancellation it is")
@pytest.mark.parametrize("place", [("async", "memory")], indirect=True, ids="-".join)
def test_a_handler_that_awaits_a_cancelled_task_has_failed(place: Place) -> None:
    end = End("awaits a cancelled task", (1011,), says, "failed in websocket.receive: CancelledError")
    test_every_end_is_one_end(end, place)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.name.replace(" ", "-"))
def test_every_end_is_one_end(end: End, place: Place) -> None:
    seen.codes.clear()
    place.records.kept.clear()
    if end.name == "leaves early":
        leaves_early(place)
    elif end.act is None:
        with pytest.raises(Refused) as refused:
            place.join(end.name)
        assert refused.value.status == 403
    elif end.act is server_stops:
        serving, place.server = place.server, LiveServer(place.app)
        with place.server:
            client = place.join(end.name)
            client.send("joined?")
            assert client.receive() == "joined" and place.members() == 2
            place.server.uvicorn.should_exit = True
            server_stops(client)
        place.server = serving
    else:
        client = place.join(end.name)
        if end.act not in (says, is_silent):
            client.send("joined?")
            assert client.receive() == "joined" and place.members() == 2
        end.act(client)
    until(lambda: seen.codes and connections.current == 0, "the consumer has ended")
    until(lambda: place.members() == 0, "both groups are empty")
    assert len(seen.codes) == 1 and seen.codes[0] in end.codes
    if end.record is not None:  # the server writes its own when the application is over
        until(place.records.messages, "a record")
    messages = place.records.messages()
    if end.record is None:
        assert not messages
    else:
        assert len(messages) == 1 and end.record in messages[0], messages
