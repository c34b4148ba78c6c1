"""Who is here: ``self.presence`` of a consumer, and what ``layer.presence(group)`` returns.

A connection is present in a group as a person, so three tabs of one user are one person. A layer tracks the
members of the groups that ``CONFIG["presence"]`` names by itself, without a change of the consumers; others
call ``track``. A consumer with a handler ``presence_diff`` is told who comes and leaves.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from compat.engine.dispatching import blocking_dispatch
from compat.exceptions import InvalidChannelLayerError
from compat.layers import missing_layer
from compat.layers.presence.people import Presence
from compat.names import get_handler_name

if TYPE_CHECKING:
    from compat.consumer import AsyncConsumer

__all__ = ["ConsumerPresence", "HasPresence", "HasPresenceInThreads", "Late", "Presence"]

T = TypeVar("T")


class ConsumerPresence:
    """The presence of one connection. Its methods raise LayerUnavailable without Redis.

    A sync consumer calls them by ``async_to_sync``.
    """

    def __init__(self, consumer: AsyncConsumer) -> None:
        if consumer.channel_layer is None:
            raise InvalidChannelLayerError(missing_layer(consumer))
        self._layer = consumer.channel_layer
        if not hasattr(self._layer, "track"):
            raise NotImplementedError(
                f"self.presence needs a layer of compat; {type(self._layer).__qualname__} knows no people"
            )
        self._channel = consumer.channel_name
        hears = hasattr(consumer, "presence_diff")
        self._layer.attend(self._channel, consumer.scope, hears=hears)
        self._scope = consumer.scope

    async def track(self, group: str, key: Any = None, meta: Mapping[str, Any] | None = None) -> None:
        """Be present in ``group`` until the connection ends.

        ``key`` names the person: a user, or a str, int or UUID; None: the user of the scope. ``meta``: what
        is told of this connection, at most 1 KiB as JSON. Another call replaces both.
        """
        await self._layer.track(group, self._channel, self._scope.get("user") if key is None else key, meta)

    async def untrack(self, group: str) -> None:
        """Be absent from ``group``, at once."""
        await self._layer.untrack(group, self._channel)

    async def list(self, group: str) -> Presence:
        """Return who is in ``group``: see ``layer.presence()``."""
        found: Presence = await self._layer.presence(group)
        return found


def _handles(consumer: Any, message: Any) -> bool:
    name = get_handler_name(message)
    return name not in consumer._compat_no_handlers and hasattr(consumer, name)


class Late(functools.cached_property[T]):
    """A cached property of a consumer that can be read only during a connection."""


class HasPresence:
    """Base of consumers."""

    channel_name: str

    def _compat_set_channel(self, name: str) -> None:
        self.channel_name = name
        made = vars(self)  # of the channel of an earlier connection of the same object
        made.pop("channel_receive", None)
        if isinstance(made.get("presence"), ConsumerPresence):
            del made["presence"]

    async def _compat_heed(self, event: Any) -> None:
        """Handle a message of ``layer.send_to_user()``; ignore it if there is no handler for it."""
        consumer: Any = self
        if _handles(consumer, event["message"]):
            await consumer.dispatch(event["message"])

    compat_person: Any = _compat_heed

    @Late
    def presence(self) -> ConsumerPresence:
        """The presence of this connection in groups; InvalidChannelLayerError without a channel layer."""
        consumer: Any = self
        return ConsumerPresence(consumer)

    def __dir__(self) -> list[str]:
        """Leave out what is ``Late`` and has not been read: some code reads each name before a connection."""
        kind, read = type(self), vars(self)
        return [
            name
            for name in super().__dir__()
            if name in read or not isinstance(inspect.getattr_static(kind, name, None), Late)
        ]


class HasPresenceInThreads:
    """Base of sync consumers, beside ``HasPresence``."""

    def _compat_heed_in_thread(self, event: Any) -> None:
        consumer: Any = self
        if _handles(consumer, event["message"]):
            blocking_dispatch(consumer.dispatch)(event["message"])

    compat_person: Any = _compat_heed_in_thread
