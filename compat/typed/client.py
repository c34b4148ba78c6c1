"""A client for typed consumers, made of the same classes: what is sent and received are their messages.

    async with connect(ChatConsumer, "ws://127.0.0.1:8000/ws/chat") as chat:
        await chat.send(ChatMessage(payload=ChatPayload(message="hello"))) note = await
        chat.receive(ChatNotificationMessage)      # a ChatNotificationMessage, type checkers know pong =
        await chat.request(PingMessage(), PongMessage)   # the answer to this very message

        async for message in chat:                              # until the connection is closed
            ...

For a code base that has the classes. ``channels-compat client asyncapi.json`` writes one for others.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pydantic_core import from_json

from compat.typed.consumer import AsyncJsonWebsocketConsumer
from compat.typed.conversation import Conversation
from compat.typed.envelope import ENVELOPE_VERSION, unstamped
from compat.typed.incoming import ClientError, Incoming
from compat.typed.messages import BaseMessage, ErrorMessage, SubscribedMessage, UnsubscribedMessage
from compat.typed.topics import Topic
from compat.typed.wire import text_of

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

__all__ = ["Client", "ClientError", "ConnectionLost", "MessageRefused", "TopicClient", "connect"]

M = TypeVar("M", bound=BaseMessage)


class ConnectionLost(ClientError):
    """The connection is closed; ``code`` and ``reason`` are the close frame's, 1006 where none came."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"the connection is closed with {code}" + (f" ({reason})" if reason else ""))
        self.code = code
        self.reason = reason


class MessageRefused(ClientError):
    """The server answered a request with an ``ErrorMessage``, whose payload is ``payload``."""

    def __init__(self, payload: Any) -> None:
        super().__init__(f"the server answered with an error: {payload}")
        self.payload = payload


class _Speaker:
    """The client's end of one conversation: that of the socket, or a topic's."""

    def __init__(self, conversation: type[Conversation[Any]]) -> None:
        self.conversation = conversation
        self._incoming = Incoming(conversation)
        self._inbox: deque[BaseMessage] = deque()
        self._news = asyncio.Event()
        self._ended: Exception | None = None

    async def send(self, message: BaseMessage) -> None:
        """Send ``message``; raises TypeError for one that there is no handler for, ConnectionLost."""
        await self._client()._send_frame(self._frame(message))

    async def request(self, message: BaseMessage, answer: type[M], *, timeout: float = 10.0) -> M:
        """Send ``message`` and wait, at most ``timeout`` seconds, for the answer to it.

        Whatever else comes meanwhile is kept for ``receive()``. Raises MessageRefused for an
        ``ErrorMessage``, TypeError for an answer of another type, asyncio.TimeoutError, ConnectionLost.
        """
        return await self._client()._exchange(self._frame(message), answer, timeout)

    @overload
    async def receive(self, *, timeout: float = ...) -> BaseMessage: ...

    @overload
    async def receive(self, kind: type[M], *, timeout: float = ...) -> M: ...

    async def receive(self, kind: type[BaseMessage] = BaseMessage, *, timeout: float = 10.0) -> BaseMessage:
        """The next message, or the next of the class ``kind``, others staying for later.

        Waits at most ``timeout`` seconds; raises asyncio.TimeoutError, and ConnectionLost once the connection
        is closed and all that came has been taken.
        """
        return await asyncio.wait_for(self._next(kind), timeout)

    async def __aiter__(self) -> AsyncIterator[BaseMessage]:
        """Messages as they come, until the connection is closed; raises ConnectionLost if abnormally."""
        while True:
            try:
                message = await self._next(BaseMessage)
            except ConnectionLost as lost:
                if lost.code in (1000, 1001):
                    return
                raise
            yield message

    def _client(self) -> Client:
        raise NotImplementedError

    def _frame(self, message: BaseMessage) -> dict[str, Any]:
        """``message`` as JSON values, once it is known that somebody is there to handle it."""
        handled = self.conversation._typed_messages.models
        if not isinstance(message, handled):
            names = ", ".join(model.__name__ for model in handled) or "nothing"
            raise TypeError(
                f"{self.conversation.__name__} has no handler for {type(message).__name__}; it takes: {names}"
            )
        return self._client().wire.dump(message)

    async def _next(self, kind: type[BaseMessage]) -> BaseMessage:
        while True:
            for index, message in enumerate(self._inbox):
                if isinstance(message, kind):
                    del self._inbox[index]
                    return message
            if self._ended is not None:
                raise self._ended
            self._news.clear()
            await self._news.wait()

    def _take(self, message: BaseMessage) -> None:
        self._inbox.append(message)
        self._news.set()

    def _end(self, error: Exception) -> None:
        self._ended = error
        self._news.set()


class Client(_Speaker):
    """An open connection to a consumer; made by ``connect()``."""

    def __init__(self, consumer: type[AsyncJsonWebsocketConsumer[Any]], connection: ClientConnection) -> None:
        super().__init__(consumer)
        self.wire = consumer.wire()
        self._connection = connection
        self._topics: dict[str, TopicClient] = {}
        self._refs = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[BaseMessage]] = {}

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection."""
        await self._connection.close(code, reason)

    async def subscribe(self, topic_class: type[Topic[Any]], **params: object) -> TopicClient:
        """Subscribe to a topic of the consumer's; ``params`` fill its pattern. Raises MessageRefused."""
        name = topic_class.pattern.format(**params)
        topic = self._topics.setdefault(name, TopicClient(self, topic_class, name))
        try:
            await self._exchange(topic._addressed({"action": "subscribe"}), SubscribedMessage)
        except ClientError:
            self._topics.pop(name, None)
            raise
        return topic

    def _client(self) -> Client:
        return self

    async def _send_frame(self, frame: Mapping[str, Any]) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await self._connection.send(text_of(frame))
        except ConnectionClosed:
            raise self._lost() from None

    async def _exchange(self, frame: Mapping[str, Any], answer: type[M], timeout: float = 10.0) -> M:
        ref = str(next(self._refs))
        future = self._waiting[ref] = asyncio.get_running_loop().create_future()
        try:
            await self._send_frame({**frame, "ref": ref})
            reply = await asyncio.wait_for(future, timeout)
        finally:
            del self._waiting[ref]
        if isinstance(reply, answer):
            return reply
        if isinstance(reply, ErrorMessage):
            raise MessageRefused(reply.payload)
        raise TypeError(f"asked for a {answer.__name__}, answered with a {type(reply).__name__}")

    async def _read(self) -> None:
        """Hand each frame to the request or the conversation that it is for, until there are no more."""
        error: Exception | None = None
        try:
            async for text in self._connection:
                self._dispatch(from_json(text))
        except Exception as failure:  # noqa: BLE001 - told to whoever receives
            error = failure if isinstance(failure, ClientError) else None
        finally:
            await self._connection.close()
            error = error or self._lost()
            for speaker in (self, *self._topics.values()):
                speaker._end(error)
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(error)

    def _dispatch(self, content: dict[str, Any]) -> None:
        topic = content.get("topic")
        speaker: _Speaker | None = self if topic is None else self._topics.get(str(topic))
        if speaker is None:
            return  # given up meanwhile
        message = speaker._incoming.message(unstamped(content))
        asked = self._waiting.get(str(content.get("ref")))
        if asked is not None and not asked.done():
            asked.set_result(message)
        else:
            speaker._take(message)

    def _lost(self) -> ConnectionLost:
        code = self._connection.close_code
        return ConnectionLost(1006 if code is None else code, self._connection.close_reason or "")


class TopicClient(_Speaker):
    """A topic that a connection has subscribed to; made by ``Client.subscribe()``."""

    def __init__(self, client: Client, topic_class: type[Topic[Any]], name: str) -> None:
        super().__init__(topic_class)
        self.topic = name
        self._on = client

    async def unsubscribe(self) -> None:
        """Give the topic up."""
        await self._on._exchange(self._addressed({"action": "unsubscribe"}), UnsubscribedMessage)
        self._on._topics.pop(self.topic, None)

    def _client(self) -> Client:
        return self._on

    def _frame(self, message: BaseMessage) -> dict[str, Any]:
        return self._addressed(super()._frame(message))

    def _addressed(self, frame: Mapping[str, Any]) -> dict[str, Any]:
        return {**frame, "version": ENVELOPE_VERSION, "topic": self.topic}


@contextlib.asynccontextmanager
async def connect(
    consumer: type[AsyncJsonWebsocketConsumer[Any]],
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    subprotocols: Sequence[str] | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    """An open ``Client`` for ``consumer`` at ``url``, closed at the end of the block.

    ``options`` go to ``websockets.connect()``. Raises what that raises when the handshake is refused, and
    ImportError where websockets is not installed.
    """
    try:
        from websockets.asyncio.client import connect as open_socket
    except ModuleNotFoundError as error:
        raise ImportError(
            "compat.typed.client needs websockets. Run: pip install 'channels-compat[server]'"
        ) from error
    options["additional_headers"] = dict(headers or {})
    options["subprotocols"] = subprotocols
    async with open_socket(url, **options) as connection:
        client = Client(consumer, connection)
        reading = asyncio.ensure_future(client._read())
        try:
            yield client
        finally:
            await connection.close()
            await asyncio.wait((reading,))
