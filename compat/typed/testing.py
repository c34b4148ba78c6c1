"""Testing typed consumers: a communicator that speaks in messages, and a look at what is broadcast.

    async with WebsocketCommunicator(ChatConsumer.as_asgi(), "/ws/chat", consumer=ChatConsumer) as client:
        async with assert_broadcast(ChatConsumer, ChatNotificationMessage, groups=["lobby"]):
            await client.send_message(ChatMessage(payload=ChatPayload(message="hello")))
        assert await client.receive_message(ChatNotificationMessage) == ...

Most names are those of Chanx' test helpers. All times are in seconds, and every wait has a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from compat.testing.websocket import WebsocketCommunicator as PlainCommunicator
from compat.typed.config import config
from compat.typed.consumer import AsyncJsonWebsocketConsumer
from compat.typed.conversation import COMPLETE_ACTIONS, Conversation
from compat.typed.envelope import ENVELOPE_VERSION, strip_envelope
from compat.typed.events import Published, watching
from compat.typed.incoming import Incoming
from compat.typed.messages import AuthenticationMessage, BaseMessage
from compat.typed.topics import Topic
from compat.types import ASGIApp

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "CapturedBroadcastEvent",
    "CapturedTopicBroadcast",
    "DjangoWebsocketCommunicator",
    "WebsocketCommunicator",
    "WebsocketCommunicatorMixin",
    "assert_broadcast",
    "capture_broadcast_events",
    "capture_topic_broadcasts",
]

M = TypeVar("M", bound=BaseMessage)


if TYPE_CHECKING:
    Communicator = PlainCommunicator
else:
    Communicator = object


class WebsocketCommunicatorMixin(Communicator):
    """What makes a communicator speak in the messages of ``consumer``: a base to name before its class.

    ``user``: who the client is, as an authentication middleware would have put it into ``scope["user"]``; for
    an application that has no such middleware of its own. As a context manager it connects, which must
    succeed, and disconnects.
    """

    def __init__(
        self,
        application: ASGIApp,
        path: str,
        headers: Iterable[tuple[bytes, bytes]] | None = None,
        subprotocols: Iterable[str] | None = None,
        spec_version: str | None = None,
        *,
        consumer: type[AsyncJsonWebsocketConsumer[Any]],
        user: Any = None,
    ) -> None:
        super().__init__(application, path, headers, subprotocols, spec_version)
        self.consumer = consumer
        if user is not None:
            self.scope["user"] = user
        self._wire = consumer.wire()

    async def __aenter__(self) -> Self:
        """Open the connection; AssertionError where it is refused."""
        await super().__aenter__()
        return self

    # To the consumer

    async def send_message(
        self, message: BaseMessage, *, topic: str | None = None, ref: str | None = None
    ) -> None:
        """Send ``message``, to a ``topic`` and with a ``ref`` if you like."""
        frame = self._wire.dump(message)
        if topic is not None:
            frame |= {"version": ENVELOPE_VERSION, "topic": topic}
        if ref is not None:
            frame["ref"] = ref
        await self.send_json_to(frame)

    async def subscribe(self, topic: str, ref: str = "1") -> dict[str, Any]:
        """Subscribe to ``topic``; returns the frame that answers."""
        return await self._ask("subscribe", topic, ref)

    async def unsubscribe(self, topic: str, ref: str = "1") -> dict[str, Any]:
        """Give ``topic`` up; returns the frame that answers."""
        return await self._ask("unsubscribe", topic, ref)

    async def _ask(self, action: str, topic: str, ref: str) -> dict[str, Any]:
        await self.send_json_to({"version": ENVELOPE_VERSION, "topic": topic, "ref": ref, "action": action})
        answer: dict[str, Any] = await self.receive_json_from()
        return answer

    # From it

    async def receive_message(self, kind: type[M], timeout: float = 1) -> M:
        """The next message, which must be a ``kind``."""
        message = self._message(self.consumer, await self.receive_json_from(timeout))
        if not isinstance(message, kind):
            raise AssertionError(f"expected a {kind.__name__}, received {message!r}")
        return message

    async def receive_topic_message(self, topic_class: type[Topic[Any]], timeout: float = 1) -> BaseMessage:
        """The next message, which must be one of the topic's."""
        return self._message(topic_class, await self.receive_json_from(timeout))

    async def receive_all_json(self, timeout: float = 1) -> list[dict[str, Any]]:
        """All that comes within ``timeout`` seconds, decoded."""
        return [frame async for frame in self._frames(timeout)]

    async def receive_all_messages(
        self, stop_action: str = "complete", timeout: float = 1
    ) -> list[BaseMessage]:
        """All messages until one with ``stop_action`` comes, at most ``timeout`` seconds.

        Completion messages are left out; consumers send them with ``send_completion = True``, and without
        them this takes all of the time.
        """
        messages = []
        async for frame in self._frames(timeout):
            action = frame.get(self._wire.discriminator)
            if action not in COMPLETE_ACTIONS:
                messages.append(self._message(self.consumer, frame))
            if action == stop_action:
                break
        return messages

    async def wait_for_auth(self, max_auth_time: float = 1) -> AuthenticationMessage:
        """The message that the authenticator sends first."""
        return await self.receive_message(AuthenticationMessage, max_auth_time)

    async def assert_authenticated_status_ok(self, max_auth_time: float = 1) -> None:
        """The client must be told that it is authenticated."""
        message = await self.receive_message(AuthenticationMessage, max_auth_time)
        status = message.payload.status_code
        if status != 200:
            raise AssertionError(f"authentication ended with status {status}")

    async def assert_closed(self, code: int | None = None, timeout: float = 1) -> None:
        """The consumer must close next, with ``code`` where one is given."""
        message = await self.receive_output(timeout)
        if message["type"] != "websocket.close":
            raise AssertionError(f"expected the connection to be closed, received {message}")
        if code is not None and message.get("code") != code:
            raise AssertionError(f"expected to be closed with {code}, was closed with {message.get('code')}")

    async def _frames(self, timeout: float) -> AsyncIterator[dict[str, Any]]:
        """Decoded frames until the time is up or the consumer has ended; it is not cancelled by the wait."""
        deadline = time.monotonic() + timeout
        application = self.future
        while (left := deadline - time.monotonic()) > 0:
            taking = asyncio.ensure_future(self.output_queue.get())
            await asyncio.wait((taking, application), timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not taking.done():
                taking.cancel()
                if application.done():
                    application.result()
                return
            frame = taking.result()
            if frame["type"] != "websocket.send":
                return
            yield self._decoded(frame)

    @staticmethod
    def _decoded(frame: Mapping[str, Any]) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(frame["text"])
        return decoded

    @staticmethod
    def _message(conversation: type[Conversation[Any]], frame: dict[str, Any]) -> BaseMessage:
        return Incoming(conversation).message(strip_envelope(frame))


class WebsocketCommunicator(WebsocketCommunicatorMixin, PlainCommunicator):
    """A connection to ``application`` that sends and receives the messages of ``consumer``."""


class DjangoWebsocketCommunicator(WebsocketCommunicator):
    """As ``WebsocketCommunicator``, with the times and the result of ``wait_for_auth()`` that Chanx has."""

    async def wait_for_auth(  # type: ignore[override]
        self,
        send_authentication_message: bool | None = None,
        max_auth_time: float = 0.5,
        after_auth_time: float = 0.1,
    ) -> AuthenticationMessage | None:
        """The message that the authenticator sends first, and ``after_auth_time`` for what comes after it.

        Where ``send_authentication_message`` is False (default: as ``config`` has it) there is none: then
        this waits ``max_auth_time`` and returns None.
        """
        if send_authentication_message is None:
            send_authentication_message = config.send_authentication_message
        if not send_authentication_message:
            await asyncio.sleep(max_auth_time)
            return None
        status = await super().wait_for_auth(max_auth_time)
        await asyncio.sleep(after_auth_time)
        return status


@dataclass
class CapturedBroadcastEvent:
    """An event that was broadcast: ``groups`` as the caller gave them, None where it did not."""

    event: BaseMessage
    groups: Collection[str] | None


@dataclass
class CapturedTopicBroadcast:
    """An event that was broadcast to a topic."""

    topic: str
    event: BaseMessage
    seq: int | None


@contextlib.contextmanager
def capture_broadcast_events(
    consumer: type[AsyncJsonWebsocketConsumer[Any]], suppress: bool = True
) -> Iterator[list[CapturedBroadcastEvent]]:
    """Collect what ``consumer.broadcast_event()`` is asked to send; with ``suppress`` it is not sent."""
    captured: list[CapturedBroadcastEvent] = []

    def watch(published: Published) -> bool:
        ours = published.kind == "event" and issubclass(published.target, consumer)
        if ours and isinstance(published.message, BaseMessage):
            groups = None if published.default else published.to
            captured.append(CapturedBroadcastEvent(published.message, groups))
        return ours and suppress

    with watching(watch):
        yield captured


@contextlib.contextmanager
def capture_topic_broadcasts(
    topic_class: type[Topic[Any]], *, suppress: bool = True
) -> Iterator[list[CapturedTopicBroadcast]]:
    """Collect what ``topic_class.broadcast()`` is asked to send; with ``suppress`` it is not sent."""
    captured: list[CapturedTopicBroadcast] = []

    def watch(published: Published) -> bool:
        ours = published.kind == "topic" and issubclass(published.target, topic_class)
        if ours and isinstance(published.message, BaseMessage):
            captured.append(CapturedTopicBroadcast(published.to[0], published.message, published.seq))
        return ours and suppress

    with watching(watch):
        yield captured


class assert_broadcast:
    """``async with assert_broadcast(Consumer, expected)``: it must be published within the block.

    ``expected``: a message, which must be equal, or a class of messages. ``groups``: all groups that it must
    go to. Broadcasts and events of the consumer count, or of a topic class, whose name is its only group. At
    the end of an ``async with`` block it is waited for, at most ``timeout`` seconds; a plain ``with`` looks
    once.
    """

    def __init__(
        self,
        target: type[Conversation[Any]],
        expected: BaseMessage | type[BaseMessage],
        *,
        groups: Collection[str] | None = None,
        timeout: float = 1,
    ) -> None:
        self.target = target
        self.expected = expected
        self.groups = None if groups is None else set(groups)
        self.timeout = timeout
        self.published: list[Published] = []
        self._news: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._watching = watching(self._watch)

    def _watch(self, published: Published) -> bool:
        if issubclass(published.target, self.target):
            self.published.append(published)
            if self._news is not None:
                loop, news = self._news
                loop.call_soon_threadsafe(news.set)
        return False

    def _found(self) -> bool:
        return any(map(self._matches, self.published))

    def _matches(self, published: Published) -> bool:
        if self.groups is not None and set(published.to) != self.groups:
            return False
        if isinstance(self.expected, type):
            return isinstance(published.message, self.expected)
        return published.message == self.expected

    def __enter__(self) -> assert_broadcast:
        self._watching.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._watching.__exit__(None, None, None)
        if kind is None and not self._found():
            wanted = self.expected.__name__ if isinstance(self.expected, type) else repr(self.expected)
            where = "" if self.groups is None else f" to {sorted(self.groups)}"
            seen = "\n".join(f"  {one.message!r} to {list(one.to)}" for one in self.published) or "  nothing"
            raise AssertionError(f"{self.target.__name__} did not broadcast {wanted}{where}; it did:\n{seen}")

    async def __aenter__(self) -> assert_broadcast:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        deadline = time.monotonic() + self.timeout
        while kind is None and not self._found() and (left := deadline - time.monotonic()) > 0:
            self._news = asyncio.get_running_loop(), asyncio.Event()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news[1].wait(), left)
        self.__exit__(kind, error, trace)
