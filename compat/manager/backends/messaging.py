"""Messages between servers: a backend's publish, receive and groups, on any channel layer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from redis.exceptions import RedisError

from compat.engine.refusal import shown
from compat.exceptions import ChannelFull, ImproperlyConfigured, LayerUnavailable
from compat.layers.base import PushLayer
from compat.layers.history import History
from compat.layers.presence import Presence, PresenceRule
from compat.manager.exceptions import BackendError, ValidationError
from compat.manager.relay import EXCEPT_KEY
from compat.names import RESERVED, group_name
from compat.types import Message

__all__ = ["BROADCAST_GROUP", "Messaging", "backend_errors", "name_in_layer", "require_group"]


BROADCAST_GROUP = "__broadcast__"
"""The layer's group with every connection of every manager."""


def name_in_layer(group: str) -> str:
    """Return a group's name in the channel layer: the name itself if the layer allows it, else a safe name.

    So ``room`` is the same group for consumers, and names such as "room:general" or "café" work too.
    """
    return group_name(require_group(group))


def require_group(group: str) -> str:
    """Return ``group`` if it is a valid name for a group of the application.

    Raises TypeError if it is not a non-empty string, and ValidationError for the reserved prefixes of the
    library's own groups, because names of groups often contain a client's data.
    """
    if not isinstance(group, str) or not group:
        raise TypeError(f"a group's name is a non-empty string, not {group!r}")
    if group.startswith(RESERVED):
        raise ValidationError(
            f"group name {shown(group, 60)}: names that begin with {' or '.join(map(repr, RESERVED))} are "
            "kept for groups of the library itself: broadcast() reaches everybody, send_to_user() and "
            "close_user() a user. Give your groups a prefix of their own, such as 'room.'",
            error_code="RESERVED_NAME",
        )
    return group


@contextlib.contextmanager
def backend_errors(doing: str) -> Iterator[None]:
    """Turn errors of layers and Redis into BackendError, with the original as its cause."""
    try:
        yield
    except ChannelFull as error:
        raise BackendError(
            f"{doing}: channel {error} is full: whoever reads it does not keep up",
            error_code="CHANNEL_FULL",
            retryable=True,
            cause=error,
        ) from error
    except (LayerUnavailable, RedisError, OSError) as error:
        raise BackendError(f"{doing}: {error}", retryable=True, cause=error) from error


class Messaging:
    """The methods of a backend that send and receive; ``layer`` is any layer with Channels' interface."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    async def new_channel(self, prefix: str = "channel") -> str:
        """Return the name of a new channel."""
        with backend_errors("making a channel"):
            channel: str = await self.layer.new_channel(prefix)
            return channel

    async def publish(self, channel: str, message: dict[str, Any]) -> None:
        """Send ``message`` to a channel; raise BackendError if that fails."""
        with backend_errors(f"sending to {channel}"):
            await self.layer.send(channel, message)

    async def subscribe(self, channel: str) -> None:
        """Do nothing: layers keep messages for a channel before ``receive(channel)`` is called."""

    async def unsubscribe(self, channel: str) -> None:
        """Give up a channel, and drop its waiting messages."""
        if isinstance(self.layer, PushLayer):
            with contextlib.suppress(AssertionError):  # the queue layer: not a channel of this process
                await self.layer.detach(channel)

    async def receive(self, channel: str, timeout: float | None = None) -> dict[str, Any] | None:
        """Return the next message of a channel without a connection; None after ``timeout`` seconds."""
        with backend_errors(f"receiving from {channel}"):
            try:
                message: dict[str, Any] = await asyncio.wait_for(self.layer.receive(channel), timeout)
            except asyncio.TimeoutError:
                return None
        return message

    async def group_send(
        self, group: str, message: dict[str, Any], exclude_channel: str | Iterable[str] | None = None
    ) -> None:
        """Send ``message`` to every member of ``group`` on all servers, except ``exclude_channel``.

        Consumers get the message as an event, clients of a manager get it as a frame. With exclusions the
        message has an additional key ``__except__``, which clients do not see.
        """
        await self._to_group(name_in_layer(group), group, message, exclude_channel)

    async def history(self, group: str, count: int | None, since: str | None) -> History:
        """Return what ``layer.history()`` does for ``group``, each message as it was sent."""
        if not hasattr(self.layer, "history"):
            raise ImproperlyConfigured(
                f"group {shown(group, 60)} has no history: {type(self.layer).__qualname__} keeps none. Use a "
                'layer of compat with CONFIG["history"]'
            )
        with backend_errors(f"reading the history of group {shown(group, 60)}"):
            found: History = await self.layer.history(name_in_layer(group), count, since=since)
        return found.read_as(_as_sent)

    def presence_rule(self, group: str) -> PresenceRule | None:
        """Return how the layer tracks who is in ``group``; None if it does not."""
        rules: Any = getattr(self.layer, "presence_rules", None)
        found: PresenceRule | None = rules.of(name_in_layer(group)) if rules else None
        return found

    async def presence(self, group: str) -> Presence:
        """Return what ``layer.presence()`` does for ``group``."""
        with backend_errors(f"reading who is in group {shown(group, 60)}"):
            found: Presence = await self.layer.presence(name_in_layer(group))
        return found

    async def broadcast(self, message: dict[str, Any]) -> None:
        """Send ``message`` to every connection of every manager, on all servers."""
        await self._to_group(BROADCAST_GROUP, BROADCAST_GROUP, message, None)

    async def _to_group(
        self,
        name: str,
        group: str,
        message: dict[str, Any],
        exclude_channel: str | Iterable[str] | None,
    ) -> None:
        with backend_errors(f"sending to group {shown(group, 60)}"):
            if exclude_channel is None:
                await self.layer.group_send(name, message)
                return
            excluded = [exclude_channel] if isinstance(exclude_channel, str) else list(exclude_channel)
            message = {**message, EXCEPT_KEY: excluded}
            if isinstance(self.layer, PushLayer):
                await self.layer.group_send(name, message, exclude=excluded)  # type: ignore[attr-defined]
            else:
                await self.layer.group_send(name, message)


def _as_sent(message: Message) -> Message:
    return {key: value for key, value in message.items() if key != EXCEPT_KEY}
