"""Pass the layer's messages to the clients of one event loop: one channel for a group, one encoding for all.

On each server and event loop, a group of clients has one channel in the layer. A message that arrives there
is encoded once and pushed to every client. So a group of ten thousand clients is one member in the layer, and
Redis carries one message for each server. In addition every connection has a channel of its own, its
``address``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from compat.engine.direct_inbox import attached
from compat.engine.subscription import LAYER_TIMEOUT_S, Subscription
from compat.exceptions import LayerUnavailable
from compat.redis.waiting import within
from compat.types import Message

__all__ = ["EXCEPT_KEY", "GroupRelay", "Relays"]

EXCEPT_KEY = "__except__"
"""The key of a manager's group message that holds the ids of the excluded connections."""


class GroupRelay:
    """One group on this event loop: its members, and its channel in the layer while it has members."""

    __slots__ = ("lock", "members", "subscription")

    def __init__(self) -> None:
        self.members: dict[str, Any] = {}
        """The connections by address."""
        self.lock = asyncio.Lock()
        """Held while the channel is opened or closed, so that joining and leaving wait for each other."""
        self.subscription: Subscription | None = None


class Relays:
    """The groups of the connections on one event loop.

    ``deliver(group, message, members)`` is called for each message to a group; ``name_of(group)`` returns the
    group's name in the layer. ``lost(members, error)`` is called when ``receive()`` of a layer that cannot
    push has raised: no further message of the group reaches these members.
    """

    def __init__(
        self,
        layer: Any,
        name_of: Callable[[str], str],
        deliver: Callable[[str, Message, Mapping[str, Any]], None],
        lost: Callable[[Mapping[str, Any], BaseException], None],
    ) -> None:
        self.layer = layer
        self.name_of = name_of
        self.deliver = deliver
        self.lost = lost
        self.groups: dict[str, GroupRelay] = {}
        self._forgetting: set[asyncio.Task[None]] = set()

    async def join(self, group: str, address: str, connection: Any, *, earlier: bool = False) -> None:
        """Add a connection, and return when it gets the messages that are sent to the group from now on.

        ``address``: its own channel. With ``earlier`` it gets the group's earlier messages first, if there is
        a history.
        """
        relay = self.groups.get(group)
        if relay is None:
            relay = self.groups[group] = GroupRelay()
        if earlier and address not in relay.members and self._on_join(group):
            await self._join_after(group, relay, address, connection)
            return
        relay.members[address] = connection
        try:
            async with relay.lock:
                if relay.subscription is None and relay.members:
                    relay.subscription = await self._open(group, relay)
        except BaseException:
            relay.members.pop(address, None)
            self._forget_if_empty(group, relay)
            raise

    def _on_join(self, group: str) -> int:
        """Return how many earlier messages of a group a new member gets."""
        rules = getattr(self.layer, "rules", None)
        rule = rules.of(self.name_of(group)) if rules else None
        return 0 if rule is None else int(rule.on_join)

    async def _join_after(self, group: str, relay: GroupRelay, address: str, connection: Any) -> None:
        """Add a connection after the earlier messages, which come over its own channel.

        That channel is in the group for a moment, and so gets what is sent meanwhile. It leaves as the
        connection becomes a member, before the event loop delivers anything else.
        """
        name = self.name_of(group)
        try:
            async with relay.lock:
                current = self.groups.setdefault(group, relay)
                if current is relay:  # it may have been forgotten meanwhile, and another may be in its place
                    if relay.subscription is None:
                        relay.subscription = await self._open(group, relay)
                    await self.layer.group_add(name, address)
                    relay.members[address] = connection
                    await self.layer.group_discard(name, address)
                    return
        except BaseException:
            relay.members.pop(address, None)
            with contextlib.suppress(LayerUnavailable, OSError):
                await self.layer.group_discard(name, address)
            await self._close_if_empty(group, relay)
            raise
        await self._join_after(group, current, address, connection)

    async def leave(self, group: str, address: str) -> None:
        """Remove a connection; do nothing if it is not a member."""
        relay = self.groups.get(group)
        if relay is not None and relay.members.pop(address, None) is not None:
            await self._close_if_empty(group, relay)

    async def _close_if_empty(self, group: str, relay: GroupRelay) -> None:
        if relay.members:
            return
        async with relay.lock:
            if relay.members:  # a member has joined meanwhile
                return
            subscription, relay.subscription = relay.subscription, None
            self._forget_if_empty(group, relay)
            if subscription is not None:
                await self._give_up(group, subscription)

    async def _open(self, group: str, relay: GroupRelay) -> Subscription:
        def deliver(message: Message) -> None:
            self.deliver(group, message, relay.members)

        failures: list[BaseException] = []

        def lose(error: BaseException) -> None:
            failures.append(error)
            lost, relay.subscription = relay.subscription, None  # who joins now opens another one
            if lost is not None:
                task = asyncio.get_running_loop().create_task(self._forget_channel(group, lost))
                self._forgetting.add(task)
                task.add_done_callback(self._forgetting.discard)
            self.lost(relay.members, error)

        channel = await self.layer.new_channel("ws.group")
        subscription = await attached(self.layer, channel, deliver, lose)
        try:
            # Earlier messages are for one member; see ``_join_after``.
            nothing = (0,) if self._on_join(group) else ()
            await self.layer.group_add(self.name_of(group), channel, *nothing)
            if failures:
                raise LayerUnavailable(f"the channel of group {group} cannot be read") from failures[0]
        except BaseException:
            await self._forget_channel(group, subscription)
            raise
        return subscription

    async def _forget_channel(self, group: str, lost: Subscription) -> None:
        """Give up a channel that is not read (any more); ignore errors, because the first one is known."""
        with contextlib.suppress(Exception):  # any layer
            await self._give_up(group, lost)

    async def _give_up(self, group: str, subscription: Subscription) -> None:
        """Take the channel out of its group, and end it.

        Raises TimeoutError if the layer does not answer within ``LAYER_TIMEOUT_S``.
        """
        try:
            if subscription.pump is not None:  # a layer without ``detach`` does not leave the groups
                leaving = self.layer.group_discard(self.name_of(group), subscription.channel)
                await within(LAYER_TIMEOUT_S, leaving)
        except asyncio.TimeoutError:
            raise TimeoutError(f"the layer has not answered within {LAYER_TIMEOUT_S:g} s") from None
        finally:
            await subscription.end()

    def _forget_if_empty(self, group: str, relay: GroupRelay) -> None:
        if not relay.members and relay.subscription is None and self.groups.get(group) is relay:
            del self.groups[group]
