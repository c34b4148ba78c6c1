"""Events: typed messages to consumers from anywhere, over the channel layer.

``broadcast_event()`` and ``send_event()`` are class methods and need no connection, no server and no app in
the process: a script, a worker or an HTTP endpoint calls them. An event is validated when it is made and
encoded once; each consumer that gets it runs its ``@event_handler``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Generic, NamedTuple, TypedDict

from asgiref.sync import async_to_sync

from compat.dispatch import missing_layer
from compat.exceptions import InvalidChannelLayerError
from compat.layers import DEFAULT_CHANNEL_LAYER, channel_layers, get_channel_layer
from compat.typed.conversation import Conversation, ReceiveEvent
from compat.typed.handlers import listed
from compat.typed.messages import BaseMessage
from compat.typed.wire import text_of

__all__ = [
    "EVENT",
    "FRAME",
    "EventPayload",
    "EventTarget",
    "GroupMessageEvent",
    "Published",
    "groups_of",
    "intercepted",
    "layer_under",
    "publish",
    "watching",
]

log = logging.getLogger("compat.typed")

FRAME = "websocket.send"
"""The type of a broadcast on the layer: the ASGI message that each member sends on as it is."""
EVENT = "typed.event"
"""The type of an event on the layer: {"type", "action", "text"}, the text being the event as JSON."""


class GroupMessageEvent(TypedDict, total=False):
    """What ``handle_group_message()`` gets: a broadcast as JSON values."""

    message: dict[str, Any]
    exclude_current: bool
    from_channel: str


class EventPayload(TypedDict):
    """What ``handle_channel_event()`` gets."""

    event_data: dict[str, Any]


class Published(NamedTuple):
    """Something that went out, for those who watch (tests)."""

    target: type
    kind: str
    """"event", "broadcast" or "topic"."""
    message: BaseMessage | Mapping[str, Any]
    to: tuple[str, ...]
    """Groups; the channel of ``send_event``; the topic."""
    default: bool
    """True where the caller named no groups."""
    seq: int | None = None


Watcher = Callable[[Published], bool]
_watchers: list[Watcher] = []


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Show ``watcher`` all that is published while the block runs; what it returns True for is not sent."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def intercepted(*fields: Any) -> bool:
    """Whether somebody who watches keeps it from being sent."""
    if not _watchers:
        return False
    published = Published(*fields)
    return any([watcher(published) for watcher in tuple(_watchers)])


def layer_under(cls: type, alias: str) -> Any:
    """The layer that ``cls`` uses; raises InvalidChannelLayerError, naming those that there are."""
    layer = get_channel_layer(alias)
    if layer is None:
        configured = ", ".join(map(repr, channel_layers)) or "none"
        raise InvalidChannelLayerError(
            f"{cls.__qualname__} sends over channel layer {alias!r}, which is not configured. Configured: "
            f"{configured}. Call register_channel_layer({alias!r}, layer) first (the function that sets up "
            "your layers, in a script), or set channel_layer_alias on the class"
        )
    return layer


def groups_of(consumer: Any) -> Any:
    """The layer of a consumer that runs; raises InvalidChannelLayerError where it has none."""
    if consumer.channel_layer is None:
        raise InvalidChannelLayerError(missing_layer(consumer))
    return consumer.channel_layer


async def publish(layer: Any, groups: Collection[str], message: dict[str, Any]) -> None:
    """Send ``message`` to each of ``groups``, in order."""
    for group in groups:
        await layer.group_send(group, message)


def blocking(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    """``call``, a coroutine function, for code without an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return async_to_sync(call)
    raise RuntimeError(
        f"{name}_sync() was called in a running event loop, which it would block. Write: await {name}(...)"
    )


class EventTarget(Conversation[ReceiveEvent], Generic[ReceiveEvent]):
    """The part of a consumer class that events are sent to."""

    groups: Any
    extra_groups: ClassVar[Collection[str]] = ()
    """Groups beside ``groups``; those of all base classes count, so that a mixin can bring its own."""
    channel_layer_alias: str = DEFAULT_CHANNEL_LAYER

    @classmethod
    def default_groups(cls) -> list[str]:
        """The groups that every connection joins: ``groups``, and all ``extra_groups``."""
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

        Raises InvalidChannelLayerError when the class's layer is not configured, and what the layer raises
        when it cannot be reached. Whoever is full loses the event; the layer counts that.
        """
        if groups is None:
            to = cls.default_groups()
            if not to:
                log.warning(
                    "%s.broadcast_event(%s) reached nobody: the class declares no groups, and the call names "
                    "none (groups=[...])",
                    cls.__qualname__,
                    type(event).__name__,
                )
        else:
            to = [groups] if isinstance(groups, str) else list(groups)
        if not intercepted(cls, "event", event, tuple(to), groups is None):
            await publish(layer_under(cls, cls.channel_layer_alias), to, _event(cls, event))

    @classmethod
    def broadcast_event_sync(cls, event: ReceiveEvent, groups: Collection[str] | str | None = None) -> None:
        """``broadcast_event`` for code that has no event loop; blocks. Raises RuntimeError inside one."""
        blocking(cls.broadcast_event, f"{cls.__name__}.broadcast_event")(event, groups)

    @classmethod
    async def send_event(cls, event: ReceiveEvent, channel_name: str) -> None:
        """Send ``event`` to the one consumer whose ``channel_name`` it is; raises ChannelFull at capacity."""
        if not intercepted(cls, "event", event, (channel_name,), False):
            await layer_under(cls, cls.channel_layer_alias).send(channel_name, _event(cls, event))

    @classmethod
    def send_event_sync(cls, event: ReceiveEvent, channel_name: str) -> None:
        """``send_event`` for code that has no event loop; blocks. Raises RuntimeError inside one."""
        blocking(cls.send_event, f"{cls.__name__}.send_event")(event, channel_name)

    async def typed_event(self, event: Mapping[str, Any]) -> None:
        """An event has come."""
        await self._handle_event(event["action"], event["text"])

    async def handle_channel_event(self, event_payload: EventPayload) -> None:
        """An event has come from a process that runs Chanx."""
        data = event_payload["event_data"]
        await self._handle_event(str(data.get(self.discriminator_field)), text_of(data))


def _event(cls: type[EventTarget[Any]], event: BaseMessage) -> dict[str, Any]:
    if not isinstance(event, BaseMessage):
        raise TypeError(f"{cls.__qualname__} is sent events that are messages; found {event!r}")
    return {"type": EVENT, "action": event.action, "text": _encoded(cls, event)}


def _encoded(cls: type[EventTarget[Any]], event: BaseMessage) -> str:
    return cls.wire()._replace(camelize=False).encode(event)
