"""The runtime of a client: a connection for messages. It needs pydantic and websockets.

This module is copied into every generated client.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar, cast
from urllib.parse import quote, urlencode
from weakref import WeakValueDictionary

from pydantic import BaseModel, TypeAdapter, ValidationError
from typing_extensions import Self
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from compat.typed.codegen.errors import (
    ClientError,
    ConnectionLost,
    MessageRefused,
    UnknownMessage,
)

__all__ = ["Connection", "Speaker", "Topic"]

Out = TypeVar("Out")
In = TypeVar("In")
A = TypeVar("A")
T = TypeVar("T", bound="Topic[Any, Any]")

ENVELOPE = ("version", "topic", "ref", "seq")
VERSION = 1


class Speaker(Generic[Out, In]):
    """The client's side of a conversation: of a connection, or of a topic."""

    incoming: ClassVar[TypeAdapter[Any]]
    """The validator of the server's messages."""
    discriminator: str = "action"
    """The field that identifies a message."""
    own_names: Mapping[str, Collection[str]] = {}
    """By tag, the names of the envelope that a message has for fields of its own."""
    max_unread: int = 10_000
    """More messages that nobody receives end the connection with a ClientError."""

    def __init__(self) -> None:
        self._inbox: deque[In] = deque()
        self._news = asyncio.Event()
        self._ended: Exception | None = None

    async def send(self, message: Out) -> None:
        """Send ``message``; raises ConnectionLost."""
        await self._connection()._send(self._frame(message))

    async def request(
        self, message: Out, answer: type[A], *, timeout: float = 10.0
    ) -> A:
        """Send ``message``; return its answer, within ``timeout`` seconds.

        Other messages are kept for ``receive()``. Raises MessageRefused if the answer
        is an error, TypeError for an answer of another type, ClientError for a message
        with a field ``ref`` of its own, asyncio.TimeoutError, and ConnectionLost.
        """
        frame = self._frame(message)
        return await self._connection()._ask(self, frame, answer, timeout)

    async def receive(self, *, timeout: float = 10.0) -> In:
        """Return the next message, within ``timeout`` seconds.

        Raises asyncio.TimeoutError; ConnectionLost if the connection is closed and
        all messages have been read.
        """
        return cast(In, await asyncio.wait_for(self._next(object), timeout))

    async def receive_a(self, kind: type[A], *, timeout: float = 10.0) -> A:
        """Return the next message of the class ``kind``; keep others for later."""
        return cast(A, await asyncio.wait_for(self._next(kind), timeout))

    async def __aiter__(self) -> AsyncIterator[In]:
        """Yield messages until the connection is closed.

        Raises ConnectionLost if the close code is neither 1000 nor 1001.
        """
        while True:
            try:
                message = await self._next(object)
            except ConnectionLost as lost:
                if lost.code in (1000, 1001):
                    return
                raise
            yield cast(In, message)

    def encode(self, message: Out) -> dict[str, Any]:
        """Return ``message`` as the JSON object that is sent."""
        return cast(BaseModel, message).model_dump(mode="json", by_alias=True)

    def decode(self, content: dict[str, Any]) -> In:
        """Return the message of a JSON object; raises UnknownMessage."""
        try:
            return cast(In, self.incoming.validate_python(content))
        except ValidationError as error:
            why = f"{content} is not a known message: {error.errors()[0]['msg']}"
            raise UnknownMessage(why) from error

    def _own_names(self, content: Mapping[str, Any]) -> Collection[str]:
        return self.own_names.get(str(content.get(self.discriminator)), ())

    def _connection(self) -> Connection[Any, Any]:
        raise NotImplementedError

    def _frame(self, message: Out) -> dict[str, Any]:
        return self.encode(message)

    async def _next(self, kind: type) -> object:
        while True:
            for index, message in enumerate(self._inbox):
                if isinstance(message, kind):
                    del self._inbox[index]
                    return message
            if self._ended is not None:
                raise self._ended
            self._news.clear()
            await self._news.wait()

    def _take(self, message: In) -> None:
        if len(self._inbox) >= self.max_unread:
            raise ClientError(f"{self.max_unread} messages wait: call receive()")
        self._inbox.append(message)
        self._news.set()

    def _end(self, error: Exception | None) -> None:
        self._ended = error
        self._news.set()


class Topic(Speaker[Out, In]):
    """A topic that a connection has subscribed to, by ``Connection.subscribe()``."""

    pattern: ClassVar[str]

    def __init__(self, connection: Connection[Any, Any], name: str) -> None:
        super().__init__()
        self.name = name
        self._on = connection

    async def unsubscribe(self) -> None:
        """Unsubscribe from the topic."""
        frame = self._addressed({self.discriminator: "unsubscribe"})
        await self._on._ask(self, frame, object, 10.0)
        if self._on._topics.get(self.name) is self:  # else another object has it by now
            del self._on._topics[self.name]
        self._end(ConnectionLost(1000, "unsubscribed"))

    def _connection(self) -> Connection[Any, Any]:
        return self._on

    def _frame(self, message: Out) -> dict[str, Any]:
        return self._addressed(self.encode(message))

    def _addressed(self, frame: Mapping[str, Any]) -> dict[str, Any]:
        return {"version": VERSION, **frame, "topic": self.name}


class Connection(Speaker[Out, In]):
    """An open connection, from ``at()`` or ``connect()`` of a generated class."""

    address: ClassVar[str] = ""
    """The path, with its parameters in braces."""
    is_topic: bool = False
    """The connection is a subscription, so it receives every message."""

    def __init__(self, socket: ClientConnection) -> None:
        super().__init__()
        self._socket = socket
        self._topics: dict[str, Topic[Any, Any]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._refs = itertools.count(1)
        self._waiting: dict[str, tuple[Speaker[Any, Any], asyncio.Future[Any]]] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def at(
        cls,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] | None = None,
        **options: Any,
    ) -> AsyncIterator[Self]:
        """Yield a connection to ``url``; close it at the end of the block.

        ``options`` are passed to ``websockets.connect()``, which raises an error if
        the handshake is refused. The default Origin is that of the server's own pages.
        """
        offered = [Subprotocol(one) for one in subprotocols or ()] or None
        options["additional_headers"] = headers = dict(headers or {})
        if "origin" not in map(str.lower, headers):
            origin = re.sub(r"^ws(s?)://([^/?#]*@)?([^/?#]*).*", r"http\1://\3", url)
            options.setdefault("origin", origin)
        async with connect(url, subprotocols=offered, **options) as socket:
            connection = cls(socket)
            reading = asyncio.ensure_future(connection._read())
            try:
                yield connection
            finally:
                await socket.close()
                await asyncio.wait((reading,))

    @classmethod
    def url(
        cls,
        base_url: str,
        parameters: Mapping[str, object],
        query: Mapping[str, str] | None = None,
    ) -> str:
        """Return the URL on the server at ``base_url`` (``ws://host:port``)."""
        values = {key: quote(str(one), safe="") for key, one in parameters.items()}
        path = re.sub(r"\{([^{}]+)\}", lambda one: values[one[1]], cls.address)
        asked = f"?{urlencode(query)}" if query else ""
        return f"{base_url.rstrip('/')}/{path.lstrip('/')}{asked}"

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection."""
        await self._socket.close(code, reason)

    async def subscribe(self, topic_class: type[T], **parameters: object) -> T:
        """Subscribe to a topic; an earlier object for it ends. Raises MessageRefused."""
        name = topic_class.pattern.format(**parameters)
        return await self._subscribe(topic_class(self, name))

    async def _subscribe(self, topic: T) -> T:
        async with self._locks.setdefault(topic.name, asyncio.Lock()):
            before = self._topics.get(topic.name)  # the topic takes its place
            self._topics[topic.name] = topic
            frame = topic._addressed({topic.discriminator: "subscribe"})
            try:
                await self._ask(topic, frame, object, 10.0)
            except BaseException:
                del self._topics[topic.name]
                if before is not None and before._ended is None:  # it is subscribed
                    self._topics[topic.name] = before
                    before._inbox.extend(topic._inbox)
                    before._end(topic._ended)  # None unless the connection has ended
                raise
            if before is not None:
                before._end(ConnectionLost(1000, "subscribed again"))
        return topic

    def _connection(self) -> Connection[Any, Any]:
        return self

    async def _send(self, frame: Mapping[str, Any]) -> None:
        if self._ended is not None:
            raise self._ended
        try:
            await self._socket.send(json.dumps(frame, ensure_ascii=False))
        except ConnectionClosed:
            raise self._ended or self._lost() from None

    async def _ask(
        self,
        asked: Speaker[Any, Any],
        frame: Mapping[str, Any],
        answer: type[A],
        timeout: float,
    ) -> A:
        if "ref" in asked._own_names(frame):
            raise ClientError(
                f"{frame} has a field 'ref' of its own, so the server takes it for no "
                "request. Call send(), and receive_a() for the answer"
            )
        ref = str(next(self._refs))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[ref] = (asked, future)
        try:
            await self._send({**frame, "ref": ref})
            reply = await asyncio.wait_for(future, timeout)
        finally:
            del self._waiting[ref]
        if isinstance(reply, answer):
            return reply
        raise TypeError(f"expected a {answer.__name__} as answer, received {reply!r}")

    async def _read(self) -> None:
        """Pass each frame to the request or the conversation that it belongs to."""
        try:
            with contextlib.suppress(ConnectionClosed):
                async for text in self._socket:
                    self._dispatch(json.loads(text))
        except (ClientError, ValueError, RecursionError) as failure:
            self._finish(failure)  # the server may take long to close
        finally:
            await self._socket.close()
            if self._ended is None:
                self._finish(self._lost())

    def _finish(self, error: Exception) -> None:
        for speaker in (self, *self._topics.values()):
            speaker._end(error)
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(error)

    def _dispatch(self, content: Any) -> None:
        if not isinstance(content, dict):
            raise UnknownMessage(f"expected a JSON object, received {content!r}")
        topic = content.get("topic")
        speaker: Speaker[Any, Any] | None = self
        if topic is not None and not self.is_topic:
            speaker = self._topics.get(str(topic))
            if speaker is None and "topic" in self._own_names(content):
                speaker = self  # it is no topic's name
        own = () if speaker is None else speaker._own_names(content)
        ref = None if "ref" in own else content.get("ref")
        waiting = self._waiting.get(str(ref))
        message = {
            key: content[key] for key in content if key not in ENVELOPE or key in own
        }
        if waiting is not None and not waiting[1].done():
            self._answer(*waiting, message)
        elif speaker is not None:  # else the client has unsubscribed from the topic
            action = message.get(speaker.discriminator)
            late = speaker is not self and action in ("subscribed", "unsubscribed")
            if not late:  # the answer to a call that was given up
                speaker._take(speaker.decode(message))

    @staticmethod
    def _answer(
        asked: Speaker[Any, Any], future: asyncio.Future[Any], message: dict[str, Any]
    ) -> None:
        action = message.get(asked.discriminator)
        if action in ("subscribed", "unsubscribed"):
            future.set_result(message)
        elif action == "error":
            future.set_exception(MessageRefused(message.get("payload")))
        else:
            future.set_result(asked.decode(message))

    def _lost(self) -> ConnectionLost:
        code, reason = self._socket.close_code, self._socket.close_reason
        return ConnectionLost(1006 if code is None else code, reason or "")
