"""The queue layer on one event loop: its connections, its channels, its readers.

The messages for all "!" channels of a process and event loop share one queue in Redis. One reader takes them
and pushes them into inboxes and mailboxes. So capacity is counted for each channel, and the shared queue
stays short.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from collections.abc import Awaitable, Collection
from typing import TYPE_CHECKING

from compat.clock import steady, wall
from compat.engine.inbox import Inbox
from compat.engine.mailbox import Mailbox
from compat.exceptions import LayerUnavailable
from compat.layers.redis.keys import DEFAULT_WORD, RESERVED_KEY, lease_of
from compat.layers.redis.membership import Membership
from compat.layers.redis.plain import PlainChannels
from compat.layers.redis.queue_reader import QueueReader
from compat.layers.redis.scripts import ALL
from compat.layers.redis.station import Station
from compat.types import Message

if TYPE_CHECKING:
    from compat.layers.redis.core import RedisChannelLayer

__all__ = ["QueueStation"]

log = logging.getLogger("compat.layers")

KEYS_PER_COMMAND = 1000


class QueueStation(Station):
    """The queue layer on one event loop."""

    scripts = ALL

    def __init__(self, layer: RedisChannelLayer, loop: asyncio.AbstractEventLoop, client_prefix: str) -> None:
        super().__init__(layer, loop, self._link_lost)
        self.layer = layer
        self.client_prefix = client_prefix
        self.plain = PlainChannels(
            self.shards, self.keys, self.outages, layer.brpop_timeout, self._decode_plain
        )
        self._readers: dict[int, QueueReader] = {}
        self._memberships: dict[int, Membership] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._ended: dict[str, float] = {}
        """Detached channels, for which messages may still arrive, until a time of ``steady()``."""
        self._idle: set[str] = set()
        """The channels whose mailboxes were idle at the last sweep."""
        self._next_sweep = steady() + layer.expiry_s

    # Groups

    async def group_add(self, group: str, channel: str) -> None:
        if not self.layer.owns(self, channel):
            keys, shard = self.keys, self.keys.group_shard(group)
            await self.shards.calls(
                shard,
                [
                    (b"ZADD", keys.group(group), repr(wall()), channel),
                    (b"EXPIRE", keys.group(group), self.layer.group_expiry),
                ],
            )
            return
        self.note_joined(group, channel)
        try:
            await self._membership(group).join(group, channel)
        except BaseException:
            self.note_left(group, channel)
            raise

    async def group_discard(self, group: str, channel: str) -> None:
        if not self.layer.owns(self, channel):
            await self.shards.call(self.keys.group_shard(group), b"ZREM", self.keys.group(group), channel)
            return
        self.note_left(group, channel)
        await self._membership(group).leave(group, channel)

    def _membership(self, group: str) -> Membership:
        shard = self.keys.group_shard(group)
        membership = self._memberships.get(shard)
        if membership is None:
            queue = f"{DEFAULT_WORD}{self.client_prefix}!" if self.layer.one_script else ""
            membership = self._memberships[shard] = Membership(
                self.shards, shard, self.outages, self.layer, self._is_read, queue, self._all_arrived
            )
        return membership

    def _all_arrived(self) -> float:
        """Return a time of ``steady()``; messages that were sent before have arrived, or have expired."""
        reader = self._readers.get(0)
        expired = steady() - self.layer.expiry_s
        return expired if reader is None else max(expired, reader.emptied)

    def hears(self, group: str) -> bool:
        """Return True if messages for ``group`` soon reach channels of this loop; False in an outage."""
        membership = self._memberships.get(self.keys.group_shard(group))
        reader = self._readers.get(self.keys.queue_shard(f"{DEFAULT_WORD}{self.client_prefix}!"))
        is_read = reader is not None and reader.error is None
        return is_read and membership is not None and group in membership.groups

    def _is_read(self, channel: str) -> bool:
        box = self.boxes.get(channel)
        return isinstance(box, Inbox) or (box is not None and bool(box.waiters))

    # Receiving

    def attach(self, channel: str, inbox: Inbox) -> None:
        """Push the messages of ``channel`` into ``inbox`` from now on."""
        self._ended.pop(channel, None)
        self.take_over(channel, inbox)
        self._listen(channel)

    async def detach(self, channel: str) -> None:
        """Remove the channel, also from its groups, now or as soon as Redis can be reached.

        This continues even if the caller is cancelled.
        """
        groups = self.groups_of(channel).copy()
        for group in groups:
            self.note_left(group, channel)
        self.boxes.pop(channel, None)
        self._ended[channel] = steady() + self.layer.expiry_s
        if groups:
            leaving = self.loop.create_task(self._leave_all(channel, groups))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._left)
            await asyncio.shield(leaving)

    def _left(self, leaving: asyncio.Task[None]) -> None:
        self._leaving.discard(leaving)
        if not leaving.cancelled():
            leaving.exception()  # marks it as retrieved; the caller gets it too, if it still waits

    async def _leave_all(self, channel: str, groups: set[str]) -> None:
        leaving = [self._membership(group).leaving(group, channel) for group in groups]
        for outcome in await asyncio.gather(*leaving, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, LayerUnavailable):
                raise outcome

    async def mailbox(self, channel: str) -> Mailbox:
        """Return the mailbox of a channel that no consumer reads, and listen to its queue.

        Raises LayerUnavailable if Redis cannot be reached now.
        """
        self._ended.pop(channel, None)
        now = steady()
        if now >= self._next_sweep:
            self._sweep(now)
        await self._listen(channel).reachable()
        box = self.require_mailbox(channel)
        self._idle.discard(channel)
        return box

    def _listen(self, channel: str) -> QueueReader:
        """Read the channel's queue on every host; return the reader of the queue's own host.

        channels_redis sends a direct message to the host for the channel's whole name, which may be another
        host than the one on which it listens.
        """
        queue, home = self.keys.queue(channel), self.keys.queue_shard(channel)
        for shard in range(self.keys.ring_size):
            self._reader(shard).listen(queue, at_once=shard == home)
        return self._readers[home]

    def _reader(self, shard: int) -> QueueReader:
        reader = self._readers.get(shard)
        if reader is None:
            layer = self.layer
            reader = self._readers[shard] = QueueReader(
                self.shards,
                shard,
                self.outages,
                layer.brpop_timeout,
                layer.expiry_s,
                self.keys.inflight,
                self._arrived,
            )
        return reader

    def _arrived(self, member: bytes, score: float) -> Awaitable[None] | None:
        """Deliver a message of the shared queue; return an awaitable to wait for (``Station.pause``)."""
        message = self.decode("the queue of this process", member)
        if message is None:
            return None
        names = message.pop(RESERVED_KEY, ())
        now = steady()
        if now >= self._next_sweep:
            self._sweep(now)
        # An old score means that the message waited, or that the sender's clock differs; deliver it anyway.
        age = wall() - score
        expiry = self.layer.expiry
        deadline = now + (expiry - age if 0 < age < expiry else expiry)
        receipt = self.receipts.find(member[: self.layer.mark_length]) if self.receipts else None
        try:
            if isinstance(names, str):
                self.deliver(names, message, deadline)
            else:
                if isinstance(names, dict):
                    names = self._members(**names)
                self.hand_out(names, message, deadline, receipt)
        except Exception as error:  # noqa: BLE001 - bad receiver names, or nesting too deep to copy
            self.layer.count_undecodable("the queue of this process", error)
        return self.pause() if self.scheduler.backlog else None

    def _members(self, group: str, version: int, but: Collection[str] = ()) -> list[str]:
        """Return the members of a group that an entry of ``fanout.lua`` is for."""
        members = self._membership(group).census.members(group, version)
        return [channel for channel in members if channel not in but] if but else members

    def unknown(self, channel: str) -> Mailbox | None:
        """Return a new mailbox for a channel of this loop; None if the channel has ended or is not ours."""
        if channel in self._ended or not self.layer.owns(self, channel):
            return None
        return self.require_mailbox(channel)

    def _decode_plain(self, channel: str, member: bytes) -> Message | None:
        message = self.decode(f"channel {channel}", member)
        if message is not None:
            message.pop(RESERVED_KEY, None)
            self.metrics.count_delivered()
        return message

    def _sweep(self, now: float) -> None:
        """Remove channels that ended long ago, and mailboxes that were idle at two sweeps in a row."""
        self._next_sweep = now + self.layer.expiry_s
        self._ended = {channel: until for channel, until in self._ended.items() if until > now}
        idle = {name for name, box in self.boxes.items() if isinstance(box, Mailbox) and box.idle()}
        # Not at the first sweep: a caller on another loop may have a mailbox without waiting for it yet.
        for channel in idle & self._idle:
            del self.boxes[channel]
        self._idle = idle

    # Outages

    def _link_lost(self, index: int, reason: str) -> None:
        membership = self._memberships.get(index)
        if membership is not None:
            membership.lost(reason)

    # Upkeep

    def adopt(self, other: QueueStation) -> None:
        """Take over the mailboxes of a station whose loop is closed."""
        self.boxes.update({name: box for name, box in other.boxes.items() if isinstance(box, Mailbox)})

    async def flush(self) -> None:
        """Delete the layer's keys, and forget this loop's memberships and unread mailboxes."""
        for membership in self._memberships.values():
            membership.forget_all()
        self._groups.clear()
        for channel, box in tuple(self.boxes.items()):
            if isinstance(box, Inbox):
                box.groups.clear()
            elif not box.waiters:
                del self.boxes[channel]
        await asyncio.gather(*(self._delete_all(index) for index in range(self.keys.ring_size)))

    async def _delete_all(self, index: int) -> None:
        """Delete the keys on one host that certainly belong to this prefix (``Keys.owned``)."""
        keys, call = self.keys, self.shards.call
        found = [key.decode(errors="surrogateescape") for key in await self._scan(index)]
        leases = {*self.layer.client_prefixes(), *await self._names(index, keys.leases)}
        leases.update(key[len(keys.joined("")) :] for key in found if key.startswith(keys.joined("")))
        plain = {*await self._names(index, keys.channels)}
        for group in [key for key in found if key.startswith(keys.group("")) and keys.owned(key, (), ())]:
            for channel in await self._names(index, group):
                if "!" in channel:
                    leases.add(lease_of(channel))
                else:
                    plain.add(channel)
        owned = [key for key in found if keys.owned(key, leases, plain)]
        for start in range(0, len(owned), KEYS_PER_COMMAND):
            part = [key.encode(errors="surrogateescape") for key in owned[start : start + KEYS_PER_COMMAND]]
            await call(index, b"DEL", *part)

    async def _scan(self, index: int) -> list[bytes]:
        """Return the keys that begin with the prefix."""
        literal = re.sub(r"([*?\[\]\\])", r"\\\1", self.keys.prefix)
        found: dict[bytes, None] = {}
        cursor = b"0"
        for step in itertools.count():
            if step and cursor == b"0":
                break
            cursor, some = await self.shards.call(
                index, b"SCAN", cursor, b"MATCH", f"{literal}*", b"COUNT", 1000
            )
            found.update(dict.fromkeys(some))
        return list(found)

    async def _names(self, index: int, key: str) -> list[str]:
        """Return the members of a sorted set of names; an empty list if the key has another type."""
        if await self.shards.call(index, b"TYPE", key) != b"zset":
            return []
        return [
            name.decode(errors="replace") for name in await self.shards.call(index, b"ZRANGE", key, 0, -1)
        ]

    def in_use(self) -> bool:
        """Return True while consumers or callers on this loop depend on its connections."""
        return bool(self.plain.waiters) or any(map(self._is_read, self.boxes))

    async def _disconnect(self) -> None:
        await super()._disconnect()
        for membership in self._memberships.values():
            await membership.aclose()
        self._memberships.clear()
        await self.plain.aclose()
        for reader in self._readers.values():
            await reader.aclose()
        self._readers.clear()
        await self.shards.aclose()
