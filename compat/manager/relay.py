"""From the layer to the clients of one event loop: one member for a whole group, one encoding for all.

A group that clients are in has, on each server and loop, one channel in the layer. What arrives there is
encoded once and pushed to every client, so that a group of ten thousand costs the layer one member, and Redis
one message for each server. Besides, every connection has a channel of its own, its ``address``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from compat.engine.inbox import Event, Inbox
from compat.engine.subscription import Subscription
from compat.types import Message

__all__ = ["EXCEPT_KEY", "Doorman", "GroupRelay", "Relays", "attached"]

EXCEPT_KEY = "__except__"
"""Key of a message that the manager sends to a group: ids of connections that are not to get it."""


class Doorman(Inbox):
    """An inbox that keeps nothing: each message is handed on as it comes.

    A message may be in other inboxes too: who gets it here must not change it.
    """

    __slots__ = ("deliver",)

    def __init__(self, loop: asyncio.AbstractEventLoop, deliver: Callable[[Message], None]) -> None:
        super().__init__(loop)
        self.deliver = deliver

    def offer(self, event: Event) -> bool:
        self.deliver(event[1])
        return True

    def hand_on(self) -> None:
        """Deliver what came before this inbox was attached."""
        while (message := self.take()) is not None:
            self.deliver(message)


async def attached(layer: Any, channel: str, deliver: Callable[[Message], None]) -> Subscription:
    """Have every message for ``channel`` delivered from now on, until ``end()`` of what is returned."""
    inbox = Doorman(asyncio.get_running_loop(), deliver)
    subscription = Subscription(layer, channel, inbox)
    inbox.hand_on()
    return subscription


class GroupRelay:
    """One group on this loop: its members, and its channel in the layer while there are any."""

    __slots__ = ("lock", "members", "subscription")

    def __init__(self) -> None:
        self.members: dict[str, Any] = {}
        """Connections by id."""
        self.lock = asyncio.Lock()
        """Held while the channel is opened or closed; joining and leaving wait for each other."""
        self.subscription: Subscription | None = None


class Relays:
    """The groups that connections of one event loop are in.

    ``deliver(group, message, members)`` is called for each message that comes for a group; ``name_of(group)``
    is the group's name in the layer.
    """

    def __init__(
        self,
        layer: Any,
        name_of: Callable[[str], str],
        deliver: Callable[[str, Message, Mapping[str, Any]], None],
    ) -> None:
        self.layer = layer
        self.name_of = name_of
        self.deliver = deliver
        self.groups: dict[str, GroupRelay] = {}

    async def join(self, group: str, connection_id: str, connection: Any) -> None:
        """Add a connection; returns when what is sent to the group from now on reaches it."""
        relay = self.groups.get(group)
        if relay is None:
            relay = self.groups[group] = GroupRelay()
        relay.members[connection_id] = connection
        try:
            async with relay.lock:
                if relay.subscription is None and relay.members:
                    relay.subscription = await self._open(group, relay)
        except BaseException:
            relay.members.pop(connection_id, None)
            self._forget_if_empty(group, relay)
            raise

    async def leave(self, group: str, connection_id: str) -> None:
        """Take a connection out; nothing where it is not a member."""
        relay = self.groups.get(group)
        if relay is None or relay.members.pop(connection_id, None) is None or relay.members:
            return
        async with relay.lock:
            if relay.members:  # a member has joined meanwhile
                return
            subscription, relay.subscription = relay.subscription, None
            self._forget_if_empty(group, relay)
            if subscription is not None:
                if subscription.pump is not None:  # such a layer does not know what its channels have joined
                    await self.layer.group_discard(self.name_of(group), subscription.channel)
                await subscription.end()

    async def _open(self, group: str, relay: GroupRelay) -> Subscription:
        def deliver(message: Message) -> None:
            self.deliver(group, message, relay.members)

        channel = await self.layer.new_channel("ws.group")
        subscription = await attached(self.layer, channel, deliver)
        try:
            await self.layer.group_add(self.name_of(group), channel)
        except BaseException:
            await subscription.end()
            raise
        return subscription

    def _forget_if_empty(self, group: str, relay: GroupRelay) -> None:
        if not relay.members and relay.subscription is None and self.groups.get(group) is relay:
            del self.groups[group]
