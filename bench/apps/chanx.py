"""Chanx on fast-channels, in memory: typed messages, without its logging and completion messages."""

from __future__ import annotations

import logging
from typing import Any, Literal

import structlog
from chanx.core.decorators import channel, ws_handler
from chanx.fast_channels.websocket import AsyncJsonWebsocketConsumer
from chanx.messages.base import BaseMessage
from fast_channels.layers import InMemoryChannelLayer, register_channel_layer
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
register_channel_layer("default", InMemoryChannelLayer(capacity=100_000))  # with its 100 it loses a tenth


class ChatMessage(BaseMessage):
    action: Literal["chat"] = "chat"
    payload: Any = None
    message: str


class ChatNotification(BaseMessage):
    action: Literal["chat_notification"] = "chat_notification"
    payload: Any = None
    message: str


@channel(name="chat")
class Chat(AsyncJsonWebsocketConsumer):
    channel_layer_alias = "default"
    send_completion = False
    send_message_immediately = True
    log_websocket_message = False
    send_authentication_message = False

    async def post_authentication(self) -> None:
        await self.join_group("chat_" + self.scope["path_params"]["room"])

    @ws_handler(output_type=ChatNotification)
    async def handle_chat(self, message: ChatMessage) -> None:
        await self.broadcast_message(ChatNotification(message=message.message))


@channel(name="echo")
class Echo(AsyncJsonWebsocketConsumer):
    channel_layer_alias = "default"
    send_completion = False
    log_websocket_message = False
    send_authentication_message = False

    @ws_handler(output_type=ChatNotification)
    async def handle_chat(self, message: ChatMessage) -> ChatNotification:
        return ChatNotification(message=message.message)


app = Starlette(
    routes=[WebSocketRoute("/ws/chat/{room}/", Chat.as_asgi()), WebSocketRoute("/ws/echo/", Echo.as_asgi())]
)
