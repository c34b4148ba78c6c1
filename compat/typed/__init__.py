"""Typed consumers: consumers whose messages are pydantic models, each with a handler method.

    class ChatMessage(BaseMessage):
        action: Literal["chat"] = "chat"
        payload: str

    class Chat(AsyncJsonWebsocketConsumer):
        groups = ["everybody"]

        @ws_handler
        async def handle_ping(self, message: PingMessage) -> PongMessage:
            return PongMessage()

        @ws_handler(output_type=ChatMessage)
        async def handle_chat(self, message: ChatMessage) -> None:
            await self.broadcast_message(message)

    app.router.add_websocket_route("/ws/chat", Chat.as_asgi())

The programming model and its names are those of Chanx; consumers and layers are those of ``compat``.
"""

from __future__ import annotations

from compat.advice.extras import require_pydantic

require_pydantic("compat.typed", "typed")

from compat.typed.authenticator import BaseAuthenticator, Credential, UserAuthenticator
from compat.typed.config import config
from compat.typed.consumer import AsyncJsonWebsocketConsumer
from compat.typed.conversation import ReceiveEvent
from compat.typed.decorators import channel, event_handler, ws_handler
from compat.typed.messages import (
    AuthenticationMessage,
    AuthenticationPayload,
    BaseMessage,
    CompleteMessage,
    ErrorMessage,
    EventCompleteMessage,
    GroupCompleteMessage,
    PingMessage,
    PongMessage,
    SubscribedMessage,
    SubscribeMessage,
    UnsubscribedMessage,
    UnsubscribeMessage,
)
from compat.typed.topics import Topic, TopicErrorReason

__all__ = [
    "AsyncJsonWebsocketConsumer",
    "AuthenticationMessage",
    "AuthenticationPayload",
    "BaseAuthenticator",
    "BaseMessage",
    "CompleteMessage",
    "Credential",
    "ErrorMessage",
    "EventCompleteMessage",
    "GroupCompleteMessage",
    "PingMessage",
    "PongMessage",
    "ReceiveEvent",
    "SubscribeMessage",
    "SubscribedMessage",
    "Topic",
    "TopicErrorReason",
    "UnsubscribeMessage",
    "UnsubscribedMessage",
    "UserAuthenticator",
    "channel",
    "config",
    "event_handler",
    "ws_handler",
]
