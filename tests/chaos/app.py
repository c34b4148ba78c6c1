"""Rooms with histories whose consumers number what they send, and note what happens to them in CHAOS_NOTES.

Paths are ``/<kind>/<room>/<client>/``, where kind is ``async``, ``sync``, ``several`` or ``plain``. A frame
of a client is ``{"n": 7, "do": "say"}``, or with ``"echo"``, ``"work"`` or ``"delivered"``. Each process says
something to each room at a steady pace, and answers at ``/present`` who is there. From the environment:
CHAOS_LAYER, CHAOS_HOSTS (JSON; empty for the layer in memory), CHAOS_PREFIX, CHAOS_SECRET, CHAOS_PARK and
CHAOS_DRAIN (seconds).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from functools import cache
from typing import Any

from asgiref.sync import async_to_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from compat import AsyncWebsocketConsumer, WebsocketConsumer, configure
from compat.exceptions import LayerUnavailable
from compat.fastapi import open_layers
from compat.layers import get_channel_layer
from compat.patterns import path
from compat.resume import Resumable
from compat.routing import ProtocolTypeRouter, URLRouter
from tests.chaos.schedule import ROOMS

PACE_S = 0.1
"""Between two messages of a process to each room: this is load, and waits for nothing."""
WORK_S = 1.5
"""How long a handler works, so that frames of its client wait: load too. A stop waits 2 s for a handler."""
CONFIG: dict[str, Any] = {
    "capacity": 20_000,
    "history": {"chat_*": {"count": 5000}},
    "presence": {"chat_*": {"key": lambda scope: scope["url_route"]["kwargs"]["client"]}},
}
if hosts := json.loads(os.environ["CHAOS_HOSTS"]):
    CONFIG |= {"hosts": hosts, "prefix": os.environ["CHAOS_PREFIX"], "on_reset": "room.reset"}
configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    CHANNEL_LAYERS={"default": {"BACKEND": os.environ["CHAOS_LAYER"], "CONFIG": CONFIG}},
    CHANNEL_FALLBACK=True,
    CHANNEL_RESUME_SECONDS=float(os.environ["CHAOS_PARK"]),
    DRAIN_SECONDS=float(os.environ["CHAOS_DRAIN"]),
    SECRET_KEY=os.environ["CHAOS_SECRET"],
)


def note(what: str, **more: Any) -> None:
    """Add a line to the notes, which those of a process that is killed are in as well."""
    line = json.dumps({"what": what, "at": time.time(), "process": os.getpid(), **more}) + "\n"
    os.write(_notes(), line.encode())  # one write to the end of the file is not mixed with others


@cache
def _notes() -> int:
    return os.open(os.environ["CHAOS_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


class Counted:
    """The frames of one consumer by their number, and its notes."""

    def __init__(self, scope: Any) -> None:
        named = scope["url_route"]["kwargs"]
        self.room = named["room"]
        self.group = f"chat_{self.room}"
        self.sent = 0
        self._name = uuid.uuid4().hex[:8]
        self._client = named["client"]
        self.note("connect", resume=scope.get("resume"))

    def note(self, what: str, **more: Any) -> None:
        note(what, consumer=self._name, client=self._client, **more)

    def frame(self, what: str, **more: Any) -> str:
        """The next frame."""
        text = json.dumps({"consumer": self._name, "number": self.sent, "what": what, **more})
        self.sent += 1
        return text

    def begin(self, text: str | None) -> tuple[str, int]:
        """What a frame of the client asks for, and its number."""
        assert text is not None
        order = json.loads(text)
        self.note("handled", n=order["n"])
        return order["do"], order["n"]

    def saying(self, n: int) -> AbstractContextManager[dict[str, Any]]:
        return saying(self.room, self._name, n)


@contextmanager
def saying(room: str, sender: str, n: int) -> Iterator[dict[str, Any]]:
    """A message for a room, which the block sends: it counts as sent if that raises no error."""
    began = time.time()
    with suppress(LayerUnavailable):
        yield {"type": "room.said", "sender": sender, "n": n}
        note("said", room=room, sender=sender, n=n, began=began)


class Async(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.counted = Counted(self.scope)
        await self.channel_layer.group_add(self.counted.group, self.channel_name)
        self.counted.note("joined")
        await self.accept()
        await self.send(self.counted.frame("hello"))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        what, n = self.counted.begin(text_data)
        if what == "echo":
            await self.send(self.counted.frame("echo", n=n))
        elif what == "say":
            with self.counted.saying(n) as message:
                await self.channel_layer.group_send(self.counted.group, message)
        elif what == "work":
            await asyncio.sleep(WORK_S)
        else:
            sent = self.counted.sent
            if await self.delivered(timeout=1):
                self.counted.note("delivered", count=sent)

    async def room_said(self, event: Any) -> None:
        await self.send(self.counted.frame("said", sender=event["sender"], n=event["n"]))

    async def room_reset(self, event: Any) -> None:
        if event["group"] == self.counted.group:  # else it is about what was sent to this channel alone
            await self.send(self.counted.frame("reset"))

    async def disconnect(self, code: int) -> None:
        self.counted.note("disconnect", code=code)


class Several(Async):
    concurrency = 4


class Sync(WebsocketConsumer):
    def connect(self) -> None:
        self.counted = Counted(self.scope)
        async_to_sync(self.channel_layer.group_add)(self.counted.group, self.channel_name)
        self.counted.note("joined")
        self.accept()
        self.send(self.counted.frame("hello"))

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        what, n = self.counted.begin(text_data)
        if what == "echo":
            self.send(self.counted.frame("echo", n=n))
        elif what == "say":
            with self.counted.saying(n) as message:
                async_to_sync(self.channel_layer.group_send)(self.counted.group, message)
        elif what == "work":
            time.sleep(WORK_S)
        else:
            sent = self.counted.sent
            if self.delivered(timeout=1):
                self.counted.note("delivered", count=sent)

    def room_said(self, event: Any) -> None:
        self.send(self.counted.frame("said", sender=event["sender"], n=event["n"]))

    def room_reset(self, event: Any) -> None:
        if event["group"] == self.counted.group:
            self.send(self.counted.frame("reset"))

    def disconnect(self, code: int) -> None:
        self.counted.note("disconnect", code=code)


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """An endpoint that knows nothing of layers."""
    await receive()
    counted = Counted(scope)
    counted.note("joined")
    code = 1006
    try:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": counted.frame("hello")})
        while (message := await receive())["type"] == "websocket.receive":
            _, n = counted.begin(message["text"])
            await send({"type": "websocket.send", "text": counted.frame("echo", n=n)})
        code = message["code"]
    except OSError:  # the client has left for good
        pass
    finally:
        counted.note("disconnect", code=code)


async def publish() -> None:
    """Say something to each room, again and again."""
    layer: Any = get_channel_layer()
    sender = uuid.uuid4().hex[:8]
    for n in itertools.count(1):
        for room in ROOMS:
            with saying(room, sender, n) as message:
                await layer.group_send(f"chat_{room}", message)
        await asyncio.sleep(PACE_S)


async def present(request: Request) -> JSONResponse:
    """Answer who is present in each room, as far as this process knows."""
    layer: Any = get_channel_layer()
    people = {room: await layer.presence(f"chat_{room}") for room in ROOMS}
    return JSONResponse(
        {
            room: [f"{key} (away)" if one["away"] else key for key, one in found.items()]
            for room, found in people.items()
        }
    )


@asynccontextmanager
async def lifespan(app: object) -> AsyncIterator[None]:
    async with open_layers():
        publishing = asyncio.ensure_future(publish())
        yield
        publishing.cancel()
        await asyncio.wait((publishing,))


KINDS: dict[str, Any] = {
    "async": Async.as_asgi(),
    "sync": Sync.as_asgi(),
    "several": Several.as_asgi(),
    "plain": Resumable(plain),
}
app = ProtocolTypeRouter(
    {
        "http": Starlette(routes=[Route("/present", present)]),
        "lifespan": Starlette(lifespan=lifespan),
        "websocket": URLRouter(
            [path(f"{kind}/<str:room>/<str:client>/", consumer) for kind, consumer in KINDS.items()]
        ),
    }
)
