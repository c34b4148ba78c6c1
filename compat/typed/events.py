"""Events: typed messages to consumers, sent over the channel layer from any process.

``broadcast_event()`` and ``send_event()`` are class methods, which a script, a worker or an HTTP endpoint can
call without a connection or a server. An event is encoded once; each consumer that receives it calls its
``@event_handler``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Generic, NamedTuple, TypedDict

from asgiref.sync import async_to_sync
from pydantic_core import from_json

from compat.exceptions import InvalidChannelLayerError
from compat.layers import DEFAULT_CHANNEL_LAYER, channel_layers, get_channel_layer, missing_layer
from compat.layers.base import PushLayer
from compat.layers.history import History
from compat.redis.waiting import done
from compat.typed.conversation import Conversation, ReceiveEvent
from compat.typed.handlers import listed
from compat.typed.messages import BaseMessage
from compat.typed.wire import text_of

__all__ = [
    "EVENT",
    "FRAME",
    "LEFT_OUT",
    "SENDER",
    "TOPIC_EVENT",
    "EventPayload",
    "EventTarget",
    "GroupMessageEvent",
    "Published",
    "broadcast",
    "groups_of",
    "intercepted",
    "layer_under",
    "publish",
    "watching",
]

log = logging.getLogger("compat.typed")

FRAME = "websocket.send"
"""The type of a broadcast on the layer: an ASGI message that each member sends to its client."""
SENDER = {False: "from_channel", True: "camel_from_channel"}
"""The key of a broadcast's sender, by the form of its text (``camelize``), so that one look tells both."""
LEFT_OUT = " left out"
"""What follows the sender's channel, which has no space, if the broadcast leaves the sender out."""
EVENT = "typed.event"
"""The type of an event on the layer: {"type", "action", "text"}; the text is the event as JSON."""
TOPIC_EVENT = "topic.event"
"""The type of an event for a topic; it has the topic's name as well."""
ENCODED = (FRAME, EVENT, TOPIC_EVENT)


class GroupMessageEvent(TypedDict):
    """The argument of ``handle_group_message()``: a broadcast as JSON values."""

    message: dict[str, Any]
    exclude_current: bool
    from_channel: str


class EventPayload(TypedDict):
    """The argument of ``handle_channel_event()``."""

    event_data: dict[str, Any]


class Published(NamedTuple):
    """A published message or event, for watchers (tests)."""

    target: type
    kind: str
    """"event", "broadcast" or "topic"."""
    message: BaseMessage | Mapping[str, Any]
    to: tuple[str, ...]
    """The groups, the channel of ``send_event``, or the topic."""
    named: Collection[str] | str | None
    """What the caller has named as groups, the channel or the topic; None if nothing."""
    seq: int | None = None


Watcher = Callable[[Published], bool]
_watchers: list[Watcher] = []


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Call ``watcher`` for everything that is published in the block; if it returns True, it is not sent."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def intercepted(*fields: Any) -> bool:
    """Return True if a watcher prevents the sending."""
    if not _watchers:
        return False
    published = Published(*fields)
    return any([watcher(published) for watcher in tuple(_watchers)])


def layer_under(cls: type, alias: str | None) -> Any:
    """Return the layer that ``cls`` uses; raise InvalidChannelLayerError, which lists the configured
    layers.
    """
    if alias is None:
        raise InvalidChannelLayerError(
            f"{cls.__qualname__} has no channel layer to send over: its channel_layer_alias is None. Set "
            "that to a layer's alias"
        )
    layer = get_channel_layer(alias)
    if layer is None:
        configured = ", ".join(map(repr, channel_layers)) or "none"
        raise InvalidChannelLayerError(
            f"{cls.__qualname__} sends over channel layer {alias!r}, which is not configured. Configured: "
            f"{configured}. First call register_channel_layer({alias!r}, layer) (in a script, the function "
            "that sets up your layers), or set channel_layer_alias on the class"
        )
    return layer


def groups_of(consumer: Any) -> Any:
    """Return the layer of a running consumer; raise InvalidChannelLayerError if it has none."""
    if consumer.channel_layer is None:
        raise InvalidChannelLayerError(missing_layer(consumer))
    return consumer.channel_layer


async def publish(
    layer: Any, groups: Collection[str], message: dict[str, Any], exclude: str | None = None
) -> None:
    """Send ``message`` to each of ``groups``, in order, and not to the channel ``exclude``."""
    options: dict[str, Any] = {}
    takes_exclude: bool = isinstance(layer, PushLayer)
    if exclude is not None and takes_exclude:
        options["exclude"] = (exclude,)  # it holds in the group's history, too
    elif exclude is not None:
        message = {**message, "exclude": exclude}
    for group in groups:
        await layer.group_send(group, message, **options)


async def broadcast(
    layer: Any, groups: Collection[str], text: str, camelize: bool, sender: str, exclude: bool
) -> None:
    """Send the JSON ``text`` of a message to the clients in ``groups``, and with ``exclude`` not to the
    sender's.
    """
    frame = {"type": FRAME, "text": text, SENDER[camelize]: f"{sender}{LEFT_OUT}" if exclude else sender}
    await publish(layer, groups, frame, sender if exclude else None)


def _content(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a broadcast or an event as the JSON object that it is; other messages as they were sent."""
    text = message.get("text")
    if message.get("type") in ENCODED and isinstance(text, str):
        content: Any = from_json(text)
        return content if isinstance(content, dict) else {"content": content}
    return dict(message)


def blocking(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return ``call``, a coroutine function, as a function for code without an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return async_to_sync(call)
    raise RuntimeError(f"{name}_sync() would block the running event loop. Write: await {name}(...)")


class EventTarget(Conversation[ReceiveEvent], Generic[ReceiveEvent]):
    """The part of a consumer class that receives events."""

    groups: Any
    extra_groups: ClassVar[Collection[str]] = ()
    """Groups besides ``groups``; those of all base classes are added, so that a mixin can add its own."""
    channel_layer_alias: str | None = DEFAULT_CHANNEL_LAYER

    @classmethod
    def default_groups(cls) -> list[str]:
        """Return the groups that every connection joins: ``groups``, and all ``extra_groups``."""
        declared = listed(cls, "groups", getattr(cls, "groups", None), "groups")
        extra = [
            group
            for base in cls.__mro__
            for group in listed(base, "extra_groups", vars(base).get("extra_groups"), "groups")
        ]
        return list(dict.fromkeys((*declared, *extra)))

    @classmethod
    async def broadcast_event(cls, event: ReceiveEvent, groups: Collection[str] | str | None = None) -> None:
        """Send ``event`` to all consumers in ``groups`` (default: the groups that this class declares).

        Raises InvalidChannelLayerError if the layer is not configured, and the layer's error if it cannot be
        reached. A consumer whose inbox is full loses the event, which the layer counts.
        """
        if groups is None:
            to = cls.default_groups()
            if not to:
                log.warning(
                    "%s.broadcast_event(%s) was sent to no group: neither the class nor the call names one "
                    "(groups=[...])",
                    cls.__qualname__,
                    type(event).__name__,
                )
        else:
            to = [groups] if isinstance(groups, str) else list(groups)
        if not intercepted(cls, "event", event, tuple(to), groups):
            await publish(layer_under(cls, cls.channel_layer_alias), to, _event(cls, event))

    @classmethod
    def broadcast_event_sync(cls, event: ReceiveEvent, groups: Collection[str] | str | None = None) -> None:
        """Call ``broadcast_event`` from code without an event loop, and block. Raises RuntimeError in a
        loop.
        """
        blocking(cls.broadcast_event, f"{cls.__name__}.broadcast_event")(event, groups)

    @classmethod
    async def send_event(cls, event: ReceiveEvent, channel_name: str) -> None:
        """Send ``event`` to the consumer with this ``channel_name``; raises ChannelFull at capacity."""
        if not intercepted(cls, "event", event, (channel_name,), (channel_name,)):
            await layer_under(cls, cls.channel_layer_alias).send(channel_name, _event(cls, event))

    @classmethod
    def send_event_sync(cls, event: ReceiveEvent, channel_name: str) -> None:
        """Call ``send_event`` from code without an event loop, and block. Raises RuntimeError in a loop."""
        blocking(cls.send_event, f"{cls.__name__}.send_event")(event, channel_name)

    @classmethod
    async def history(cls, group: str, count: int | None = None, *, since: str | None = None) -> History:
        """Return the earlier broadcasts and events of ``group``, each as its JSON object with an ``id``.

        Arguments and errors are those of ``layer.history()``.
        """
        layer = layer_under(cls, cls.channel_layer_alias)
        found: History = await layer.history(group, count, since=since)
        return found.read_as(_content)

    @classmethod
    def history_sync(cls, group: str, count: int | None = None, *, since: str | None = None) -> History:
        """Call ``history`` from code without an event loop, and block. Raises RuntimeError in a loop."""
        found: History = blocking(cls.history, f"{cls.__name__}.history")(group, count, since=since)
        return found

    async def typed_event(self, event: Mapping[str, Any]) -> None:
        """Handle an event."""
        if self._compat_begun is not None:
            await done(self._compat_begun)
        await self._compat_handle_event(event["action"], event["text"])

    async def handle_channel_event(self, event_payload: EventPayload) -> None:
        """Handle an event from a process that runs Chanx."""
        if self._compat_begun is not None:
            await done(self._compat_begun)
        data = event_payload["event_data"]
        await self._compat_handle_event(str(data.get(self.discriminator_field)), text_of(data))


def _event(cls: type[EventTarget[Any]], event: BaseMessage) -> dict[str, Any]:
    if not isinstance(event, BaseMessage):
        raise TypeError(f"an event for {cls.__qualname__} must be a message, not {event!r}")
    return {"type": EVENT, **cls._compat_encoded(event)}
