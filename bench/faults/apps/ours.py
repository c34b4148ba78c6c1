"""Ours: a chat as in the tutorial, which knows nothing of connections that come back."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bench.faults.apps.notes import gate, note, text_of
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.layers import get_channel_layer
from compat.patterns import path
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.settings import configure

REDIS = os.environ.get("FAULTS_REDIS", "")
LAYER: dict[str, Any] = {"BACKEND": "compat.layers.InMemoryChannelLayer"}
if REDIS:
    LAYER = {"BACKEND": "compat.layers.redis.core.RedisChannelLayer", "CONFIG": {"hosts": [REDIS]}}
configure(CHANNEL_LAYERS={"default": LAYER}, SECRET_KEY="of the fault matrix")


class Chat(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.who = parse_qs(self.scope["query_string"].decode())["who"][0]
        note("connect", self.who)
        await self.channel_layer.group_add(self.who, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        note("disconnect", self.who)
        await self.channel_layer.group_discard(self.who, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        kind, _, number = (text_data or "").partition(" ")
        note("got", self.who, int(number))
        if kind == "wait":
            await gate(self.who)
            note("answered", self.who, int(number))
            await self.send(text_data=number)

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


async def say(request: Request) -> PlainTextResponse:
    """Send a range of numbers to a room."""
    layer: Any = get_channel_layer()
    query = request.query_params
    for number in range(int(query["first"]), int(query["last"])):
        text = text_of(number, int(query["size"]))
        await layer.group_send(query["room"], {"type": "chat.message", "text": text})
    return PlainTextResponse("ok")


app = ProtocolTypeRouter(
    {
        "http": Starlette(routes=[Route("/say", say)]),
        "websocket": URLRouter([path("chat/", Chat.as_asgi())]),
    }
)
