"""The streams layer on one event loop: its groups' histories, its process' stream, its workers' messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection
from typing import TYPE_CHECKING, NamedTuple

from compat.engine.inbox import Inbox
from compat.layers.redis.jobs import Jobs
from compat.layers.redis.kept_groups import KeptGroups
from compat.layers.redis.keys import RESERVED_KEY, lease_of
from compat.layers.redis.own_station import OwnStation
from compat.layers.redis.scripts import ADD_JOB
from compat.layers.redis.subscriptions import Subscriptions
from compat.redis.reasons import REPLICA
from compat.redis.streams.follower import Follower
from compat.redis.streams.history import APPEND, PLACE_LENGTH, READ, Place
from compat.redis.streams.receiver import Found
from compat.redis.waiting import shared
from compat.types import Message

if TYPE_CHECKING:
    from compat.layers.redis.streams import RedisStreamsChannelLayer

__all__ = ["StreamsStation"]


class _Direct(NamedTuple):
    """A message to one channel, with its place in the history of such messages."""

    place: Place
    body: bytes

    @property
    def epoch(self) -> str:
        return self.place.epoch

    @property
    def offset(self) -> int:
        return self.place.offset

    @property
    def mark(self) -> str:
        return self.place.mark


def _direct(published: bytes) -> _Direct:
    head = bytes(published[:PLACE_LENGTH]).decode("ascii", "replace")
    return _Direct(Place.read(head), bytes(published[PLACE_LENGTH:]))


def _mark(stored: bytes) -> str:
    return _direct(stored).mark


class StreamsStation(OwnStation):
    """The streams layer on one event loop."""

    scripts = (ADD_JOB, APPEND, READ)

    def __init__(
        self, layer: RedisStreamsChannelLayer, loop: asyncio.AbstractEventLoop, client_prefix: str
    ) -> None:
        super().__init__(layer, loop, client_prefix, layer.expiry_s, self._link_lost)
        self.layer: RedisStreamsChannelLayer = layer
        self.kept = KeptGroups(self, layer)
        self._by_topic: dict[str, str] = {}
        """Maps the topic of a group with members on this loop to the group."""
        self._direct: dict[str, str] = {}
        """Maps the topics of direct messages to their client prefixes: this loop's own, and adopted ones."""
        self._listening: dict[str, asyncio.Task[None]] = {}
        self.follower = Follower(self)
        """Follows the direct messages."""
        self.jobs = Jobs(self.shards, layer, self.outages, client_prefix, layer.block_s, self._decode_job)
        self.subscriptions = Subscriptions(
            self, layer.ping_interval, self._published, self._is_wanted, self._confirmed
        )

    def _link_lost(self, index: int, reason: str) -> None:
        if reason == REPLICA:
            self.refused(index, self.shards.explain(self.shards.hosts[index], reason))

    # Groups

    @property
    def groups(self) -> dict[str, Collection[str]]:
        """The groups, each with its members on this loop, in the order of joining."""
        return {group: self.kept.members(group) for group in self.kept.groups}

    async def join(self, group: str, channel: str, last: int | None = None) -> None:
        """Add a channel of this loop to a group; return when all later messages will be received."""
        if self.has_ended(channel):  # the consumer has left a task or a thread behind
            return
        topic = self.keys.history_topic(group)
        members = self.kept.expect(group)
        self._by_topic[topic] = group
        with self.joins.call(group, channel):
            self.note_joined(group, channel)
            await self.kept.join(group, channel, last, self._ready(topic, channel))
            await self.layer.joined(group, channel)
        if channel not in members:  # it has left meanwhile
            self.leave(group, channel)

    async def _ready(self, topic: str, channel: str) -> None:
        await self.listening(channel)  # direct messages come in order with those of groups
        await self.subscriptions.subscribe(topic)

    def leave(self, group: str, channel: str) -> None:
        """See the base class."""
        self.note_left(group, channel)
        if self.kept.leave(group, channel):
            topic = self.keys.history_topic(group)
            del self._by_topic[topic]
            self.subscriptions.unsubscribe(topic)

    def _is_wanted(self, topic: str) -> bool:
        return topic in self._by_topic or topic in self._direct

    def hears(self, group: str) -> bool:
        """Return True if messages for ``group`` now reach members on this loop."""
        return bool(self.kept.members(group)) and self.subscriptions.is_subscribed(
            self.keys.history_topic(group)
        )

    def _published(self, topic: bytes, body: bytes) -> Awaitable[None] | None:
        name = topic.decode()
        group = self._by_topic.get(name)
        try:
            if group is None:
                return self.follower.came(name, _direct(body)) if name in self._direct else None
            entry = self.layer.recordings.arrived(group, body)
        except ValueError as error:
            self.layer.count_undecodable(name, error)
            return None
        return None if entry is None else self.kept.came(group, entry)

    def _confirmed(self, topics: set[str]) -> None:
        self.follower.reconnected({topic for topic in topics if topic in self._direct})
        self.kept.reconnected([self._by_topic[topic] for topic in topics if topic in self._by_topic])

    # What the follower of direct messages finds

    def follow_memory_s(self, topic: str, /) -> float:
        return self.layer.direct.position_s

    def follow_gone_back(self, topic: str, epoch: str, /) -> None:
        pass  # nobody else has a position in it

    def follow_deliver(self, topic: str, entry: _Direct, /, *, late: bool) -> Awaitable[None] | None:
        return self._arrived(entry.body) if topic in self._direct else None

    def follow_reset(self, topic: str, reason: str, lost: int | None) -> None:
        if topic not in self._direct:
            return
        self.layer.count_reset(None, reason, lost)
        if self.layer.on_reset is not None:
            self.tell(tuple(self.boxes), {**self.layer.on_reset, "group": None})

    async def follow_read(self, topic: str, most: int, first: int | None, *, whole: bool = False) -> Found:
        keys, shard = self.keys.direct(self._direct.get(topic, "")), self.keys.shard_in(topic)
        part = await self.layer.direct.read(self.shards, shard, keys, most, first, whole=whole)
        entries = [
            _Direct(Place(part.epoch, stored.offset, _mark(stored.body)), stored.body[PLACE_LENGTH:])
            for stored in part.entries
        ]
        return Found(part, entries)

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
            await shared(listening)

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
            return self.relief_after(channel)
        self.layer.count_undecodable("the stream of this process", TypeError("it names no channel"))
        return None

    async def detach(self, channel: str) -> None:
        self.leave_groups(channel)
        self.ended(channel)

    def _decode_job(self, channel: str, body: bytes) -> Message | None:
        message = self.decode(f"channel {channel}", body, kept=True)
        if message is not None:
            self.metrics.count_delivered()
        return message

    async def dead_letters(self, most: int) -> dict[str, tuple[int, list[Message]]]:
        """Return the result of ``RedisStreamsChannelLayer.dead_letters``."""
        found: dict[str, tuple[int, list[Message]]] = {}
        for index in range(self.keys.ring_size):
            head = self.keys.at(index).dead("")
            for key in await self.scan(index, head):
                count = await self.shards.call(index, b"XLEN", key)
                entries = await self.shards.call(index, b"XREVRANGE", key, "+", "-", b"COUNT", most)
                messages = [
                    self.decode(key.decode(), fields[1], kept=True) for _, fields in reversed(entries)
                ]
                channel = key.decode()[len(head) :]
                found[channel] = (count, [message for message in messages if message is not None])
        return found

    # Upkeep

    async def flush(self) -> None:
        """Leave all groups, forget unread mailboxes, and delete the keys of this layer."""
        for channel in {*self.boxes, *self._groups}:
            self.leave_groups(channel)
        for channel, box in tuple(self.boxes.items()):
            if not isinstance(box, Inbox) and not box.waiters:
                self.drop(channel)
        for index in range(self.keys.ring_size):
            await self._delete_all(index)
            await self.forget_people(index)

    async def _delete_all(self, index: int) -> None:
        """Delete the keys on one host that belong to this layer."""
        for kind in self.keys.STREAMS:
            await self.delete_all(index, f"{self.keys.at(index).prefix}:{kind}:")

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
        await self.kept.aclose()
        await self.subscriptions.aclose()
        await self.jobs.aclose()
        await self.shards.aclose()
