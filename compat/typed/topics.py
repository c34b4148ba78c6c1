"""Topics: several typed conversations on one connection, each with its own handlers and authorization.

    class RunTopic(Topic):
        pattern = "run:{run_id}"

        async def authorize(self, run_id: str) -> bool: ...

    class Console(AsyncJsonWebsocketConsumer):
        topics = [RunTopic, ChatTopic]

A client sends ``{"topic": "run:42", "action": "subscribe"}``, and receives ``subscribed`` or an error with a
reason. Then it names the topic in each message. Names and frames are those of Chanx 2.13.
"""

from __future__ import annotations

import enum
import hashlib
import inspect
import re
import sys
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from compat.layers import DEFAULT_CHANNEL_LAYER
from compat.names import group_name
from compat.typed.conversation import Conversation, ReceiveEvent
from compat.typed.envelope import current_seq, stamp
from compat.typed.events import TOPIC_EVENT, broadcast, intercepted, layer_under, publish
from compat.typed.messages import BaseMessage
from compat.typed.wire import Wire

if TYPE_CHECKING:
    from compat.typed.consumer import AsyncJsonWebsocketConsumer

__all__ = ["Topic", "TopicErrorReason"]

PARAMETER = re.compile(r"\{(\w+)\}")


class TopicErrorReason(str, enum.Enum):
    """The reason of an error about a topic: ``payload["reason"]``."""

    UNKNOWN_TOPIC = "unknown_topic"
    UNAUTHORIZED = "unauthorized"
    NOT_SUBSCRIBED = "not_subscribed"
    TOO_MANY = "too_many_subscriptions"

    def __str__(self) -> str:
        return self.value


class Topic(Conversation[ReceiveEvent], Generic[ReceiveEvent]):
    """A conversation that clients subscribe to, with an instance for each subscription of a connection.

    ``pattern`` is the name of the topic, with parameters in braces; a parameter matches everything up to the
    next colon, except control characters, and its value is in ``params``. ``consumer`` is the consumer of the
    connection, ``topic`` the whole name.
    """

    pattern: ClassVar[str]
    channel_layer_alias: ClassVar[str] = DEFAULT_CHANNEL_LAYER
    """The layer of ``broadcast()``; the consumers that serve the topic must use the same one."""
    param_names: ClassVar[tuple[str, ...]] = ()
    _regex: ClassVar[re.Pattern[str] | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._compat_sends_plainly = cls.send_json is Topic.send_json
        cls._compat_messages.refuse_own_topic(cls)
        pattern = cls.__dict__.get("pattern")
        if pattern is None:
            return
        cls.param_names = tuple(PARAMETER.findall(pattern))
        if len(set(cls.param_names)) != len(cls.param_names):
            raise TypeError(f"{cls.__qualname__}.pattern {pattern!r} uses a parameter twice")
        literal_and_name = PARAMETER.split(pattern)
        parts = (
            re.escape(part) if index % 2 == 0 else rf"(?P<{part}>[^:\x00-\x1f\x7f]+)"
            for index, part in enumerate(literal_and_name)
        )
        cls._regex = re.compile("".join(parts))

    def __init__(self, consumer: AsyncJsonWebsocketConsumer[Any], topic: str) -> None:
        self.consumer = consumer
        self.topic = topic
        self.params: dict[str, str] = self.parse(topic) or {}
        self.scope = consumer.scope
        self.channel_name = consumer.channel_name
        self.channel_layer = consumer.channel_layer
        self.camelize = consumer.camelize
        self._compat_settle_options()
        self._compat_wire = Wire(bool(consumer.camelize), self.discriminator_field)
        if consumer._compat_sees_topics:
            self._compat_sends_plainly = False

    @classmethod
    def parse(cls, topic: str) -> dict[str, str] | None:
        """Return the parameters in ``topic``, or None if it does not match the pattern."""
        if cls._regex is None:
            raise TypeError(f'{cls.__qualname__} has no pattern; write pattern = "things:{{thing_id}}"')
        match = cls._regex.fullmatch(topic)
        return match.groupdict() if match else None

    @classmethod
    def group_name(cls, topic: str) -> str:
        """Return the group of all subscribers of ``topic``; different topics have different groups.

        The module of the class is part of the name: classes with one name and one pattern may have different
        rules for who may subscribe.
        """
        mark = _mark(cls.__module__, cls.__qualname__)
        return group_name(topic, prefix=f"compat.topic.{cls.__name__}.{mark}.")

    if TYPE_CHECKING:
        # An override has the parameters of its pattern, which type checkers must accept.
        authorize: Callable[..., Coroutine[Any, Any, bool]]
        """Return True if this connection may subscribe; the arguments are the topic's parameters."""
    else:

        async def authorize(self, **params):
            """Return True if this connection may subscribe; ``params`` are those of the topic."""
            return True

    async def on_subscribe(self) -> None:
        """Override to send the client messages after it has subscribed."""

    async def on_unsubscribe(self) -> None:
        """Override to act when the client unsubscribes or disconnects, before the group is left."""

    @classmethod
    async def broadcast(cls, topic: str, event: BaseMessage, *, seq: int | None = None) -> None:
        """Send ``event`` to the handlers of all subscribers of ``topic``, from any process.

        ``seq`` is sent to the clients, so that they can detect lost events; leave it out if there are several
        senders.
        """
        if cls.parse(topic) is None:
            raise ValueError(
                f"{topic!r} is not a topic of {cls.__qualname__}, whose pattern is {cls.pattern!r}"
            )
        if intercepted(cls, "topic", event, (topic,), (topic,), seq):
            return
        message: dict[str, Any] = {"type": TOPIC_EVENT, "topic": topic, **cls._compat_encoded(event)}
        if seq is not None:
            message["seq"] = seq
        await publish(layer_under(cls, cls.channel_layer_alias), [cls.group_name(topic)], message)

    async def broadcast_message(
        self,
        message: BaseMessage,
        groups: Sequence[str] | None = None,
        *,
        exclude_current: bool = False,
    ) -> None:
        """Send ``message``, encoded once, to all clients that have subscribed to this topic.

        With ``groups`` it goes to the clients in these, without the topic, as from the consumer.
        """
        if groups is not None:
            await self.consumer.broadcast_message(message, groups, exclude_current=exclude_current)
            return
        if intercepted(type(self), "broadcast", message, (self.topic,), groups):
            return
        stamped = self._compat_wire.encode(message, {"version": 1, "topic": self.topic})
        to = [self.group_name(self.topic)]
        camelize = self._compat_wire.camelize
        await broadcast(self.channel_layer, to, stamped, camelize, self.channel_name, exclude_current)

    async def send_json(self, content: Any, close: bool | int = False) -> None:
        """Send JSON values for this topic."""
        await self.consumer.send_topic_json(self.topic, content)
        if close:
            await self.consumer.close(close)

    # By the consumer of the connection

    @property
    def url_params(self) -> Mapping[str, Any]:
        """The arguments from the path of the connection."""
        return self.consumer.url_params

    async def join_group(self, group: str, last: int | None = None) -> None:
        """Have the consumer join ``group``, until it leaves it or its connection ends."""
        await self.consumer.join_group(group, last)

    async def leave_group(self, group: str) -> None:
        """Have the consumer leave ``group``."""
        await self.consumer.leave_group(group)

    async def broadcast_event(self, event: BaseMessage, groups: Collection[str] | str | None = None) -> None:
        """Send ``event`` to the consumers in ``groups`` (default: those of this one's class).

        To send to subscribers of a topic, call ``broadcast()``.
        """
        await self.consumer.broadcast_event(event, groups)

    async def send_event(self, event: BaseMessage, channel_name: str) -> None:
        """Send ``event`` to the consumer with this ``channel_name``; raises ChannelFull at capacity."""
        await self.consumer.send_event(event, channel_name)

    @classmethod
    def as_consumer(cls) -> type[AsyncJsonWebsocketConsumer[Any]]:
        """Return a consumer class for a route of its own, whose path parameters are those of the topic.

        A client that connects is subscribed, and its messages need no envelope.
        """
        from compat.typed.consumer import AsyncJsonWebsocketConsumer

        body = {
            "topics": [cls],
            "default_topic": cls,
            "channel_layer_alias": cls.channel_layer_alias,
            "__doc__": inspect.getdoc(cls),
            "__module__": cls.__module__,
        }
        return type(f"{cls.__name__.removesuffix('Topic')}Consumer", (AsyncJsonWebsocketConsumer,), body)

    def _compat_described(self) -> str:
        return f"{type(self).__qualname__} {self.topic!r}"

    def _compat_stamp(self) -> dict[str, Any] | None:
        return stamp(self.topic)

    def _compat_sends_as_is(self) -> bool:
        return False  # the envelope must be added

    async def _compat_send_text(self, text: str, action: str) -> None:
        await self.consumer.send(text_data=text)
        await self._compat_sent(action)

    async def _take_event(self, event: Mapping[str, Any]) -> None:
        token = current_seq.set(event.get("seq"))
        try:
            await self._compat_handle_event(event["action"], event["text"])
        finally:
            current_seq.reset(token)


@lru_cache
def _mark(module: str, qualname: str) -> str:
    """Return eight characters that differ between classes of one name."""
    return hashlib.sha256(f"{_importable(module)}:{qualname}".encode()).hexdigest()[:8]


def _importable(module: str) -> str:
    """Return the name by which other processes import ``module``, also if this one runs it as its program."""
    if module not in ("__main__", "__mp_main__"):  # the second is that of multiprocessing's children
        return module
    main = sys.modules.get(module)
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    return spec.name if spec is not None else Path(file).stem if file else module
