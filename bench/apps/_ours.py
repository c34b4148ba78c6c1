"""Ours: the same consumers as the application of Channels, with its imports replaced."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any, ClassVar

from asgiref.sync import async_to_sync

from compat import metrics
from compat.settings import configure

REDIS = os.environ.get("BENCH_REDIS", "")


def trace(share: float) -> None:
    """Trace by OpenTelemetry, with an exporter that drops what it gets; ``share`` of the traces are kept."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    from compat import otel

    class Dropping(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider(sampler=ParentBasedTraceIdRatio(share))
    provider.add_span_processor(BatchSpanProcessor(Dropping()))
    otel.instrument(provider)


def build(
    backend: str,
    *,
    sync: bool = False,
    redis: bool = False,
    once: bool = False,
    each: bool = False,
    starlette: bool = False,
) -> Any:
    """Return the ASGI application with the layer ``backend``.

    ``once``: only the sender encodes a message. ``each``: the handler counts, so it runs for each member.
    ``starlette``: on Starlette's routes, not on a ``URLRouter``.
    """
    layer = {"BACKEND": backend, "CONFIG": {"hosts": [REDIS]} if redis else {}}
    configure(CHANNEL_LAYERS={"default": layer})

    from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
    from compat.patterns import re_path
    from compat.routing import ProtocolTypeRouter, URLRouter

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

    class OnceChat(AsyncChat):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            text = json.dumps({"message": json.loads(text_data or "")["message"]})
            await self.channel_layer.group_send(self.group, {"type": "websocket.send", "text": text})

    class EachChat(AsyncChat):
        heard = 0

        async def chat_message(self, event: dict[str, Any]) -> None:
            self.heard += 1
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

    class Dropped(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            dropped = metrics.snapshot()["layers"]["default"]["dropped"]
            await self.send(text_data=f"#{sum(dropped.values()):08d}")

    class Parked(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await self.send(text_data=f"#{metrics.resumable().get('parked', 0):08d}")

    class Slow(AsyncWebsocketConsumer):
        groups: ClassVar[list[str]] = ["slow"]

        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await self.channel_layer.group_send("slow", {"type": "slow.message"})

        async def slow_message(self, event: dict[str, Any]) -> None:
            await asyncio.sleep(0.01)

    chat, echo = (SyncChat, SyncEcho) if sync else (AsyncChat, AsyncEcho)
    chat = OnceChat if once else EachChat if each else chat
    others = {"echo": echo, "sleep": SyncSleep, "slow": Slow, "dropped": Dropped, "parked": Parked}
    if starlette:
        from starlette.applications import Starlette
        from starlette.routing import WebSocketRoute

        from compat.fastapi import lifespan

        own = [WebSocketRoute("/ws/chat/{room}/", chat.as_asgi())]
        own += [WebSocketRoute(f"/ws/{name}/", consumer.as_asgi()) for name, consumer in others.items()]
        return Starlette(routes=own, lifespan=lifespan)
    routes = [re_path(r"^ws/chat/(?P<room>\w+)/$", chat.as_asgi())]
    routes += [re_path(rf"^ws/{name}/$", consumer.as_asgi()) for name, consumer in others.items()]
    return ProtocolTypeRouter({"websocket": URLRouter(routes)})
