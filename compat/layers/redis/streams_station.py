"""The streams layer on one event loop: its groups' histories, its process' stream, its workers' messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from compat.clock import steady
from compat.engine.inbox import Inbox
from compat.layers.redis.jobs import Jobs
from compat.layers.redis.keys import RESERVED_KEY, lease_of
from compat.layers.redis.own_station import OwnStation
from compat.layers.redis.pubsub_station import EXCLUDE_KEY
from compat.layers.redis.scripts import ADD_JOB
from compat.layers.redis.subscriptions import Subscriptions
from compat.redis.reasons import REPLICA
from compat.redis.streams.follower import Follower
from compat.redis.streams.history import APPEND, READ, Part, entry_of
from compat.types import Message

if TYPE_CHECKING:
    from compat.layers.redis.streams import RedisStreamsChannelLayer

__all__ = ["StreamsStation"]


class StreamsStation(OwnStation):
    """The streams layer on one event loop."""

    scripts = (ADD_JOB, APPEND, READ)

    def __init__(
        self, layer: RedisStreamsChannelLayer, loop: asyncio.AbstractEventLoop, client_prefix: str
    ) -> None:
        super().__init__(layer, loop, client_prefix, layer.expiry_s, self._link_lost)
        self.layer: RedisStreamsChannelLayer = layer
        self.groups: dict[str, dict[str, None]] = {}
        """Maps a group to its members on this loop, in the order of joining."""
        self._by_topic: dict[str, str] = {}
        """Maps the topic of a group to the group."""
        self._direct: dict[str, str] = {}
        """Maps the topics of direct messages to their client prefixes: this loop's own, and adopted ones."""
        self._listening: dict[str, asyncio.Task[None]] = {}
        self.follower = Follower(self)
        self.jobs = Jobs(self.shards, layer, self.outages, client_prefix, layer.block_s, self._decode_job)
        self.subscriptions = Subscriptions(
            self, layer.ping_interval, self._published, self._is_wanted, self.follower.reconnected
        )

    def _link_lost(self, index: int, reason: str) -> None:
        if reason == REPLICA:
            self.refused(index, self.shards.explain(self.shards.hosts[index], reason))

    # Groups

    async def join(self, group: str, channel: str) -> None:
        """Add a channel of this loop to a group; return when all later messages will be received."""
        topic = self.keys.history_topic(group)
        self.groups.setdefault(group, {})[channel] = None
        self._by_topic[topic] = group
        self.note_joined(group, channel)
        try:
            await self.listening(channel)  # direct messages come in order with those of groups
            await self.subscriptions.subscribe(topic)
            await self.follower.begin(topic)
        except BaseException:
            self.leave(group, channel)
            raise

    def leave(self, group: str, channel: str) -> None:
        """Remove a channel from a group."""
        self.note_left(group, channel)
        members = self.groups.get(group)
        if members is not None:
            members.pop(channel, None)
            if not members:
                topic = self.keys.history_topic(group)
                del self.groups[group], self._by_topic[topic]
                self.follower.end(topic)
                self.subscriptions.unsubscribe(topic)

    def _is_wanted(self, topic: str) -> bool:
        return topic in self._by_topic or topic in self._direct

    def hears(self, group: str) -> bool:
        """Return True if messages for ``group`` now reach members on this loop."""
        return group in self.groups and self.subscriptions.is_subscribed(self.keys.history_topic(group))

    def _published(self, topic: bytes, body: bytes) -> Awaitable[None] | None:
        try:
            entry = entry_of(body)
        except ValueError as error:
            self.layer.count_undecodable(topic.decode(errors="replace"), error)
            return None
        return self.follower.came(topic.decode(), entry)

    # What the follower finds

    @property
    def follow_memory_s(self) -> float:
        return min(self.layer.history.position_s, self.layer.direct.position_s)

    def follow_deliver(self, topic: str, body: bytes) -> Awaitable[None] | None:
        if topic in self._direct:
            return self._arrived(body)
        group = self._by_topic.get(topic)
        receipt = self.receipts.take(topic.encode() + body) if self.receipts else None
        message = self.decode(topic, body) if group is not None else None
        if message is None or group is None:
            if receipt is not None:
                receipt.note(0, 0, 0)
            return None
        excluded = message.pop(EXCLUDE_KEY, ())
        members = tuple(self.groups[group])
        if isinstance(excluded, list) and excluded:
            members = tuple(channel for channel in members if channel not in excluded)
        try:
            self.hand_out(members, message, steady() + self.layer.expiry, receipt)
        except Exception as error:  # noqa: BLE001 - nesting too deep to copy
            self.layer.count_undecodable(topic, error)
        return self.pause() if self.scheduler.backlog else None

    def follow_reset(self, topic: str, reason: str, lost: int | None) -> None:
        group = self._by_topic.get(topic)
        if group is None and topic not in self._direct:
            return  # its last member has left
        self.layer.count_reset(group, reason, lost)
        if self.layer.on_reset is not None:
            affected = self.boxes if group is None else self.groups[group]
            self.tell(tuple(affected), {**self.layer.on_reset, "group": group})

    async def follow_read(self, topic: str, first: int, most: int) -> Part:
        client_prefix = self._direct.get(topic)
        keys = (
            self.keys.history(self._by_topic.get(topic, ""))
            if client_prefix is None
            else self.keys.direct(client_prefix)
        )
        return await self.layer.history.read(self.shards, self.keys.shard_in(topic), keys, first, most)

    # Channels

    def made(self, channel: str) -> None:
        self.listen(channel)

    def listen(self, channel: str) -> None:
        """Receive the direct messages to the process of ``channel``, from the first one on."""
        client_prefix = lease_of(channel)
        topic = self.keys.direct_topic(client_prefix)
        if not self.subscriptions.is_subscribed(topic) and topic not in self._listening:
            self._direct[topic] = client_prefix
            self.subscriptions.want(topic)
            listening = self._listening[topic] = self.loop.create_task(self.subscriptions.subscribe(topic))
            listening.add_done_callback(lambda task: self._listened(topic, task))

    async def listening(self, channel: str) -> None:
        """Wait until direct messages are received; raise LayerUnavailable if Redis cannot be reached now."""
        self.listen(channel)
        listening = self._listening.get(self.keys.direct_topic(lease_of(channel)))
        if listening is not None:
            await asyncio.shield(listening)

    def _listened(self, topic: str, listening: asyncio.Task[None]) -> None:
        del self._listening[topic]
        if not listening.cancelled():
            listening.exception()  # marks it as retrieved; the waiting callers get it too
            self.follower.begin_at_start(topic)

    def _arrived(self, body: bytes) -> Awaitable[None] | None:
        """Deliver a direct message; return an awaitable to wait for, or None."""
        message = self.decode("the stream of this process", body)
        if message is None:
            return None
        channel, now = message.pop(RESERVED_KEY, None), self.swept()
        if isinstance(channel, str):
            self.deliver(channel, message, now + self.layer.expiry)
        else:
            self.layer.count_undecodable("the stream of this process", TypeError("it names no channel"))
        return self.pause() if self.scheduler.backlog else None

    def _leave_all(self, channel: str) -> None:
        for group in tuple(self.groups_of(channel)):
            self.leave(group, channel)

    async def detach(self, channel: str) -> None:
        self._leave_all(channel)
        self.ended(channel)

    def gone(self, channel: str) -> None:
        self._leave_all(channel)
        super().gone(channel)

    def _decode_job(self, channel: str, body: bytes) -> Message | None:
        message = self.decode(f"channel {channel}", body)
        if message is not None:
            self.metrics.count_delivered()
        return message

    async def dead_letters(self, most: int) -> dict[str, tuple[int, list[Message]]]:
        """Return what ``RedisStreamsChannelLayer.dead_letters`` does."""
        found: dict[str, tuple[int, list[Message]]] = {}
        for index in range(self.keys.ring_size):
            head = self.keys.at(index).dead("")
            for key in await self.scan(index, head):
                count = await self.shards.call(index, b"XLEN", key)
                entries = await self.shards.call(index, b"XREVRANGE", key, "+", "-", b"COUNT", most)
                messages = [self.decode(key.decode(), fields[1]) for _, fields in reversed(entries)]
                channel = key.decode()[len(head) :]
                found[channel] = (count, [message for message in messages if message is not None])
        return found

    # Upkeep

    async def flush(self) -> None:
        """Leave all groups, forget unread mailboxes, and delete the keys of this layer."""
        for channel, box in tuple(self.boxes.items()):
            self._leave_all(channel)
            if not isinstance(box, Inbox) and not box.waiters:
                del self.boxes[channel]
        for index in range(self.keys.ring_size):
            await self._delete_all(index)

    async def _delete_all(self, index: int) -> None:
        """Delete the keys on one host that belong to this layer."""
        for kind in self.keys.STREAMS:
            found = await self.scan(index, f"{self.keys.at(index).prefix}:{kind}:")
            for start in range(0, len(found), 1000):
                await self.shards.call(index, b"DEL", *found[start : start + 1000])

    def adopt(self, other: OwnStation) -> None:
        super().adopt(other)
        if isinstance(other, StreamsStation):
            for topic in other._direct:
                self.follower.take_over(other.follower, topic)

    def in_use(self) -> bool:
        return self.jobs.in_use() or any(map(self._is_read, self.boxes))

    async def _disconnect(self) -> None:
        await super()._disconnect()
        for listening in self._listening.values():
            listening.cancel()
        await self.follower.aclose()
        await self.subscriptions.aclose()
        await self.jobs.aclose()
        await self.shards.aclose()
