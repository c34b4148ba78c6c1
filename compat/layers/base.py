"""The base class of channel layers: the interface, the limits, and the rules for names.

``BaseChannelLayer`` has the methods and attributes of ``channels.layers.BaseChannelLayer`` (Channels 4.3), so
that existing layers can subclass it. A layer that can push messages into a consumer's inbox also has the
methods of ``PushLayer``. From any other layer the engine reads with ``receive()``.
"""

from __future__ import annotations

import fnmatch
import logging
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from asgiref.sync import async_to_sync

from compat import names
from compat.engine.cursors import position_of
from compat.engine.events import Overflow
from compat.engine.inbox import Inbox
from compat.engine.register import Whose
from compat.layers.options import Capacities
from compat.metrics import LayerMetrics
from compat.tickets import MAX_GROUPS, write_for_page
from compat.types import Message

if TYPE_CHECKING:
    from compat.layers.history import History
    from compat.layers.presence.people import Presence

__all__ = [
    "BaseChannelLayer",
    "PushLayer",
    "SendResult",
    "require_group",
    "require_message",
]

log = logging.getLogger("compat.layers")

OVERFLOW_POLICIES = ("drop", "drop_oldest", "close")


class SendResult(NamedTuple):
    """The result of a ``group_send``."""

    delivered: int | None
    """How many members got the message; None if the layer cannot know."""
    dropped: int
    """How many members lost a message because they were at capacity, as far as the sender can tell."""


@runtime_checkable
class PushLayer(Protocol):
    """A layer that pushes messages into inboxes, so that the engine need not call ``receive()``."""

    def attach(self, channel: str, inbox: Inbox) -> None:
        """Push every message for ``channel`` into ``inbox`` from now on; called on the inbox's loop."""

    async def detach(self, channel: str) -> None:
        """Undo ``attach``, and remove the channel from every group that this instance added it to."""


def require_message(message: object) -> None:
    """Raise TypeError unless ``message`` is a dict."""
    if not isinstance(message, dict):
        raise TypeError(
            f"message is not a dict: a channel layer carries dicts with a 'type', not {message!r}"
        )


def require_group(layer: Any, group: object) -> None:
    """Raise TypeError if ``group`` is not a valid name on ``layer``, which may be of another library."""
    getattr(layer, "require_group", layer.require_valid_group_name)(group)


class BaseChannelLayer:
    """Base class of channel layers.

    ``expiry``: the seconds after which an unread message is discarded. ``capacity``: how many messages may
    wait in one channel. ``channel_capacity``: ``{pattern: capacity}`` for channels with another capacity; a
    pattern is a glob or a compiled regular expression, and the first match counts. ``on_overflow``: what a
    consumer's full inbox does ("drop", "drop_oldest", "close").
    """

    MAX_NAME_LENGTH = names.MAX_NAME_LENGTH
    channel_name_regex = names.CHANNEL
    group_name_regex = names.GROUP
    """A subclass may set these and ``MAX_NAME_LENGTH`` to have other rules for names."""
    invalid_name_error = names.INVALID_NAME
    extensions: Any = ()
    alias: str | None = None
    """The first alias under which the layer was registered, or None."""

    def __init__(
        self,
        expiry: float = 60,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
        on_overflow: Overflow = "drop",
    ) -> None:
        if on_overflow not in OVERFLOW_POLICIES:
            raise ValueError(
                f"on_overflow={on_overflow!r}: expected one of {', '.join(map(repr, OVERFLOW_POLICIES))}"
            )
        self.expiry: float = expiry
        self.capacity = capacity
        self.channel_capacity: Any = channel_capacity or {}
        self.on_overflow: Overflow = on_overflow
        self.metrics = LayerMetrics()

    def compile_capacities(self, channel_capacity: Capacities) -> list[tuple[re.Pattern[str], int]]:
        """Return ``{pattern: capacity}`` as a list of ``(compiled, capacity)``; strings are globs."""
        return [
            (key if hasattr(key, "match") else re.compile(fnmatch.translate(key)), value)
            for key, value in channel_capacity.items()
        ]

    def get_capacity(self, channel: str) -> int:
        """Return how many messages may wait in ``channel``."""
        if isinstance(self.channel_capacity, dict):  # as given: a subclass need not compile it
            self.channel_capacity = self.compile_capacities(self.channel_capacity)
        for pattern, capacity in self.channel_capacity:
            if pattern.match(channel):
                return int(capacity)
        return self.capacity

    def match_type_and_length(self, name: object) -> bool:
        """Return True for a string that is not empty and shorter than ``MAX_NAME_LENGTH``."""
        return isinstance(name, str) and 0 < len(name) < self.MAX_NAME_LENGTH

    def require_valid_channel_name(self, name: object, receive: bool = False) -> bool:
        """Return True, or raise TypeError; see ``compat.names.require_valid_channel_name``."""
        if self.channel_name_regex is names.CHANNEL and self.MAX_NAME_LENGTH == names.MAX_NAME_LENGTH:
            return names.require_valid_channel_name(name, receive)
        self._require("Channel", self.channel_name_regex, name)
        if receive and "!" in str(name) and not str(name).endswith("!"):
            raise TypeError(f"Specific channel names in receive() must end at the !, not {name!r}")
        return True

    def require_valid_group_name(self, name: object) -> bool:
        """Return True, or raise TypeError; see ``compat.names.require_valid_group_name``."""
        if self.group_name_regex is names.GROUP and self.MAX_NAME_LENGTH == names.MAX_NAME_LENGTH:
            return names.require_valid_group_name(name)
        return self._require("Group", self.group_name_regex, name)

    def require_group(self, group: object) -> None:
        """Raise TypeError if ``group`` is not a valid name on this layer."""
        self.require_valid_group_name(group)

    def _require(self, kind: str, rule: re.Pattern[str], name: object) -> bool:
        """Apply the rules of a subclass, which its ``invalid_name_error`` describes."""
        if isinstance(name, str) and len(name) < self.MAX_NAME_LENGTH and rule.match(name):
            return True
        raise TypeError(f"{self.invalid_name_error.format(kind)} Found {name!r}.")

    def valid_channel_names(self, names: Sequence[str], receive: bool = False) -> bool:
        """Check a list of names: return True, or raise TypeError, or AssertionError for an empty list."""
        if not names:
            raise AssertionError("valid_channel_names() needs at least one name")
        return all(self.require_valid_channel_name(name, receive=receive) for name in names)

    def valid_channel_name(self, channel_name: object, receive: bool = False) -> bool:
        """Deprecated by Channels: use ``require_valid_channel_name``."""
        warnings.warn(
            "valid_channel_name is deprecated, use require_valid_channel_name instead.",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.require_valid_channel_name(channel_name, receive)

    def valid_group_name(self, group_name: object) -> bool:
        """Deprecated by Channels: use ``require_valid_group_name``."""
        warnings.warn(
            "valid_group_name is deprecated, use require_valid_group_name instead.",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.require_valid_group_name(group_name)

    def non_local_name(self, name: str) -> str:
        """Return the part of a channel name up to and including "!"."""
        return names.non_local_name(name)

    async def send(self, channel: str, message: Message) -> Any:
        """Put ``message`` (a dict) into ``channel``; raise ChannelFull if the channel is at capacity."""
        raise NotImplementedError("send() should be implemented in a channel layer")

    async def receive(self, channel: str) -> Message:
        """Wait for the next message of ``channel`` and return it."""
        raise NotImplementedError("receive() should be implemented in a channel layer")

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Return the name of a new channel that this process can read."""
        raise NotImplementedError("new_channel() should be implemented in a channel layer")

    async def flush(self) -> None:
        """Delete all channels and groups."""
        raise NotImplementedError("flush() not implemented (flush extension)")

    async def group_add(self, group: str, channel: str) -> None:
        """Add ``channel`` to ``group``; adding it twice is the same as once."""
        raise NotImplementedError("group_add() not implemented (groups extension)")

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove ``channel`` from ``group``, if it is a member."""
        raise NotImplementedError("group_discard() not implemented (groups extension)")

    async def group_send(self, group: str, message: Message, exclude: Iterable[str] = ()) -> Any:
        """Send ``message`` to all members of ``group`` except ``exclude``; members at capacity lose it."""
        raise NotImplementedError("group_send() not implemented (groups extension)")

    if TYPE_CHECKING:  # each of our layers has these (``KeepsPresence``), others need not

        async def presence(self, group: str) -> Presence: ...

        async def track(
            self, group: str, channel: str, key: Any, meta: Mapping[str, Any] | None = None
        ) -> None: ...

        async def untrack(self, group: str, channel: str) -> None: ...

        async def send_to_user(self, key: Any, message: Message) -> Any: ...

        def presence_sync(self, group: str) -> Presence: ...

        def send_to_user_sync(self, key: Any, message: Message) -> Any: ...

    async def history(self, group: str, count: int | None = None, *, since: str | None = None) -> History:
        """Return earlier messages of ``group``, the oldest first.

        The newest ``count`` (None: all that are kept), or with ``since``, the ``id`` of an entry or the
        ``position`` of a result, the first ``count`` after that one; ``""``, the position of a group that has
        had no message, is before the first one. Raises ImproperlyConfigured if the group has no history,
        TypeError or ValueError for an invalid ``count`` or ``since``, and LayerUnavailable without Redis.
        """
        raise NotImplementedError("history() not implemented (history extension)")

    async def forget(self, group: str, id: str | None = None) -> int:
        """Delete the entry ``id`` of a group's history, or all of it; return how many entries there were.

        Members that join later do not get them. Raises like ``history``.
        """
        raise NotImplementedError("forget() not implemented (history extension)")

    async def position(self, group: str) -> str:
        """Return the position of a group's history, for ``since=`` and ``ticket``; raise like ``history``."""
        raise NotImplementedError("position() not implemented (history extension)")

    async def ticket(self, groups: Iterable[str] | Mapping[str, str | None], user: Any = None) -> str:
        """Return a ticket for a page: its first connection gets the messages of its groups from now on.

        ``groups``: those that the page's consumer joins, or a mapping to their positions, such as that of a
        ``history()`` which the page shows (None: now). ``user``: that of the request, or what the consumer's
        ``resume_key`` returns. Raises like ``history``, and ValueError for more than 32 groups.
        """
        if isinstance(groups, str):
            raise TypeError(f"ticket: groups is a list, such as [{groups!r}], not a str")
        given: Mapping[str, str | None] = groups if isinstance(groups, Mapping) else dict.fromkeys(groups)
        if len(given) > MAX_GROUPS:
            raise ValueError(f"a ticket is for at most {MAX_GROUPS} groups, not {len(given)}")
        places = {group: position_of(place or await self.position(group)) for group, place in given.items()}
        for group, place in given.items():
            if place == "":  # the page shows nothing, because there was nothing
                places[group] = places[group]._replace(offset=0)
        return write_for_page(user, places)

    def send_sync(self, channel: str, message: Message) -> Any:
        """Call ``send`` from code without an event loop, and block; RuntimeError if a loop runs here."""
        return async_to_sync(self.send)(channel, message)

    def group_send_sync(self, group: str, message: Message, exclude: Iterable[str] = ()) -> Any:
        """Call ``group_send`` from code without an event loop, and block."""
        return async_to_sync(self.group_send)(group, message, exclude)

    def group_add_sync(self, group: str, channel: str, **options: Any) -> None:
        """Call ``group_add`` from code without an event loop, and block."""
        async_to_sync(self.group_add)(group, channel, **options)

    def group_discard_sync(self, group: str, channel: str) -> None:
        """Call ``group_discard`` from code without an event loop, and block."""
        async_to_sync(self.group_discard)(group, channel)

    def history_sync(self, group: str, count: int | None = None, *, since: str | None = None) -> History:
        """Call ``history`` from code without an event loop, and block."""
        return async_to_sync(self.history)(group, count, since=since)

    def forget_sync(self, group: str, id: str | None = None) -> int:
        """Call ``forget`` from code without an event loop, and block."""
        return async_to_sync(self.forget)(group, id)

    def ticket_sync(self, groups: Iterable[str] | Mapping[str, str | None], user: Any = None) -> str:
        """Call ``ticket`` from code without an event loop, and block."""
        return async_to_sync(self.ticket)(groups, user)

    def name(self) -> str:
        """Return the layer's name for log lines and errors: its alias, else its class."""
        return f"channel layer {type(self).__name__ if self.alias is None else repr(self.alias)}"

    def registered(self, alias: str) -> None:
        """Record the alias under which the layer is registered; only the first one counts."""
        if self.alias is None:
            self.alias = alias

    def made_beside(self, layers: Mapping[str, Any]) -> None:
        """Log a warning if this layer and one of ``layers`` (by alias) conflict; called when it is made."""

    def count_drop(self, channel: str, reason: str, count: int = 1) -> None:
        """Count messages that ``channel`` has lost; log the first one, and then one line a minute."""
        whose = Whose(channel)
        self.metrics.drop(
            *(reason, count, log, "channel %s lost a message: %s%s"),
            *(channel, DROP_REASONS.get(reason, reason), whose),
            cause=channel,
            extra=whose.extra,
        )


DROP_REASONS = {
    "overflow": "it is at capacity (raise the layer's capacity, set CONFIG['on_overflow'], or read faster)",
    "expired": "it waited longer than the layer's expiry",
    "gone": "its consumer has ended",
}
