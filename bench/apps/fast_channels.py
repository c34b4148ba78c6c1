"""fast-channels, in memory."""

from __future__ import annotations

import json
from typing import Any

from fast_channels.consumer.websocket import AsyncWebsocketConsumer
from fast_channels.layers import InMemoryChannelLayer, register_channel_layer
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute


def build(layer: Any) -> Starlette:
    """Register ``layer`` and return a Starlette application."""
    register_channel_layer("default", layer)

    class Chat(AsyncWebsocketConsumer):
        channel_layer_alias = "default"

        async def connect(self) -> None:
            self.group = "chat_" + self.scope["path_params"]["room"]
            await self.channel_layer.group_add(self.group, self.channel_name)
            await self.accept()

        async def disconnect(self, code: int) -> None:
            await self.channel_layer.group_discard(self.group, self.channel_name)

        async def receive(
            self, text_data: str | None = None, bytes_data: bytes | None = None, **kw: Any
        ) -> None:
            message = json.loads(text_data)["message"]
            await self.channel_layer.group_send(self.group, {"type": "chat.message", "message": message})

        async def chat_message(self, event: dict[str, Any]) -> None:
            await self.send(text_data=json.dumps({"message": event["message"]}))

    class Echo(AsyncWebsocketConsumer):
        channel_layer_alias = "default"

        async def receive(
            self, text_data: str | None = None, bytes_data: bytes | None = None, **kw: Any
        ) -> None:
            await self.send(text_data=text_data)

    return Starlette(
        routes=[
            WebSocketRoute("/ws/chat/{room}/", Chat.as_asgi()),
            WebSocketRoute("/ws/echo/", Echo.as_asgi()),
        ]
    )


app = build(InMemoryChannelLayer())
