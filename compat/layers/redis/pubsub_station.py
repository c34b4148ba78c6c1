"""The pub/sub layer on one event loop: its connections, its channels, and their groups."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from compat.clock import steady, wall
from compat.engine.inbox import Inbox
from compat.engine.mailbox import Mailbox
from compat.exceptions import LayerUnavailable
from compat.layers.redis.kept_groups import KeptGroups
from compat.layers.redis.keys import EXCLUDE_KEY, PLACE_KEY
from compat.layers.redis.recordings import PASSING
from compat.layers.redis.station import Station
from compat.layers.redis.subscriptions import Subscriptions
from compat.redis.reasons import REPLICA

if TYPE_CHECKING:
    from compat.layers.redis.pubsub import RedisPubSubChannelLayer

__all__ = ["PubSubStation"]

GRACE_S = 60.0
"""Seconds that a channel stays subscribed after a cancelled ``receive()``, in case of another one."""


class PubSubStation(Station):
    """The pub/sub layer on one event loop."""

    def __init__(self, layer: RedisPubSubChannelLayer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(layer, loop, self._link_lost)
        self.layer = layer
        self.groups: dict[str, dict[str, None]] = {}
        """Maps a group's pub/sub channel to its members on this loop, in the order of joining."""
        self.kept = KeptGroups(self, layer)
        self._kept_topics: dict[str, str] = {}
        """Maps the pub/sub channels of groups with a history to the groups."""
        self.subscriptions = Subscriptions(
            self, layer.ping_interval, self._published, self._is_wanted, self._confirmed
        )
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def _link_lost(self, index: int, reason: str) -> None:
        """Record that what was published since the last check may be lost, if it went to a replica."""
        if reason == REPLICA:
            error = self.shards.explain(self.shards.hosts[index], reason)
            self.refused(index, error, wall() - self.layer.role_every_s)

    def _is_wanted(self, topic: str) -> bool:
        return topic in self.groups or self.keys.channel_of(topic) in self.boxes

    # Channels

    async def open_channel(self, channel: str) -> Mailbox:
        """Subscribe to ``channel`` and return its mailbox; raise LayerUnavailable without Redis."""
        timer = self._leaving.pop(channel, None)
        if timer is not None:
            timer.cancel()
        known = channel in self.boxes
        box = self.require_mailbox(channel)
        self.layer.owners[channel] = self
        try:
            await self.subscriptions.subscribe(self.keys.channel_topic(channel))
        except BaseException:
            if known:
                self.given_up(channel)
            elif self.boxes.get(channel) is box and not box.waiters:
                self._abandon(channel)
            raise
        if self.boxes.get(channel) is not box:  # a call beside this one was cancelled, and has closed it
            return await self.open_channel(channel)
        return box

    def attach(self, channel: str, inbox: Inbox) -> None:
        """Push the messages of ``channel`` into ``inbox``, beginning with those that wait already."""
        self.take_over(channel, inbox)
        self.layer.owners[channel] = self
        if not self.subscriptions.is_subscribed(self.keys.channel_topic(channel)):
            self._tasks.add(task := self.loop.create_task(self._catch_up(channel)))
            task.add_done_callback(self._tasks.discard)

    async def _catch_up(self, channel: str) -> None:
        """Subscribe for a consumer that is attached already; after an error the subscriber retries."""
        self.subscriptions.want(self.keys.channel_topic(channel))
        try:
            await self.subscriptions.subscribe(self.keys.channel_topic(channel))
        except LayerUnavailable:
            pass

    async def detach(self, channel: str) -> None:
        """Remove the channel, also from its groups."""
        self._abandon(channel)

    def given_up(self, channel: str) -> None:
        """End the channel ``GRACE_S`` after a cancelled ``receive()``; channels_redis ends it at once."""
        box = self.boxes.get(channel)
        if isinstance(box, Mailbox) and not box.waiters and channel not in self._leaving:
            self._leaving[channel] = self.loop.call_later(GRACE_S, self._give_up, channel)

    def _give_up(self, channel: str) -> None:
        box = self.boxes.get(channel)
        if isinstance(box, Mailbox) and not box.waiters:
            self._abandon(channel)

    def _abandon(self, channel: str) -> None:
        """Leave every group, unsubscribe, and remove the channel."""
        timer = self._leaving.pop(channel, None)
        if timer is not None:
            timer.cancel()
        for group in tuple(self.groups_of(channel)):
            self.leave(group, channel)
        self.drop(channel)
        if self.layer.owners.get(channel) is self:
            del self.layer.owners[channel]
        self.subscriptions.unsubscribe(self.keys.channel_topic(channel))

    # Groups

    async def join(self, group: str, channel: str, last: int | None = None) -> None:
        """Add a channel of this loop to a group; return when Redis has confirmed the subscription."""
        topic = self.keys.topic(group)
        with self.joins.call(group, channel):
            self.note_joined(group, channel)
            if self.layer.recordings.record(group) is not None:
                members = self.groups[topic] = self.kept.expect(group)
                self._kept_topics[topic] = group
                await self.kept.join(group, channel, last, self.subscriptions.subscribe(topic))
                if channel not in members:  # it has left meanwhile
                    self.leave(group, channel)
            else:
                self.groups.setdefault(topic, {})[channel] = None
                await self.subscriptions.subscribe(topic)
            await self.layer.joined(group, channel)

    def leave(self, group: str, channel: str) -> None:
        """See the base class."""
        self.note_left(group, channel)
        topic = self.keys.topic(group)
        members = self.groups.get(topic)
        if members is None:
            return
        members.pop(channel, None)
        if topic in self._kept_topics:
            if not self.kept.leave(group, channel):
                return
            del self._kept_topics[topic]
        if not members:
            del self.groups[topic]
            self.subscriptions.unsubscribe(topic)

    def _confirmed(self, topics: set[str]) -> None:
        """Fetch the messages that were sent to groups with a history while there was no connection."""
        self.kept.reconnected([self._kept_topics[topic] for topic in topics if topic in self._kept_topics])

    def hears(self, topic: str) -> bool:
        """Return True if messages for a group's ``topic`` now reach members on this loop."""
        return topic in self.groups and self.subscriptions.is_subscribed(topic)

    # Receiving

    def _published(self, topic: bytes, body: bytes) -> Awaitable[None] | None:
        """Deliver a published message; return an awaitable to wait for (``Station.pause``), or None."""
        name = topic.decode()
        if name in self._kept_topics:
            return self._published_kept(name, self._kept_topics[name], body)
        members, channel = self.groups.get(name), self.keys.channel_of(name)
        receipt = self.receipts.take(topic + body) if self.receipts else None
        message = self.decode(name, body) if members is not None or channel in self.boxes else None
        if message is None:  # it cannot be decoded, or its last receiver has left
            if receipt is not None:
                receipt.note(0, 0, 0)
            return None
        deadline = steady() + self.layer.expiry
        try:
            excluded = message.pop(EXCLUDE_KEY, ()) if members is not None else ()
            message.pop(PLACE_KEY, None)  # other processes keep a history of the group
            if channel in self.boxes:
                self.deliver(channel, message, deadline)
            elif isinstance(excluded, list) and excluded:
                others = [channel for channel in members or () if channel not in excluded]
                self.hand_out(others, message, deadline, receipt)
            else:
                self.hand_out(tuple(members or ()), message, deadline, receipt)
        except Exception as error:  # noqa: BLE001 - bad receiver names, or nesting too deep to copy
            self.layer.count_undecodable(name, error)
        return self.relief_after(channel)

    def _published_kept(self, topic: str, group: str, body: bytes) -> Awaitable[None] | None:
        """Take a message to a group with a history."""
        message = self.decode(topic, body)
        if message is None:
            return None
        text = message.pop(PLACE_KEY, None)
        found = self.layer.recordings.place(text)
        if found is not None:
            entry = self.layer.recordings.kept(group, found[0], message, len(body))
            return None if entry is None else self.kept.came(group, entry)
        if text != PASSING:
            self.kept.stranger(group)
        receipt = self.receipts.take(topic.encode() + body) if self.receipts else None
        excluded = message.pop(EXCLUDE_KEY, ())
        members = self.kept.members(group)
        if isinstance(excluded, list) and excluded:
            members = [channel for channel in members if channel not in excluded]
        try:
            self.hand_out(tuple(members), message, steady() + self.layer.expiry, receipt)
        except Exception as error:  # noqa: BLE001 - nesting too deep to copy
            self.layer.count_undecodable(topic, error)
        return self.pause() if self.scheduler.backlog else None

    def gone(self, channel: str) -> None:
        self._abandon(channel)

    # Upkeep

    async def flush(self) -> None:
        """Leave all groups, and remove the channels that have no reader."""
        for channel, box in tuple(self.boxes.items()):
            if isinstance(box, Mailbox) and not box.waiters:
                self._abandon(channel)
            for group in tuple(self.groups_of(channel)):
                self.leave(group, channel)
        for index in range(self.keys.ring_size):
            for kind in self.keys.PUBSUB_HISTORY if self.layer.rules else ():
                await self.delete_all(index, f"{self.keys.at(index).prefix}:{kind}:")
            if self.layer.tracks or self.layer.presence_rules:
                await self.forget_people(index)
        await self.disconnect()

    def in_use(self) -> bool:
        return bool(self.boxes)

    async def _disconnect(self) -> None:
        await super()._disconnect()
        for timer in self._leaving.values():
            timer.cancel()
        self._leaving.clear()
        for task in self._tasks:
            task.cancel()
        await self.kept.aclose()
        await self.subscriptions.aclose()
        await self.shards.aclose()

    async def aclose(self) -> None:
        for channel in [channel for channel, owner in self.layer.owners.items() if owner is self]:
            del self.layer.owners[channel]
        await super().aclose()
