"""Ours, typed consumers: the consumer of the Chanx application."""

from __future__ import annotations

from typing import Literal

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from compat.settings import configure
from compat.typed import AsyncJsonWebsocketConsumer, BaseMessage, ws_handler

configure(CHANNEL_LAYERS={"default": {"BACKEND": "compat.layers.InMemoryChannelLayer"}})


class ChatMessage(BaseMessage):
    """A message from a client."""

    action: Literal["chat"] = "chat"
    payload: None = None
    message: str


class ChatNotification(BaseMessage):
    """A message to everybody in the room."""

    action: Literal["chat_notification"] = "chat_notification"
    payload: None = None
    message: str


class Chat(AsyncJsonWebsocketConsumer):
    """A consumer in a room."""

    send_authentication_message = False

    async def post_authentication(self) -> None:
        """Join the room."""
        await self.join_group("chat_" + self.scope["path_params"]["room"])

    @ws_handler(output_type=ChatNotification)
    async def handle_chat(self, message: ChatMessage) -> None:
        """Send the message to the room."""
        await self.broadcast_message(ChatNotification(message=message.message))


app = Starlette(routes=[WebSocketRoute("/ws/chat/{room}/", Chat.as_asgi())])
