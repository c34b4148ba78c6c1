"""Django Channels: the chat of its tutorial, async or sync, on one channel layer."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any, ClassVar

import django
from asgiref.sync import async_to_sync
from django.conf import settings

REDIS = os.environ.get("BENCH_REDIS", "")


def build(backend: str, *, sync: bool = False, redis: bool = False) -> Any:
    """Return the ASGI application, with ``backend`` as its layer."""
    layer = {"BACKEND": backend, "CONFIG": {"hosts": [REDIS]} if redis else {}}
    settings.configure(
        SECRET_KEY="bench",
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["channels"],
        CHANNEL_LAYERS={"default": layer},
        DATABASES={},
    )
    django.setup()

    from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.urls import re_path

    class AsyncChat(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            self.group = "chat_" + self.scope["url_route"]["kwargs"]["room"]
            await self.channel_layer.group_add(self.group, self.channel_name)
            await self.accept()

        async def disconnect(self, code: int) -> None:
            await self.channel_layer.group_discard(self.group, self.channel_name)

        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            message = json.loads(text_data or "")["message"]
            await self.channel_layer.group_send(self.group, {"type": "chat.message", "message": message})

        async def chat_message(self, event: dict[str, Any]) -> None:
            await self.send(text_data=json.dumps({"message": event["message"]}))

    class SyncChat(WebsocketConsumer):
        def connect(self) -> None:
            self.group = "chat_" + self.scope["url_route"]["kwargs"]["room"]
            async_to_sync(self.channel_layer.group_add)(self.group, self.channel_name)
            self.accept()

        def disconnect(self, code: int) -> None:
            async_to_sync(self.channel_layer.group_discard)(self.group, self.channel_name)

        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            message = json.loads(text_data or "")["message"]
            async_to_sync(self.channel_layer.group_send)(
                self.group, {"type": "chat.message", "message": message}
            )

        def chat_message(self, event: dict[str, Any]) -> None:
            self.send(text_data=json.dumps({"message": event["message"]}))

    class AsyncEcho(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await self.send(text_data=text_data)

    class SyncEcho(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            self.send(text_data=text_data)

    class SyncSleep(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            time.sleep(0.05)
            self.send(text_data=text_data)

    class Slow(AsyncWebsocketConsumer):
        groups: ClassVar[list[str]] = ["slow"]

        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await self.channel_layer.group_send("slow", {"type": "slow.message"})

        async def slow_message(self, event: dict[str, Any]) -> None:
            await asyncio.sleep(0.01)

    chat, echo = (SyncChat, SyncEcho) if sync else (AsyncChat, AsyncEcho)
    routes = [
        re_path(r"^ws/chat/(?P<room>\w+)/$", chat.as_asgi()),
        re_path(r"^ws/echo/$", echo.as_asgi()),
        re_path(r"^ws/sleep/$", SyncSleep.as_asgi()),
        re_path(r"^ws/slow/$", Slow.as_asgi()),
    ]
    return ProtocolTypeRouter({"websocket": URLRouter(routes)})
