"""Consumers whose connections end as their frames say; they write what they do to the file in ENDS_LOG.

Paths: /async/ and /sync/, and with "limited" behind them the ones that take 100 bytes at most.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from functools import cache
from typing import Any

from asgiref.sync import async_to_sync

from compat import AsyncWebsocketConsumer, WebsocketConsumer, configure
from compat.closing import close_group
from compat.layers import InMemoryChannelLayer, channel_layers
from compat.patterns import path
from compat.routing import ProtocolTypeRouter, URLRouter

configure(CHANNEL_ORIGIN_CHECK=False)
LAYER = InMemoryChannelLayer(capacity=50, on_overflow="close")
channel_layers.register("default", LAYER)


def note(what: str, **more: Any) -> None:
    """Add a line to the log of the test."""
    line = json.dumps({"what": what, **more}) + "\n"
    os.write(_log(), line.encode())  # one write to the end of the file is not mixed with others


@cache
def _log() -> int:
    """The log, opened once: on a busy disk that holds up the event loop."""
    return os.open(os.environ["ENDS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


class Noting(logging.Handler):
    """Notes every record of ours at WARNING or above."""

    def emit(self, record: logging.LogRecord) -> None:
        note("record", text=record.getMessage())


logging.getLogger("compat").addHandler(Noting(logging.WARNING))


class Async(AsyncWebsocketConsumer):
    groups = ["everybody"]

    async def connect(self) -> None:
        self.who = self.scope["query_string"].decode()
        await self.channel_layer.group_add(f"one.{self.who}", self.channel_name)
        if self.who.startswith("refused"):
            await self.close(4001)
        elif self.who.startswith("failing"):
            raise LookupError("in connect")
        else:
            await self.accept()
            if self.who.startswith("closed"):
                await self.close(4002)
            if self.who.startswith("ticking"):
                self.ticker = asyncio.ensure_future(self.tick())

    async def tick(self) -> None:
        try:
            while True:
                await self.send(text_data="tick")
                await asyncio.sleep(0.01)
        except (OSError, RuntimeError) as error:
            note("ticker ended", who=self.who, error=type(error).__name__)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.act(text_data or "")

    async def act(self, text: str) -> None:
        verb, _, rest = text.partition(" ")
        if verb == "raise":
            raise LookupError("in a handler")
        if verb == "close":
            await self.close(int(rest))
        elif verb == "kick":
            await close_group(f"one.{self.who}", int(rest))
        elif verb == "group":
            await self.channel_layer.group_send(f"one.{self.who}", {"type": "said", "text": rest})
        elif verb == "overflow":
            for number in range(200):
                await self.channel_layer.group_send(f"one.{self.who}", {"type": "said", "text": str(number)})
        else:
            await self.send(text_data=text)

    async def said(self, event: Any) -> None:
        await self.act(event["text"])

    async def disconnect(self, code: int) -> None:
        note("disconnect", who=self.who, code=code)
        await asyncio.sleep(0.01)
        note("end", who=self.who)


class Sync(WebsocketConsumer):
    groups = ["everybody"]

    def connect(self) -> None:
        self.who = self.scope["query_string"].decode()
        async_to_sync(self.channel_layer.group_add)(f"one.{self.who}", self.channel_name)
        if self.who.startswith("refused"):
            self.close(4001)
        elif self.who.startswith("failing"):
            raise LookupError("in connect")
        else:
            self.accept()
            if self.who.startswith("closed"):
                self.close(4002)
            if self.who.startswith("ticking"):
                threading.Thread(target=self.tick, daemon=True).start()

    def tick(self) -> None:
        pause = threading.Event()
        try:
            while True:
                self.send(text_data="tick")
                pause.wait(0.01)
        except (OSError, RuntimeError) as error:
            note("ticker ended", who=self.who, error=type(error).__name__)

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.act(text_data or "")

    def act(self, text: str) -> None:
        verb, _, rest = text.partition(" ")
        if verb == "raise":
            raise LookupError("in a handler")
        if verb == "close":
            self.close(int(rest))
        elif verb == "kick":
            async_to_sync(close_group)(f"one.{self.who}", int(rest))
        elif verb == "group":
            async_to_sync(self.channel_layer.group_send)(f"one.{self.who}", {"type": "said", "text": rest})
        elif verb == "overflow":
            async_to_sync(self.overflow)()
        else:
            self.send(text_data=text)

    async def overflow(self) -> None:
        for number in range(200):
            await self.channel_layer.group_send(f"one.{self.who}", {"type": "said", "text": str(number)})

    def said(self, event: Any) -> None:
        self.act(event["text"])

    def disconnect(self, code: int) -> None:
        note("disconnect", who=self.who, code=code)
        async_to_sync(asyncio.sleep)(0.01)
        note("end", who=self.who)


class AsyncLimited(Async):
    max_message_size = 100


class SyncLimited(Sync):
    max_message_size = 100


async def groups(scope: Any, receive: Any, send: Any) -> None:
    """How many memberships there are, and the broadcast that the query string asks for."""
    count = int(scope["query_string"] or b"0")
    for _ in range(count):
        await LAYER.group_send("everybody", {"type": "said", "text": "x" * 50_000})
    body = str(sum(map(len, LAYER.groups.values()))).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})


app = ProtocolTypeRouter(
    {
        "http": groups,
        "websocket": URLRouter(
            [
                path("async/", Async.as_asgi()),
                path("sync/", Sync.as_asgi()),
                path("async/limited/", AsyncLimited.as_asgi()),
                path("sync/limited/", SyncLimited.as_asgi()),
            ]
        ),
    }
)
