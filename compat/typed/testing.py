"""Tests of typed consumers: a communicator for messages, and captures of broadcasts.

    async with WebsocketCommunicator(ChatConsumer.as_asgi(), "/ws/chat", consumer=ChatConsumer) as client:
        async with assert_broadcast(ChatConsumer, ChatNotificationMessage, groups=["lobby"]):
            await client.send_message(ChatMessage(payload=ChatPayload(message="hello")))
        assert await client.receive_message(ChatNotificationMessage) == ...

Most names are those of Chanx' test helpers. All times are in seconds.
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
from compat.typed.envelope import ENVELOPE_VERSION, enclosed
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
    """Lets a communicator send and receive the messages of ``consumer``; name it before the communicator's
    class.

    ``user``: the user for ``scope["user"]``, if the application has no authentication middleware. As a
    context manager, it connects, raises AssertionError if it is refused, and disconnects.
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
        """Connect; raise AssertionError if the connection is refused."""
        await super().__aenter__()
        return self

    # Sending

    async def send_message(
        self, message: BaseMessage, *, topic: str | None = None, ref: str | None = None
    ) -> None:
        """Send ``message``, optionally with a ``topic`` and a ``ref``.

        Raises ValueError for a ``ref`` if the message has a field of this name, which the consumer takes for
        no ref.
        """
        own = type(message)._compat_own_received
        if ref is not None and "ref" in own:
            raise ValueError(
                f"{type(message).__name__} has a field 'ref' of its own, so it can be sent with no ref"
            )
        stamp: dict[str, Any] = {} if topic is None else {"version": ENVELOPE_VERSION, "topic": topic}
        if ref is not None:
            stamp["ref"] = ref
        await self.send_json_to(enclosed(self._wire.dump(message), stamp, own))

    async def subscribe(self, topic: str, ref: str = "1") -> dict[str, Any]:
        """Subscribe to ``topic``; return the frame of the answer."""
        return await self._ask("subscribe", topic, ref)

    async def unsubscribe(self, topic: str, ref: str = "1") -> dict[str, Any]:
        """Unsubscribe from ``topic``; return the frame of the answer."""
        return await self._ask("unsubscribe", topic, ref)

    async def _ask(self, action: str, topic: str, ref: str) -> dict[str, Any]:
        await self.send_json_to({"version": ENVELOPE_VERSION, "topic": topic, "ref": ref, "action": action})
        answer: dict[str, Any] = await self.receive_json_from()
        return answer

    # Receiving

    async def receive_message(self, kind: type[M], timeout: float = 1) -> M:
        """Return the next message, which must be of the class ``kind``."""
        message = self._message(self.consumer, await self.receive_json_from(timeout))
        if not isinstance(message, kind):
            raise AssertionError(f"expected a {kind.__name__}, received {message!r}")
        return message

    async def receive_topic_message(self, topic_class: type[Topic[Any]], timeout: float = 1) -> BaseMessage:
        """Return the next message, which must be one of the topic's."""
        return self._message(topic_class, await self.receive_json_from(timeout))

    async def receive_all_json(self, timeout: float = 1) -> list[dict[str, Any]]:
        """Return all frames that arrive within ``timeout`` seconds, decoded."""
        return [frame async for frame in self._frames(timeout)]

    async def receive_all_messages(
        self, stop_action: str = "complete", timeout: float = 1
    ) -> list[BaseMessage]:
        """Return all messages until one with ``stop_action`` arrives, or ``timeout`` seconds have passed.

        Completion messages, which consumers send with ``send_completion = True``, are left out; without them,
        this waits the whole time.
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
        """Return the message of the authenticator, which must be the next."""
        return await self.receive_message(AuthenticationMessage, max_auth_time)

    async def assert_authenticated_status_ok(self, max_auth_time: float = 1) -> None:
        """Assert that the next message says that the client is authenticated."""
        message = await self.receive_message(AuthenticationMessage, max_auth_time)
        status = message.payload.status_code
        if status != 200:
            raise AssertionError(f"the authentication has the status {status}")

    async def assert_closed(self, code: int | None = None, timeout: float = 1) -> None:
        """Assert that the consumer closes the connection next, with ``code`` if given."""
        message = await self.receive_output(timeout)
        if message["type"] != "websocket.close":
            raise AssertionError(f"expected a close of the connection, received {message}")
        if code is not None and message.get("code") != code:
            raise AssertionError(f"expected the close code {code}, received {message.get('code')}")

    async def _frames(self, timeout: float) -> AsyncIterator[dict[str, Any]]:
        """Yield decoded frames until the time is up or the consumer has ended, without cancelling it."""
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
        return Incoming(conversation).message_in(frame)


class WebsocketCommunicator(WebsocketCommunicatorMixin, PlainCommunicator):
    """A connection to ``application`` that sends and receives the messages of ``consumer``."""


class DjangoWebsocketCommunicator(WebsocketCommunicator):
    """A ``WebsocketCommunicator`` with the times and the result of Chanx' ``wait_for_auth()``."""

    async def wait_for_auth(  # type: ignore[override]
        self,
        send_authentication_message: bool | None = None,
        max_auth_time: float = 0.5,
        after_auth_time: float = 0.1,
    ) -> AuthenticationMessage | None:
        """Return the message of the authenticator, after a wait of ``after_auth_time`` for further messages.

        If ``send_authentication_message`` is False (default: from ``config``), wait ``max_auth_time`` and
        return None.
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
    """An event that was broadcast; ``groups`` is what the caller has passed, None if nothing."""

    event: BaseMessage
    groups: Collection[str] | str | None


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
    """Yield a list of the events that ``consumer.broadcast_event()`` sends; with ``suppress`` they are not
    sent.
    """
    captured: list[CapturedBroadcastEvent] = []

    def watch(published: Published) -> bool:
        ours = published.kind == "event" and issubclass(published.target, consumer)
        if ours and isinstance(published.message, BaseMessage):
            captured.append(CapturedBroadcastEvent(published.message, published.named))
        return ours and suppress

    with watching(watch):
        yield captured


@contextlib.contextmanager
def capture_topic_broadcasts(
    topic_class: type[Topic[Any]], *, suppress: bool = True
) -> Iterator[list[CapturedTopicBroadcast]]:
    """Yield a list of the events that ``topic_class.broadcast()`` sends; with ``suppress`` they are not
    sent.
    """
    captured: list[CapturedTopicBroadcast] = []

    def watch(published: Published) -> bool:
        ours = published.kind == "topic" and issubclass(published.target, topic_class)
        if ours and isinstance(published.message, BaseMessage):
            captured.append(CapturedTopicBroadcast(published.to[0], published.message, published.seq))
        return ours and suppress

    with watching(watch):
        yield captured


class assert_broadcast:
    """Assert that a message is broadcast in the block: ``async with assert_broadcast(Consumer, expected)``.

    ``expected``: a message, compared by equality, or a class of messages. ``groups``: the exact groups.
    Broadcasts and events of the consumer count, or those of a topic class, whose only group is the topic's
    name. An ``async with`` block waits at most ``timeout`` seconds at its end; a plain ``with`` does not
    wait.
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
            raise AssertionError(
                f"{self.target.__name__} did not broadcast {wanted}{where}; it broadcast:\n{seen}"
            )

    async def __aenter__(self) -> assert_broadcast:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        deadline = time.monotonic() + self.timeout
        while kind is None and not self._found() and (left := deadline - time.monotonic()) > 0:
            self._news = asyncio.get_running_loop(), asyncio.Event()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news[1].wait(), left)
        self.__exit__(kind, error, trace)
