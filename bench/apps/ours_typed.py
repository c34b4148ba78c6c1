"""Ours, typed: the consumer of the Chanx app."""

from __future__ import annotations

from typing import Literal

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from compat.settings import configure
from compat.typed import AsyncJsonWebsocketConsumer, BaseMessage, ws_handler

configure(CHANNEL_LAYERS={"default": {"BACKEND": "compat.layers.InMemoryChannelLayer"}})


class ChatMessage(BaseMessage):
    """What a client says."""

    action: Literal["chat"] = "chat"
    payload: None = None
    message: str


class ChatNotification(BaseMessage):
    """What everybody gets."""

    action: Literal["chat_notification"] = "chat_notification"
    payload: None = None
    message: str


class Chat(AsyncJsonWebsocketConsumer):
    """A room."""

    send_authentication_message = False

    async def post_authentication(self) -> None:
        """Join."""
        await self.join_group("chat_" + self.scope["path_params"]["room"])

    @ws_handler(output_type=ChatNotification)
    async def handle_chat(self, message: ChatMessage) -> None:
        """Pass it on."""
        await self.broadcast_message(ChatNotification(message=message.message))


app = Starlette(routes=[WebSocketRoute("/ws/chat/{room}/", Chat.as_asgi())])
