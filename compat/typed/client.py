"""A client for typed consumers, which uses their message classes.

    async with connect(ChatConsumer, "ws://127.0.0.1:8000/ws/chat") as chat:
        await chat.send(ChatMessage(payload=ChatPayload(message="hello")))
        note = await chat.receive_a(ChatNotificationMessage)    # type checkers know what it is
        pong = await chat.request(PingMessage(), PongMessage)   # the answer to this message

        async for message in chat:                              # until the connection is closed
            ...

It is for a program that can import the classes. ``channels-compat client asyncapi.json`` generates a client
for others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from compat.typed.codegen.errors import ClientError, ConnectionLost, MessageRefused, UnknownMessage
from compat.typed.consumer import AsyncJsonWebsocketConsumer
from compat.typed.conversation import Conversation
from compat.typed.incoming import Incoming
from compat.typed.messages import BaseMessage
from compat.typed.topics import Topic

try:
    from compat.typed.codegen.connection import Connection, Speaker
    from compat.typed.codegen.connection import Topic as SubscribedTopic
except ModuleNotFoundError as error:
    if error.name != "websockets":
        raise
    raise ImportError(
        "compat.typed.client needs websockets. Run: pip install 'channels-compat[server]'"
    ) from error

__all__ = [
    "Client",
    "ClientError",
    "ConnectionLost",
    "MessageRefused",
    "TopicClient",
    "UnknownMessage",
    "connect",
]


class _OfClasses(Speaker[BaseMessage, BaseMessage]):
    """Encodes and decodes messages as the class of a consumer or topic does."""

    _conversation: type[Conversation[Any]]
    _messages: Incoming

    def _speak(self, conversation: type[Conversation[Any]], *, is_topic: bool = False) -> None:
        self._conversation = conversation
        self._messages = Incoming(conversation)
        self.discriminator = conversation.discriminator_field
        received = conversation._compat_messages.own_names
        self.own_names = {
            tag: self._messages.own_names.get(tag, frozenset()) | received.get(tag, frozenset())
            for tag in (*self._messages.own_names, *received)
        }
        self.is_topic = is_topic

    def encode(self, message: BaseMessage) -> dict[str, Any]:
        """Encode ``message``; raise TypeError if the conversation has no handler for it."""
        handled = self._conversation._compat_messages.models
        if not isinstance(message, handled):
            names = ", ".join(model.__name__ for model in handled) or "nothing"
            raise TypeError(
                f"{self._conversation.__name__} has no handler for {type(message).__name__}; it handles: "
                f"{names}"
            )
        return self._messages.wire.dump(message)

    def decode(self, content: dict[str, Any]) -> BaseMessage:
        try:
            return self._messages.message(content)
        except ValueError as error:
            raise UnknownMessage(str(error)) from error


class TopicClient(_OfClasses, SubscribedTopic[BaseMessage, BaseMessage]):
    """A topic that a client has subscribed to."""


class Client(_OfClasses, Connection[BaseMessage, BaseMessage]):
    """An open connection to a consumer."""

    async def subscribe_to(self, topic_class: type[Topic[Any]], **params: object) -> TopicClient:
        """Subscribe to a topic of the consumer; ``params`` fill its pattern. Raises MessageRefused."""
        topic = TopicClient(self, topic_class.pattern.format(**params))
        topic._speak(topic_class)
        return await self._subscribe(topic)


@asynccontextmanager
async def connect(
    consumer: type[AsyncJsonWebsocketConsumer[Any]],
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    subprotocols: Sequence[str] | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    """Yield an open ``Client`` for ``consumer`` at ``url``; close it at the end of the block.

    ``options`` are passed to ``websockets.connect()``, which raises an error if the handshake is refused.
    """
    async with Client.at(url, headers=headers, subprotocols=subprotocols, **options) as client:
        client._speak(consumer.default_topic or consumer, is_topic=consumer.default_topic is not None)
        yield client
